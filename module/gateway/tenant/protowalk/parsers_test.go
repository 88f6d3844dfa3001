package protowalk_test

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
)

const testSources = "../../../../testdata/proto"

// protobufjs is a process that reads messages with versions 6 and 7.
type protobufjs struct {
	tb  testing.TB
	ask func(line string)
	out *bufio.Scanner
}

// clarifaiSources returns the import path of Clarifai's protobuf sources.
func clarifaiSources(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(machine.NPMModules(tb, "../../../../testdata/clarifai-proto"), "clarifai-nodejs-grpc")
}

func startProtobufjs(tb testing.TB, root, file, typeName string) *protobufjs {
	tb.Helper()
	machine.NPMModules(tb, "../../../../testdata/protobufjs")
	cmd := exec.Command(machine.Program(tb, "node"), "../../../../testdata/protobufjs/parse.mjs", root, file, typeName)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("node ended with %v", err)
		}
	})
	p := &protobufjs{tb: tb, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 16<<20)
	p.ask = func(line string) {
		if _, err := fmt.Fprintln(in, line); err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

func (p *protobufjs) answer(into any) {
	p.tb.Helper()
	if !p.out.Scan() {
		p.tb.Fatalf("node says nothing more: %v", p.out.Err())
	}
	if err := json.Unmarshal(p.out.Bytes(), into); err != nil {
		p.tb.Fatal(err)
	}
}

// seen is what one version of protobufjs makes of a message.
type seen struct {
	// Names are the places, each with the way to it, the owner and the app.
	Names [][3]string `json:"names"`
	Error string      `json:"error"`
}

// read asks both versions about a message.
func (p *protobufjs) read(message []byte) (list []seen) {
	p.ask(hex.EncodeToString(message))
	p.answer(&list)
	return list
}

// encode has both versions encode random messages.
func (p *protobufjs) encode(n int) (messages [][]byte) {
	p.ask(fmt.Sprint("encode ", n))
	for range n {
		var encoded []string
		p.answer(&encoded)
		for _, text := range encoded {
			m, err := hex.DecodeString(text)
			if err != nil {
				p.tb.Fatal(err)
			}
			messages = append(messages, m)
		}
	}
	return messages
}

// places is what a parser read, sorted. A place that names nobody is none.
func places(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(text string) bool { return text == "/" })
	slices.Sort(list)
	return list
}

// sameNames compares what the gate found with what a parser reads. Of the
// entries of a map that have one key, parsers read the last.
func sameNames(gate named, names [][3]string) bool {
	var outside, inMaps []string
	for _, n := range names {
		if strings.Contains(n[0], "maps") {
			inMaps = append(inMaps, n[1]+"/"+n[2])
		} else {
			outside = append(outside, n[1]+"/"+n[2])
		}
	}
	left := places(gate)
	for _, text := range places(append(outside, inMaps...)) {
		i := slices.Index(left, text)
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return len(left) == 0 || len(inMaps) > 0
}

// Whatever Go and both versions of protobufjs encode is accepted.
func TestRightfulMessagesAreAccepted(t *testing.T) {
	schema := kinds(t)
	js := startProtobufjs(t, testSources, "kinds.proto", "kinds.Request")
	check := func(t *testing.T, message []byte) {
		t.Helper()
		var got named
		if err := schema.Walk(message, nil, &got); err != nil {
			t.Fatalf("%x: %v", message, err)
		}
		for i, s := range js.read(message) {
			if s.Error != "" || !sameNames(got, s.Names) {
				t.Fatalf("%x: the gate read %q, protobufjs %d %v %s", message, got, i+6, s.Names, s.Error)
			}
		}
	}
	t.Run("protobufjs", func(t *testing.T) {
		for _, m := range js.encode(500) {
			check(t, m)
		}
	})
	t.Run("Go", func(t *testing.T) {
		of := messageType(t)
		random := rand.New(rand.NewPCG(1, 2))
		for range 1000 {
			m, err := proto.Marshal(randomMessage(random, of, 0))
			if err != nil {
				t.Fatal(err)
			}
			check(t, m)
		}
	})
	t.Run("Clarifai's", func(t *testing.T) {
		d := read(t, "../../../policy/tables/clarifai.binpb")
		for _, method := range []string{"PostInputs", "PostModelOutputs", "PatchModels", "PostInputsSearches"} {
			schema, err := d.Compile("/clarifai.api.V2/"+method, watch(t, "user_app_id.user_id=1.1", "user_app_id.app_id=1.2"))
			if err != nil {
				t.Fatal(err)
			}
			js := startProtobufjs(t, clarifaiSources(t), "proto/clarifai/api/service.proto", "clarifai.api."+requests[method])
			for _, m := range js.encode(100) {
				var got named
				if err := schema.Walk(m, nil, &got); err != nil {
					t.Fatalf("%s: %x: %v", method, m, err)
				}
			}
		}
	})
}

// requests are the request messages of methods.
var requests = map[string]string{
	"PostInputs": "PostInputsRequest", "PostModelOutputs": "PostModelOutputsRequest",
	"PatchModels": "PatchModelsRequest", "PostInputsSearches": "PostInputsSearchesRequest",
}

// Of a message that is accepted, both versions of protobufjs and Go read the
// names that the gate read, however the message was tampered with.
func TestParsersReadWhatTheGateReads(t *testing.T) {
	schema, of := kinds(t), messageType(t)
	js := startProtobufjs(t, testSources, "kinds.proto", "kinds.Request")
	messages := js.encode(50)
	random := rand.New(rand.NewPCG(3, 4))
	accepted := 0
	for n := range 30000 {
		message := slices.Clone(messages[random.IntN(len(messages))])
		for range 1 + n%4 {
			message = tamper(random, message)
		}
		var got named
		if schema.Walk(message, nil, &got) != nil {
			continue
		}
		accepted++
		for i, s := range js.read(message) {
			if s.Error != "" || !sameNames(got, s.Names) {
				t.Fatalf("%x: the gate read %q, protobufjs %d %v %s", message, got, i+6, s.Names, s.Error)
			}
		}
		checkGo(t, of, message, got)
	}
	if accepted < 1000 {
		t.Errorf("only %d were accepted", accepted)
	}
}

// hidden is what an attacker would hide.
var hidden = ld(1, who("alice", "main"))

// tamper changes a message in one of the ways in which parsers have been
// misled, or anywhere.
func tamper(r *rand.Rand, m []byte) []byte {
	at := r.IntN(len(m) + 1)
	insert := func(text string) []byte { return slices.Insert(m, at, []byte(text)...) }
	switch r.IntN(8) {
	case 0:
		return insert(hidden)
	case 1:
		return append(m, ld(protowire.Number(1+r.IntN(20)), hidden)...)
	case 2: // a longer varint
		for i := at; i < len(m); i++ {
			if m[i] < 0x80 {
				longer := append([]byte{m[i] | 0x80}, []byte(strings.Repeat("\x80", r.IntN(10)))...)
				return slices.Concat(m[:i], longer, []byte{byte(r.IntN(2))}, m[i+1:])
			}
		}
	case 3: // another wire type
		if at < len(m) {
			m[at] = m[at]&^7 | byte(r.IntN(8))
		}
	case 4:
		if at < len(m) {
			m[at] = byte(r.Uint32())
		}
	case 5:
		return m[:at]
	case 6:
		return append(m, vi(protowire.Number(1+r.IntN(120)), r.Uint64()>>r.IntN(64))...)
	default:
		return slices.Concat(m, m[at:])
	}
	return m
}

// checkGo compares with Go's parser.
func checkGo(tb testing.TB, of protoreflect.MessageDescriptor, message []byte, got named) {
	tb.Helper()
	m := dynamicpb.NewMessage(of)
	if err := proto.Unmarshal(message, m); err != nil {
		tb.Fatalf("%x: Go refuses what the gate accepted: %v", message, err)
	}
	var names [][3]string
	namesIn(m, "", &names)
	if !sameNames(got, names) {
		tb.Fatalf("%x: the gate read %q, Go %v", message, got, names)
	}
}

func namesIn(m protoreflect.Message, way string, list *[][3]string) {
	fields := m.Descriptor().Fields()
	if m.Descriptor().Name() == "UserAppID" {
		*list = append(*list, [3]string{way, m.Get(fields.ByNumber(1)).String(), m.Get(fields.ByNumber(2)).String()})
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		further := way + "." + string(f.Name())
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				namesIn(v.Message(), further, list)
				return true
			})
		case f.IsList() && f.Message() != nil:
			for i := range v.List().Len() {
				namesIn(v.List().Get(i).Message(), further, list)
			}
		case !f.IsMap() && f.Message() != nil:
			namesIn(v.Message(), further, list)
		}
		return true
	})
}

// FuzzWalk: what is accepted, Go reads as the gate does.
func FuzzWalk(f *testing.F) {
	schema, of := kinds(f), messageType(f)
	for _, seed := range []string{
		hidden, ld(6, hidden) + ld(5, hidden), ld(4, ld(3, ld(1, "k"), ld(2, who("a", "b")))), ld(2, vi(3, minus)+f32(9)+f64(10)),
		ld(3, ld(3, "\x01\x02")+vi(3, 1)+ld(14, "x")), ld(7, ld(1, ld(2, "x"))), vi(20000, 1) + vi(100, 1),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var got named
		if schema.Walk(message, nil, &got) == nil {
			checkGo(t, of, message, got)
		}
	})
}

func messageType(tb testing.TB) protoreflect.MessageDescriptor {
	tb.Helper()
	wire, err := os.ReadFile(testSet)
	if err != nil {
		tb.Fatal(err)
	}
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(wire, set); err != nil {
		tb.Fatal(err)
	}
	files, err := protodesc.FileOptions{AllowUnresolvable: true}.NewFiles(set)
	if err != nil {
		tb.Fatal(err)
	}
	d, err := files.FindDescriptorByName("kinds.Request")
	if err != nil {
		tb.Fatal(err)
	}
	return d.(protoreflect.MessageDescriptor)
}

// randomMessage makes up a message.
func randomMessage(r *rand.Rand, of protoreflect.MessageDescriptor, depth int) *dynamicpb.Message {
	m := dynamicpb.NewMessage(of)
	for i := range of.Fields().Len() {
		f := of.Fields().Get(i)
		if depth > 4 || r.IntN(5) < 2 {
			continue
		}
		switch {
		case f.IsMap():
			for range r.IntN(3) {
				m.Mutable(f).Map().Set(randomValue(r, f.MapKey(), depth).MapKey(), randomValue(r, f.MapValue(), depth))
			}
		case f.IsList():
			for range r.IntN(3) {
				m.Mutable(f).List().Append(randomValue(r, f, depth))
			}
		default:
			m.Set(f, randomValue(r, f, depth))
		}
	}
	return m
}

func randomValue(r *rand.Rand, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	bits := r.Uint64() >> r.IntN(64)
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(bits%2 == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(bits)))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(bits))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(int64(bits))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(bits)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(r.Float32())
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(r.Float64())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString([]string{"", "alice", "é", "🔑"}[bits%4])
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("\xff\x00\x0a")[:bits%4])
	default:
		return protoreflect.ValueOfMessage(randomMessage(r, f.Message(), depth+1))
	}
}

var _ protowalk.Visitor = (*named)(nil)
