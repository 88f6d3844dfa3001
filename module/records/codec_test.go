package records

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// codec is a table without its types.
type codec struct {
	name       string
	key, value []byte // of a record
	decode     func(key, value []byte) (any, error)
	encode     func(record any) ([]byte, error)
}

func codecs(t testing.TB) []codec {
	t.Helper()
	return []codec{
		codecOf(t, &users, keystest.SomeUser), codecOf(t, &apps, keystest.SomeApp), codecOf(t, &credentials, keystest.SomeKey),
		codecOf(t, &collaborators, keystest.SomeCollaborator), codecOf(t, &tombstones, keystest.SomeTombstone),
		codecOf(t, &usages, usage{keystest.SomeUsage, keystest.SomeKey.Digest}),
		codecOf(t, &activities, keys.KeyActivity{Digest: keystest.SomeKey.Digest, Activity: keystest.SomeActivity}), codecOf(t, &audit, keystest.SomeAuditEntry),
	}
}

func codecOf[R, S any](t testing.TB, of *table[R, S], record R) codec {
	t.Helper()
	value, err := of.encode(record)
	if err != nil {
		t.Fatal(err)
	}
	return codec{
		name: of.name, key: of.key(record), value: value,
		decode: func(key, value []byte) (any, error) { return of.decode(key, value) },
		encode: func(record any) ([]byte, error) { return of.encode(record.(R)) },
	}
}

// A flipped bit, a cut end or a byte too many is an error and never another
// record.
func TestDamagedRecord(t *testing.T) {
	for _, c := range codecs(t) {
		t.Run(c.name, func(t *testing.T) {
			refused := func(what string, key, value []byte) {
				t.Helper()
				if got, err := c.decode(key, value); !errors.Is(err, keys.ErrCorrupt) {
					t.Errorf("%s: got %+v, %v", what, got, err)
				} else if !reflect.ValueOf(got).IsZero() {
					t.Errorf("%s: a record together with the error: %+v", what, got)
				}
			}
			for i := range c.value {
				for bit := range 8 {
					flipped := bytes.Clone(c.value)
					flipped[i] ^= 1 << bit
					refused("flipped", c.key, flipped)
				}
				refused("cut", c.key, c.value[:i])
			}
			refused("longer", c.key, append(bytes.Clone(c.value), 0))
			refused("another's key", append(bytes.Clone(c.key[1:]), 'x'), c.value)
			refused("no key", nil, c.value)
			if _, err := c.decode(c.key, c.value); err != nil {
				t.Errorf("the record itself: %v", err)
			}
		})
	}
}

// A record with a right checksum is still read strictly.
func TestStrictRecord(t *testing.T) {
	fields := func(change func(map[int]any)) map[int]any {
		m := map[int]any{1: keystest.SomeKey.Digest[:], 2: "cak_1", 3: "app_key", 4: "u", 15: 1}
		change(m)
		return m
	}
	for name, stored := range map[string]any{
		"unknown field":          fields(func(m map[int]any) { m[99] = 1 }),
		"unknown kind":           fields(func(m map[int]any) { m[3] = "root" }),
		"no kind":                fields(func(m map[int]any) { delete(m, 3) }),
		"short digest":           fields(func(m map[int]any) { m[1] = keystest.SomeKey.Digest[:31] }),
		"long digest":            fields(func(m map[int]any) { m[1] = append(keystest.SomeKey.Digest[:], 0) }),
		"text for a number":      fields(func(m map[int]any) { m[15] = "1" }),
		"all endpoints, and one": fields(func(m map[int]any) { m[8], m[9] = true, []string{"/p.S/M"} }),
		"nanoseconds":            fields(func(m map[int]any) { m[14] = []int64{0, 1e9} }),
		"half a time":            fields(func(m map[int]any) { m[14] = []int64{0} }),
		"the zero time":          fields(func(m map[int]any) { m[14] = []int64{time.Time{}.Unix(), 0} }),
		"a list":                 []int{1, 2, 3},
		"nothing":                nil,
	} {
		t.Run(name, func(t *testing.T) {
			value, err := seal(stored)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := credentials.decode(keystest.SomeKey.Digest[:], value); !errors.Is(err, keys.ErrCorrupt) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}

	// A list that is missing grants nothing.
	value, err := seal(fields(func(map[int]any) {}))
	if err != nil {
		t.Fatal(err)
	}
	got, err := credentials.decode(keystest.SomeKey.Digest[:], value)
	if err != nil || got.Endpoints == nil || len(got.Endpoints) != 0 {
		t.Errorf("got %#v, %v; want an empty list", got.Endpoints, err)
	}
}

// FuzzRecord gives the decoders what a good checksum lets through: they must
// neither panic, nor read a record that would be written differently, nor one
// that is another's, of another key or another table.
func FuzzRecord(f *testing.F) {
	all := codecs(f)
	for i, c := range all {
		f.Add(uint8(i), c.value[:len(c.value)-checksumLength])
	}
	for i := range all {
		for _, garbage := range []any{nil, map[int]int{}, []int{1}, map[int]any{1: "u", 4: map[int]int{}}} {
			body, err := cbor.Marshal(garbage)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), body)
		}
		f.Add(uint8(i), []byte{})
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		c := all[int(which)%len(all)]
		if _, err := c.decode(c.key, body); err != nil && !errors.Is(err, keys.ErrCorrupt) {
			t.Errorf("without a checksum: %v", err)
		}
		value := withChecksum(body)
		record, err := c.decode(c.key, value)
		if err != nil {
			if !errors.Is(err, keys.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			return
		}
		again, err := c.encode(record)
		if err != nil {
			t.Fatalf("%+v can be read, but not written: %v", record, err)
		}
		back, err := c.decode(c.key, again)
		if err != nil {
			t.Fatalf("%+v was written and can't be read: %v", record, err)
		}
		if twice, err := c.encode(back); err != nil || !bytes.Equal(twice, again) || !reflect.DeepEqual(back, record) {
			t.Errorf("%+v came back as %+v, %v", record, back, err)
		}
		others := [][]byte{nil, append(bytes.Clone(c.key), 0), c.key[1:], c.key[:len(c.key)-1]}
		for i := range c.key {
			key := bytes.Clone(c.key)
			key[i] ^= 1
			others = append(others, key)
		}
		for _, key := range others {
			if got, err := c.decode(key, value); !errors.Is(err, keys.ErrCorrupt) {
				t.Errorf("%+v stands under the key %x too: %+v, %v", record, key, got, err)
			}
		}
	})
}
