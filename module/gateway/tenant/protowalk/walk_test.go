package protowalk_test

import (
	"encoding/hex"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
)

// named are the places of a message, as owner/app.
type named []string

func (n *named) Place(p protowalk.Place) {
	text := string(p.Owner) + "/" + string(p.App)
	if p.Conflict {
		text += " (conflict)"
	}
	*n = append(*n, text)
}

func read(tb testing.TB, file string) *protowalk.Descriptors {
	tb.Helper()
	set, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := protowalk.Read(set)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// watch reads fields as a table has them.
func watch(tb testing.TB, fields ...string) (list []protowalk.Watch) {
	tb.Helper()
	for _, text := range fields {
		names, numbers, _ := strings.Cut(text, "=")
		w := protowalk.Watch{Names: strings.Split(names, "."), Part: protowalk.App}
		if strings.HasSuffix(names, "user_id") {
			w.Part = protowalk.Owner
		}
		for digits := range strings.SplitSeq(numbers, ".") {
			n := protowire.Number(0)
			for _, c := range digits {
				n = n*10 + protowire.Number(c-'0')
			}
			w.Numbers = append(w.Numbers, n)
		}
		list = append(list, w)
	}
	return list
}

const testSet = "../../../../testdata/proto/service.binpb"

// kinds is a request with fields of every kind.
func kinds(tb testing.TB) *protowalk.Schema {
	tb.Helper()
	s, err := read(tb, testSet).Compile("/kinds.Kinds/Do", watch(tb,
		"user_app_id.user_id=1.1", "user_app_id.app_id=1.2",
		"choice.user_app_id.user_id=5.1.1", "choice.user_app_id.app_id=5.1.2",
		"items.user_app_id.user_id=6.1.1", "items.user_app_id.app_id=6.1.2",
		"maps.owners.value.user_id=4.3.2.1", "maps.owners.value.app_id=4.3.2.2"))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// The message encoders: ld is length-delimited, vi a varint.
func ld(n protowire.Number, parts ...string) string {
	return string(protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), strings.Join(parts, "")))
}

func vi(n protowire.Number, v uint64) string {
	return string(protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), v))
}

func f32(n protowire.Number) string {
	return string(protowire.AppendFixed32(protowire.AppendTag(nil, n, protowire.Fixed32Type), 7))
}

func f64(n protowire.Number) string {
	return string(protowire.AppendFixed64(protowire.AppendTag(nil, n, protowire.Fixed64Type), 7))
}

func who(owner, app string) string { return ld(1, owner) + ld(2, app) }

const minus = math.MaxUint64 // -1 as a varint

func TestWalk(t *testing.T) {
	schema := kinds(t)
	deep := ""
	for range protowalk.MaxDepth - 1 {
		deep = ld(1, deep)
	}
	scalars := func(text string) string { return ld(2, text) }
	lists := func(text string) string { return ld(3, text) }
	maps := func(text string) string { return ld(4, text) }
	for _, tt := range []struct {
		name, message string
		want          named
		refused       string // part of the reason
	}{
		{name: "empty"},
		{name: "owner and app", message: ld(1, who("alice", "shop")), want: named{"alice/shop"}},
		{name: "an owner alone", message: ld(1, ld(1, "alice")), want: named{"alice/"}},
		{name: "an empty owner", message: ld(1, ld(1)), want: named{"/"}},
		{name: "in a list", message: ld(6, ld(1, who("a", "b"))) + ld(6, ld(2, "x")) + ld(6, ld(1, who("c", "d"))), want: named{"a/b", "c/d"}},
		{name: "in a map", message: maps(ld(3, ld(1, "k"), ld(2, who("a", "b"))) + ld(3, ld(1, "l"), ld(2, who("c", "d")))), want: named{"a/b", "c/d"}},
		{name: "in a oneof", message: ld(5, ld(1, who("a", "b"))), want: named{"a/b"}},
		{name: "not where nobody looks", message: ld(7, ld(2, "alice"))},

		{name: "twice", message: ld(1, who("a", "b")) + ld(1, who("a", "b")), refused: "occurs again"},
		{name: "the app taken back by a second message", message: ld(1, who("a", "b")) + ld(1, ld(2)), refused: "occurs again"},
		{name: "the owner twice", message: ld(1, ld(1, "a"), ld(1, "b")), refused: "occurs again"},
		{name: "twice in an element of a list", message: ld(6, ld(1, who("a", "b")), ld(1)), refused: "occurs again"},
		{name: "a parent twice", message: ld(5, ld(1, who("a", "b"))) + ld(5), refused: "occurs again"},
		{name: "a map twice", message: maps(ld(3, ld(1, "k"), ld(2, who("a", "b")))) + maps(""), refused: "occurs again"},
		{name: "the value of an entry twice", message: maps(ld(3, ld(1, "k"), ld(2, who("a", "b")), ld(2))), refused: "occurs again"},
		{name: "the key of an entry twice", message: maps(ld(1, ld(1, "k"), ld(1, "l"))), refused: "occurs again"},
		{name: "taken back by another member of its oneof", message: ld(5, ld(1, who("a", "b")), ld(2, "x")), refused: "another member"},
		{name: "an ordinary field twice", message: vi(8, 1) + vi(8, 0)},

		{name: "a message as a varint", message: vi(1, 7), refused: "wire type"},
		{name: "a message as fixed64", message: f64(1), refused: "wire type"},
		{name: "an owner as fixed32", message: ld(1, f32(1)), refused: "wire type"},
		{name: "a name behind a scalar", message: ld(9, ld(1, who("alice", "main"))), refused: "wire type"},
		{name: "a name behind a scalar of a submessage", message: scalars(ld(3, ld(1, who("alice", "main")))), refused: "wire type"},
		{name: "a number as fixed32", message: scalars(f32(3)), refused: "wire type"},
		{name: "a double as a varint", message: scalars(vi(1, 1)), refused: "wire type"},
		{name: "a float as fixed64", message: scalars(f64(2)), refused: "wire type"},
		{name: "a string as a varint", message: scalars(vi(14, 1)), refused: "wire type"},
		{name: "bytes as fixed32", message: scalars(f32(15)), refused: "wire type"},
		{name: "an enum of text", message: ld(8, "x"), refused: "wire type"},
		{name: "a group", message: "\x0b\x0c", refused: "groups"},
		{name: "an end of a group", message: "\x0c", refused: "groups"},
		{name: "an unknown group", message: "\xa3\x06\xa4\x06", refused: "groups"},
		{name: "wire type 6", message: "\xa6\x06", refused: "groups"},
		{name: "wire type 7", message: "\x0f", refused: "groups"},

		{name: "a tag that is not minimal", message: "\x8a\x00\x00", refused: "tag"},
		{name: "a tag over 32 bits", message: "\x8a\x80\x80\x80\x10\x00", refused: "tag"},
		{name: "field zero", message: "\x02\x00", refused: "tag"},
		{name: "a tag cut off", message: "\x8a", refused: "tag"},
		{name: "a length that is not minimal", message: "\x0a\x80\x00", refused: "length"},
		{name: "a length past the end", message: "\x0a\x01", refused: "length"},
		{name: "a length past the end of a submessage", message: ld(5, "\x0a\x02") + "xx", refused: "length"},
		{name: "a huge length", message: "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", refused: "length"},
		{name: "a varint of six bytes that needs one", message: "\x40\x81\x80\x80\x80\x80\x00", refused: "minimal"},
		{name: "a varint of eleven bytes", message: "\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", refused: "minimal"},
		{name: "a varint of 65 bits", message: scalars("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), refused: "minimal"},
		{name: "a varint cut off", message: "\x40\x80", refused: "cut off"},
		{name: "a fixed32 cut off", message: scalars("\x4d\x00\x00\x00"), refused: "cut off"},
		{name: "a fixed64 cut off", message: scalars("\x51\x00\x00\x00\x00\x00\x00\x00"), refused: "cut off"},

		{name: "a negative int32 of ten bytes", message: scalars(vi(3, minus))},
		{name: "a negative int32 of five bytes", message: scalars(vi(3, math.MaxUint32)), refused: "range"},
		{name: "an int32 of six bytes", message: scalars(vi(3, 1<<35)), refused: "range"},
		{name: "a negative enum of ten bytes", message: vi(8, minus-6)},
		{name: "an enum of nine bytes", message: vi(8, 1<<60), refused: "range"},
		{name: "a uint32 of 33 bits", message: scalars(vi(5, 1<<32)), refused: "range"},
		{name: "the largest uint32", message: scalars(vi(5, math.MaxUint32))},
		{name: "a sint32 of 33 bits", message: scalars(vi(7, 1<<32)), refused: "range"},
		{name: "a bool of two", message: scalars(vi(13, 2)), refused: "range"},
		{name: "a true bool", message: scalars(vi(13, 1))},
		{name: "int64, uint64 and sint64 of ten bytes", message: scalars(vi(4, minus) + vi(6, minus) + vi(8, minus))},

		{name: "text that is not UTF-8", message: scalars(ld(14, "\xff")), refused: "UTF-8"},
		{name: "an overlong name", message: ld(1, ld(1, "\xc1\xa1lice")), refused: "UTF-8"},
		{name: "bytes that are not UTF-8", message: scalars(ld(15, "\xff"))},

		{name: "packed", message: lists(ld(3, "\x01\x02") + ld(1, strings.Repeat("x", 16)) + ld(2, strings.Repeat("x", 8)) + ld(13, "\x01\x00") + ld(17, "\x01"))},
		{name: "not packed", message: lists(vi(3, 1) + vi(3, 2) + f64(1) + f32(2) + vi(13, 1) + vi(16, minus))},
		{name: "nothing packed", message: lists(ld(3) + ld(1))},
		{name: "packed, not minimal", message: lists(ld(3, "\x80\x00")), refused: "packed"},
		{name: "packed, cut off", message: lists(ld(4, "\x80")), refused: "packed"},
		{name: "packed, out of range", message: lists(ld(13, "\x02")), refused: "packed"},
		{name: "packed, not whole doubles", message: lists(ld(1, "xxxxxxxxx")), refused: "packed"},
		{name: "packed, not whole floats", message: lists(ld(2, "xx")), refused: "packed"},
		{name: "a list of strings as varints", message: lists(vi(14, 1)), refused: "wire type"},

		{name: "an entry without a key", message: maps(ld(1, ld(2, "x")))},
		{name: "an entry without anything", message: maps(ld(1))},
		{name: "a key of another type", message: maps(ld(1, vi(1, 1))), refused: "wire type"},

		{name: "unknown fields", message: vi(100, minus) + ld(101, "\xff") + f32(102) + f64(103)},
		{name: "an unknown varint that is not minimal", message: "\xa0\x06\x80\x00", refused: "minimal"},
		{name: "an unknown length that is not minimal", message: "\x82\x7d\x80\x80\x80\x80\x80\x00", refused: "length"},
		{name: "high numbers", message: vi(20000, 3) + ld(536870911, "x")},
		{name: "a high number of another type", message: ld(20000, "x"), refused: "wire type"},
		{name: "nested as deep as may be", message: ld(7, deep)},
		{name: "nested too deep", message: ld(7, ld(1, deep)), refused: "deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got named
			err := schema.Walk([]byte(tt.message), nil, &got)
			switch {
			case tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)):
				t.Errorf("%x: error %v, want %s", tt.message, err, tt.refused)
			case tt.refused == "" && err != nil:
				t.Errorf("%x: error %v", tt.message, err)
			case tt.refused == "" && !reflect.DeepEqual(got, tt.want):
				t.Errorf("names %q, want %q", got, tt.want)
			}
		})
	}
}

// Places in Clarifai's messages where a stranger could hide an owner from the
// gate.
func TestWalkClarifai(t *testing.T) {
	d := read(t, "../../../policy/tables/clarifai.binpb")
	fields := watch(t, "user_app_id.user_id=1.1", "user_app_id.app_id=1.2")
	for _, tt := range []struct{ name, method, message string }{
		{"behind a scalar", "ListModels", "120f0a0d0a05616c69636512046d61696e"},
		{"behind an over-long length of an unknown field", "ListModels", "827d8080808080007a110a0f0a0d0a05616c69636512046d61696e"},
		{"as fixed64", "DeleteModels", "0a120905616c696365780011046d61696e7a0100"},
		{"as fixed32", "ListModels", "0a0e0d0a616c6963652d636f72702064"},
		{"twice", "ListModels", "0a0f0a05616c69636512067368617265640a021200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			schema, err := d.Compile("/clarifai.api.V2/"+tt.method, fields)
			if err != nil {
				t.Fatal(err)
			}
			message, err := hex.DecodeString(tt.message)
			if err != nil {
				t.Fatal(err)
			}
			var got named
			if err := schema.Walk(message, nil, &got); err == nil {
				t.Errorf("accepted, with the names %q", got)
			}
		})
	}
}

// A walk ends with its request.
func TestWalkStops(t *testing.T) {
	schema := kinds(t)
	done := make(chan struct{})
	close(done)
	var got named
	if err := schema.Walk([]byte(strings.Repeat("\x40\x01", 1<<16)), done, &got); err != protowalk.ErrStopped {
		t.Errorf("error %v", err)
	}
}

func TestWalkDoesNotAllocate(t *testing.T) {
	schema := kinds(t)
	message := []byte(ld(1, who("alice", "shop")) + strings.Repeat(ld(6, ld(2, "x")), 1000) + ld(3, ld(3, strings.Repeat("\x01", 1000))))
	var v counted
	if n := testing.AllocsPerRun(10, func() {
		if err := schema.Walk(message, nil, &v); err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

type counted int

func (c *counted) Place(protowalk.Place) { *c++ }

func BenchmarkWalk(b *testing.B) {
	schema := kinds(b)
	for name, unit := range map[string]string{
		"small fields": "\x40\x01", "empty messages": "\x32\x00", "nested": ld(6, ld(1, who("alice", "shop"))), "unknown": vi(100, 1),
		"packed": ld(3, ld(3, strings.Repeat("\x01", 1000))), "text": ld(536870911, strings.Repeat("é", 10000)),
	} {
		message := []byte(strings.Repeat(unit, 1<<20/len(unit)))
		if name == "packed" {
			message = message[:len(unit)]
			message = []byte(ld(3, strings.Repeat(ld(3, strings.Repeat("\x01", 1000)), 1000)))
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			var v counted
			for b.Loop() {
				if err := schema.Walk(message, nil, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
