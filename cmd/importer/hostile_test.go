package importer

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

const apiHead = `syntax = "proto3"; import "google/api/annotations.proto"; message M { string a = 1; } service A { `

// rpc is a method with many bindings.
func rpc(n int) string {
	var b strings.Builder
	b.WriteString(apiHead + `rpc Do (M) returns (M) { option (google.api.http) = { get: "/v1"`)
	for i := range n {
		fmt.Fprintf(&b, "additional_bindings{get:\"/v1/%d\"}\n", i)
	}
	b.WriteString("};}}")
	return b.String()
}

// owning is a description with many methods, each with a request of its own
// that has these fields behind one that names its owner.
func owning(n int, fields string) string {
	var methods, messages strings.Builder
	for i := range n {
		fmt.Fprintf(&methods, "rpc Do%[1]d (M%[1]d) returns (M) { option (google.api.http) = { post: \"/v1/%[1]d\" body: \"*\" }; }\n", i)
		fmt.Fprintf(&messages, "message M%d { Set user_app_id = 1000; %s}\n", i, strings.ReplaceAll(fields, " = 0;", " = 999;"))
	}
	return apiHead + methods.String() + "} message Set { string user_id = 1; string app_id = 2; }\n" + messages.String()
}

// descriptorSet is a compiled description: methods without bindings, and one
// with some, and with some inside of each other.
func descriptorSet(t testing.TB, methods, bindings, depth int) []byte {
	t.Helper()
	rule := &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: "/v1"}}
	// In the wire format, because a million messages take long to make.
	binding, err := proto.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	var wire []byte
	for range bindings {
		wire = protowire.AppendTag(wire, 11, protowire.BytesType) // additional_bindings
		wire = protowire.AppendBytes(wire, binding)
	}
	rule.ProtoReflect().SetUnknown(wire)
	for range depth {
		rule = &annotations.HttpRule{Pattern: &annotations.HttpRule_Get{Get: "/v1"}, AdditionalBindings: []*annotations.HttpRule{rule}}
	}
	opts := new(descriptorpb.MethodOptions)
	proto.SetExtension(opts, annotations.E_Http, rule)
	service := &descriptorpb.ServiceDescriptorProto{Name: proto.String("A")}
	for i := range methods {
		service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
			Name: proto.String(fmt.Sprint("M", i)), InputType: proto.String(".M"), OutputType: proto.String(".M"),
		})
	}
	service.Method = append(service.Method, &descriptorpb.MethodDescriptorProto{
		Name: proto.String("Do"), InputType: proto.String(".M"), OutputType: proto.String(".M"), Options: opts,
	})
	wire, err = proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("a.proto"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service:     []*descriptorpb.ServiceDescriptorProto{service},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// Whatever a description does, its import ends in time, without much memory,
// and with an error that says why.
func TestHostile(t *testing.T) {
	source := func(text string) func() error {
		return func() error {
			_, err := Proto(t.Context(), ProtoOptions{Sources: folder("a.proto", text), Files: []string{"a.proto"}})
			return err
		}
	}
	set := func(wire []byte) func() error {
		return func() error {
			_, err := Proto(t.Context(), ProtoOptions{DescriptorSet: wire})
			return err
		}
	}
	document := func(text string) func() error {
		return func() error {
			_, err := OpenAPI([]byte(text), OpenAPIOptions{})
			return err
		}
	}
	r := strings.Repeat
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct {
		name, want string
		run        func() error
	}{
		{"a source of 100 MiB", "larger than", source(r("// x\n", 20<<20))},
		{"brackets", "nested deeper", source(r("message M {\n", 100_000))},
		{"options nested", "nested deeper", source(`syntax = "proto3"; option x = ` + r("{a:\n", 100_000))},
		{"nothing but semicolons", "words and signs", source(`syntax = "proto3";` + r(";\n", 7<<20))},
		{"very many bindings", "words and signs", source(rpc(400_000))},
		{"as many bindings as fit", "", source(rpc(10_000))},
		{"a million bindings compiled", "more than 50000 bindings", set(descriptorSet(t, 0, 1_000_000, 0))},
		{"bindings inside of bindings", "nested deeper", set(descriptorSet(t, 0, 0, 100_000))},
		{"many methods compiled", "more than 50000 operations", set(descriptorSet(t, 60_000, 0, 0))},
		{"a long name, many times", "a full name of more than 512", source(apiHead + "}\nmessage " + r("x", 3000) + "{\n" + many(50_000, "message M%d{}\n") + "}")},
		{"a long package", "less than 512", source("syntax = \"proto3\"; package " + r(r("a.", 1000)+"\n", 50) + "a;" + many(50_000, "message M%d{}\n"))},
		{"names that add up", "a full name of more than 512", source(apiHead + "} " + r("message "+r("x", 100)+"{", 20) + r("}", 20))},
		{"many enum values", "declares more than", source("syntax = \"proto3\";\nenum E {\n" + many(240_000, "E%[1]d=%[1]d;\n") + "}")},
		{"a line without end", "break it", source(`syntax = "` + r("a", 15<<20))},
		{"a comment without end", "a.proto:1", source(`syntax = "proto3"; /*` + r("a\n", 7<<20))},
		{"a pattern of a MiB", "", source(apiHead + "rpc Do (M) returns (M) { option (google.api.http) = { get: \"/\"\n" + r("\"aaaaaaaaaaaa\"\n", 100_000) + "};}}")},
		{"messages that all contain each other", "", source(owning(100, many(100, "M%[1]d m%[1]d = %[1]d;\n")))},
		{"many requests that lead far", "", source(owning(1000, "Big a = 1; Big b = 2; Big c = 3;") + "message Big {" + many(60_000, "Big b%[1]d = 10%05[1]d;\n") + " M1 m = 1; }")},
		{"full lines", "", source(apiHead + "\n" + func() string {
			var b strings.Builder
			for i := range 4_000 {
				fmt.Fprintf(&b, "rpc M%d(M)returns(M);", i)
				if i%150 == 0 {
					b.WriteByte('\n')
				}
			}
			return b.String()
		}() + "}")},

		{"a document of 100 MiB", "larger than", document(r("# x\n", 25<<20))},
		{"nested JSON", "nested deeper", document(`{"openapi":"3.0.0","x":` + r("[", 9000) + r("]", 9000) + "}")},
		{"nested JSON without end", "neither", document(r(`{"a":`, 1_000_000))},
		{"nested YAML", "nested deeper", document("openapi: 3.0.0\nx: " + r("[", 9000) + r("]", 9000))},
		{"YAML deeper than its parser goes", "neither", document("openapi: 3.0.0\nx: " + r("[", 900_000))},
		{"many values in JSON", "more than", document(`{"openapi":"3.0.0","x":[` + r("1,", 2_000_000) + `1]}`)},
		{"many values in YAML", "more than", document("openapi: 3.0.0\nx: [" + r("1,", 4_000_000) + `1]`)},
		{"laughs", "no operation", document("openapi: 3.0.0\na0: &a0 [x]\n" + func() string {
			var b strings.Builder
			for i := range 60 {
				fmt.Fprintf(&b, "a%d: &a%d [%s*a%d]\n", i+1, i+1, r(fmt.Sprintf("*a%d,", i), 9), i)
			}
			return b.String()
		}())},
		{"an alias of itself", "", document("openapi: 3.0.0\npaths: &p {/a: *p, /b: {get: &g {security: [*g]}}}")},
		{"paths that refer to each other", "no operation", document(`{"openapi":"3.0.0","paths":{` + many(10_000, `"/%d":{"$ref":"#/paths/~10"},`) + `"/x":{}}}`)},
		{"a path that refers to itself a long way", "more than", document("openapi: 3.0.0\nx: &r {$ref: \"#" + r("/paths", 100_000) + "\"}\npaths: &p {paths: *p, " + many(10_000, "/a%d: *r, ") + "}")},
		{"one path referred to, with many fields", "more than", document(`{"openapi":"3.0.0","x":{` + many(100_000, `"x-%d":1,`) + `"get":{}},"paths":{` + many(100, `"/%d":{"$ref":"#/x"},`) + `"/x":{}}}`)},
		{"one list of scopes, aliased", "more than", document("openapi: 3.0.0\nx: &x [" + r("s,", 100_000) + "]\ny: &y {a: *x}\npaths: {/a: {get: {security: [" + r("*y,", 100_000) + "]}}}")},
		{"one list of scopes, in many extensions", "more than", document("openapi: 3.0.0\nx: &x [" + r("s,", 100_000) + "]\npaths: {" + many(10_000, "/a%d: {get: {x-required-scopes: *x}}, ") + "}")},
		{"one flow, aliased", "more than", document("openapi: 3.0.0\nx: &x {" + many(50_000, "s%d: a, ") + "}\ncomponents: {securitySchemes: {" + many(10_000, "a%d: {type: oauth2, flows: {a: {scopes: *x}}}, ") + "}}")},
		{"many fields of the document", "more than 50000 operations", document(`{"openapi":"3.0.0",` + many(100_000, `"x-%d":1,`) + `"paths":{` + many(60_000, `"/%d":{"get":{}},`) + `"/x":{}}}`)},
		{"a long way to refer", "no operation", document(`{"openapi":"3.0.0","paths":{"/a":{"$ref":"#` + r("/paths", 1<<20) + `"}}}`)},
		{"many operations", "more than 50000 operations", document(`{"openapi":"3.0.0","paths":{` + many(60_000, `"/%d":{"get":{}},`) + `"/x":{}}}`)},
		{"many servers", "more than 50000 bindings", document(`{"openapi":"3.0.0","servers":[` + many(30_000, `{"url":"/%d"},`) + `{"url":"/"}],"security":[],"paths":{` + many(20_000, `"/%d":{"get":{}},`) + `"/x":{}}}`)},
		{"servers with variables", "no operation", document(`{"openapi":"3.0.0","servers":[` + r(`{"url":"/`+r("{a}{b}{c}", 100)+`","variables":{"a":{"enum":[`+r(`"x",`, 100)+`"`+r("x", 100)+`"]},"b":{"default":"`+r("{a}", 1000)+`"},"c":{"enum":["{a}","{b}"]}}},`, 100) + `{"url":"/"}]}`)},
		{"many scopes on many operations", "32 MiB", document(`{"openapi":"3.0.0","security":[{"a":[` + many(5_000, `"scope%d",`) + `"x"]}],"paths":{` + many(40_000, `"/%d":{"get":{}},`) + `"/x":{}}}`)},
		{"a path with many variables", "no operation", document(`{"openapi":"3.0.0","paths":{"` + r("/{a}", 1<<20) + `":{}}}`)},
		{"long names many times", "", document(`{"openapi":"3.0.0","paths":{` + many(50, `"/%d":{"get":{"operationId":"`+r("x", 200_000)+`"}},`) + `"/x":{}}}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			err := test.run()
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			// All that was ever allocated is more than what was held at once.
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<30 || took > time.Minute {
				t.Errorf("it took %v and %d MiB", took, allocated>>20)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got error %.300v, want one with %q", err, test.want)
			}
		})
	}
}
