package importer

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// auth is a description of options of its own.
const auth = `syntax = "proto3";
package acme.auth;
import "google/protobuf/descriptor.proto";
enum Scope {
  NONE = 0;
  // Read things.
  // That is all.
  //
  // A second paragraph, about {path} and ` + "`more`" + `.
  Things_Get = 1 [(listed) = true];
  Things_Add = 2 [(listed) = true, (needs) = Things_Get];
  Secret = 3 [(needs) = Things_Add, (needs) = Things_Get];
}
enum Kind { UNSET = 0; OPEN = 1; KEY = 2; STAFF = 3; }
extend google.protobuf.MethodOptions {
  repeated Scope scopes = 50001;
  Kind kind = 50002;
  string words = 50003;
  bool login = 50004;
  int32 number = 50005;
}
extend google.protobuf.ServiceOptions { Kind service_kind = 50001; }
extend google.protobuf.EnumValueOptions {
  bool listed = 50001;
  repeated Scope needs = 50002;
}
`

// acme are the options that go with it.
func acme() ProtoOptions {
	return ProtoOptions{
		ScopesOption: "acme.auth.scopes", AuthOption: "acme.auth.kind",
		ScopeNeedsOption: "acme.auth.needs", ScopeListedOption: "acme.auth.listed",
		Auth: map[string][]string{"OPEN": {"public"}, "KEY": {"app_key", "pat", "session"}, "STAFF": {"session"}},
	}
}

// service makes a description of rpc lines.
func service(rpcs string) []fs.FS {
	return folder("acme/auth.proto", auth, "acme/api.proto", `syntax = "proto3";
package acme;
import "acme/auth.proto";
import "google/api/annotations.proto";
message M { string id = 1; M inner = 2; string user_id = 3; }
service API {
`+rpcs+`
}
`)
}

func TestProto(t *testing.T) {
	scopes := `scope Secret {
	needs Things:Add Things:Get
	hidden
}
scope Things:Add {
	needs Things:Get
}
scope Things:Get "Read things. That is all"
`
	tests := []struct {
		name, rpcs, routes string
		change             func(*ProtoOptions)
		warnings           []string
	}{
		{
			name: "every kind of binding",
			rpcs: `rpc Do (M) returns (M) {
  option (google.api.http) = {
    get: "/v1/{id}"
    additional_bindings { put: "/v1/{id}" body: "*" }
    additional_bindings { post: "/v1/{id}" }
    additional_bindings { delete: "/v1/{id}" }
    additional_bindings { patch: "/v1/{id}" }
    additional_bindings { custom { kind: "head" path: "/v1/{id}" } }
    additional_bindings { custom { kind: "*" path: "/v1/all" } }
  };
  option (acme.auth.kind) = KEY;
  option (acme.auth.scopes) = Things_Add;
  option (acme.auth.scopes) = Things_Get;
}`,
			routes: `route grpc /acme.API/Do Things:Add Things:Get
route * /v1/all Things:Add Things:Get {
	endpoint /acme.API/Do
}
route DELETE /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}
route GET /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}
route HEAD /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}
route PATCH /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}
route POST /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}
route PUT /v1/{id} Things:Add Things:Get {
	endpoint /acme.API/Do
}`,
		},
		{
			name: "path templates",
			rpcs: `rpc Do (M) returns (M) {
  option (google.api.http) = {
    get: "/v1/{inner.id}/{inner.inner.id=*}"
    additional_bindings { get: "/v1/{id=projects/*/locations/*}:run" }
    additional_bindings { get: "/v1/files/{id=**}" }
    additional_bindings { get: "/v1/any/*/x/*" }
    additional_bindings { get: "/v1/any/**" }
    additional_bindings { get: "/v1/things:count" }
    additional_bindings { get: "/v1/reserved/{path}/{method}" }
    additional_bindings { get: "/v1/twice/{a.b}/{a_b}/{a.b}" }
  };
  option (acme.auth.kind) = STAFF;
}`,
			routes: `route grpc /acme.API/Do {
	accept session
}
route GET /v1/any/{any}/x/{any_2} {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/any/{rest=**} {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/files/{id=**} {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/reserved/{path_}/{method_} {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/things:count {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/twice/{a_b}/{a_b_2}/{a_b_3} {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/{id=projects/*/locations/*}:run {
	endpoint /acme.API/Do
	accept session
}
route GET /v1/{inner_id}/{inner_inner_id} {
	endpoint /acme.API/Do
	accept session
}`,
		},
		{
			name: "what can't be a route is left out, and closed",
			rpcs: `rpc Do (M) returns (M) {
  option (google.api.http) = {
    get: "/v1/a*b"
    additional_bindings { get: "v1" }
    additional_bindings { get: "/v1/{id" }
    additional_bindings { get: "/v1/{id}x" }
    additional_bindings { get: "/v1/{id=**}/x" }
    additional_bindings { custom { kind: "REPORT" path: "/v1" } }
    additional_bindings { body: "*" }
    additional_bindings { get: "/v1/ok" additional_bindings { get: "/v1/inner" } }
  };
  option (acme.auth.kind) = OPEN;
}`,
			routes: `route grpc /acme.API/Do {
	accept public
}
# Do is left out: its path "v1" must begin with /.
route GET /v1 {
	endpoint /acme.API/Do
	accept none
}
# Do is left out: it has additional_bindings inside of others, which google.api.http doesn't allow.
route GET /v1/inner {
	endpoint /acme.API/Do
	accept none
}
route GET /v1/ok {
	endpoint /acme.API/Do
	accept public
}
# Do is left out: its path "/v1/(id)x": a variable takes a whole segment.
# Do is left out: pattern "/v1/a*b": the literal "a*b" has one of ' ; % ? # *, which no literal may contain: write characters in their decoded form, and a wildcard as (name).
route GET /v1/{any} {
	endpoint /acme.API/Do
	accept none
	allow colon
}
# Do is left out: its path "/v1/(id": a ( without a ).
# Do is left out: pattern "/v1/(id=**)/x": ** takes the rest of the path, so nothing may follow it but a :verb.
route GET /v1/{id=**} {
	endpoint /acme.API/Do
	accept none
	allow colon
}
# Do is left out: its method "REPORT" is refused in every request.`,
			warnings: []string{`literal "a*b"`, `"v1" must begin with /`, "a { without a }", "takes a whole segment", "nothing may follow it", `"REPORT"`, "without a path", "additional_bindings inside of others"},
		},
		{
			name: "nothing stated is never open",
			rpcs: `rpc Do (M) returns (M) { option (google.api.http) = { get: "/v1" }; }`,
			routes: `# Do states no demand.
route grpc /acme.API/Do {
	accept none
}
# Do states no demand.
route GET /v1 {
	endpoint /acme.API/Do
	accept none
}`,
			warnings: []string{"acme/api.proto:7: Do states no demand: accept none"},
		},
		{
			name:   "unless kinds are named",
			change: func(o *ProtoOptions) { o.Unstated = []string{"session"} },
			rpcs:   `rpc Do (M) returns (M);`,
			routes: `# Do states no demand.
route grpc /acme.API/Do {
	accept session
}`,
			warnings: []string{"accept session"},
		},
		{
			name: "what is stated and can't be said stays closed",
			rpcs: `rpc Unknown (M) returns (M) { option (acme.auth.kind) = UNSET; }
rpc None (M) returns (M) { option (acme.auth.scopes) = NONE; option (acme.auth.scopes) = Things_Get; }
rpc Both (M) returns (M) { option (acme.auth.kind) = OPEN; option (acme.auth.scopes) = Things_Get; }`,
			routes: `route grpc /acme.API/Both Things:Get
# None demands a scope without a name (NONE).
route grpc /acme.API/None Things:Get {
	accept none
}
# Unknown asks for UNSET.
route grpc /acme.API/Unknown {
	accept none
}`,
			warnings: []string{"asks for UNSET", "a scope without a name (NONE)", "is public by OPEN"},
		},
		{
			name: "one shape, two demands",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" }; option (acme.auth.kind) = KEY; option (acme.auth.scopes) = Things_Get; }
rpc B (M) returns (M) { option (google.api.http) = { get: "/v1/{a}" }; option (acme.auth.kind) = STAFF; option (acme.auth.scopes) = Secret; }`,
			routes: `route grpc /acme.API/A Things:Get
route grpc /acme.API/B Secret {
	accept session
}
# Demands all that A and B do.
route GET /v1/{a} Secret Things:Get {
	endpoint /acme.API/A /acme.API/B
	accept session
}`,
			warnings: []string{"acme/api.proto:8: B has the method and shape of A (acme/api.proto:7), which demands something else"},
		},
		{
			name: "one shape, public and not",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = { get: "/v1" additional_bindings { put: "/v1" } }; option (acme.auth.kind) = OPEN; }
rpc B (M) returns (M) { option (google.api.http) = { get: "/v1" additional_bindings { put: "/v1" } }; option (acme.auth.kind) = STAFF; }
rpc C (M) returns (M) { option (google.api.http) = { put: "/v1" }; option (acme.auth.kind) = OPEN; }`,
			routes: `route grpc /acme.API/A {
	accept public
}
route grpc /acme.API/B {
	accept session
}
route grpc /acme.API/C {
	accept public
}
# Demands all that A and B do.
route GET /v1 {
	endpoint /acme.API/A /acme.API/B
	accept session
}
# Demands all that A and B do.
# Demands all that A and C do.
route PUT /v1 {
	endpoint /acme.API/A /acme.API/B /acme.API/C
	accept session
}`,
			warnings: []string{"B has the method and shape", "B has the method and shape", "C has the method and shape"},
		},
		{
			name: "one shape, one demand",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" }; option (acme.auth.kind) = KEY; }
rpc B (M) returns (M) { option (google.api.http) = { get: "/v1/{a}" }; option (acme.auth.kind) = KEY; }`,
			routes: `route grpc /acme.API/A
route grpc /acme.API/B
route GET /v1/{a} {
	endpoint /acme.API/A /acme.API/B
}`,
		},
		{
			name: "owner and app by name",
			change: func(o *ProtoOptions) {
				o.OwnerField, o.AppField = "inner.id", "id"
			},
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = {
  get: "/v1/{user_id}/{inner.id}/{id}"
  additional_bindings { get: "/v2/{inner.id=users/*}" }
}; option (acme.auth.kind) = KEY; }`,
			routes: `route grpc /acme.API/A
route GET /v1/{user_id_}/{user_id}/{app_id} {
	endpoint /acme.API/A
}
# A: it names the owner or the app in several segments (inner.id), which can't be checked.
route GET /v2/{user_id_=users/*} {
	endpoint /acme.API/A
	accept none
}`,
			warnings: []string{"several segments (inner.id)", "only a text called user_id", "only a text called app_id"},
		},
		{
			name: "owner and app as Clarifai calls them",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = {
  get: "/v1/{user_app_id.user_id}/{user_app_id.app_id}/{user_id}/{other.user_id}"
  additional_bindings { get: "/v2/{user_id}" }
}; option (acme.auth.kind) = KEY; }`,
			routes: `route grpc /acme.API/A
route GET /v1/{user_id}/{app_id}/{user_id_2}/{other_user_id} {
	endpoint /acme.API/A
}
route GET /v2/{user_id} {
	endpoint /acme.API/A
}`,
		},
		{
			name: "owner twice in one path",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = {
  get: "/v1/{user_app_id.user_id}/x/{user_app_id.user_id}"
  additional_bindings { get: "/v2/{id}/x/{id}" }
}; option (acme.auth.kind) = KEY; }`,
			routes: `route grpc /acme.API/A
# A: it names the owner or the app twice (user_app_id.user_id), and one of them can't be checked.
route GET /v1/{user_id}/x/{user_id_2} {
	endpoint /acme.API/A
	accept none
}
route GET /v2/{id}/x/{id_2} {
	endpoint /acme.API/A
}`,
			warnings: []string{"twice (user_app_id.user_id)"},
		},
		{
			name: "owner in two places of one shape",
			rpcs: `rpc A (M) returns (M) { option (google.api.http) = { get: "/v1/{user_app_id.user_id}/{id}" }; option (acme.auth.kind) = KEY; }
rpc B (M) returns (M) { option (google.api.http) = { get: "/v1/{id}/{user_app_id.user_id}" }; option (acme.auth.kind) = KEY; }
rpc C (M) returns (M) { option (google.api.http) = { get: "/v2/{id}/{inner.id}" }; option (acme.auth.kind) = KEY; }
rpc D (M) returns (M) { option (google.api.http) = { get: "/v2/{id}/{user_app_id.user_id}" }; option (acme.auth.kind) = KEY; }`,
			routes: `route grpc /acme.API/A
route grpc /acme.API/B
route grpc /acme.API/C
route grpc /acme.API/D
# A and B have the owner or app in different places.
route GET /v1/{user_id}/{id} {
	endpoint /acme.API/A /acme.API/B
	accept none
}
route GET /v2/{id}/{user_id} {
	endpoint /acme.API/C /acme.API/D
}`,
			warnings: []string{"owner or app elsewhere in the path: accept none"},
		},
		{
			name:   "another separator",
			change: func(o *ProtoOptions) { o.ScopeSeparator = "."; o.NoDescriptions = true },
			rpcs:   `rpc A (M) returns (M) { option (acme.auth.scopes) = Things_Get; }`,
			routes: `route grpc /acme.API/A Things.Get`,
		},
		{
			name: "the service speaks for methods that are silent",
			change: func(o *ProtoOptions) {
				o.AuthOption = "acme.auth.service_kind"
			},
			rpcs: `option (acme.auth.service_kind) = STAFF;
rpc A (M) returns (M);`,
			routes: `route grpc /acme.API/A {
	accept session
}`,
		},
		{
			name: "scopes in a text, and a flag",
			change: func(o *ProtoOptions) {
				o.ScopesOption, o.AuthOption = "acme.auth.words", "acme.auth.login"
				o.Auth = map[string][]string{"true": {"pat", "session"}}
			},
			rpcs: `rpc A (M) returns (M) { option (acme.auth.words) = "https://acme.example/auth/read, write:all"; option (acme.auth.login) = true; }`,
			routes: `scope acme.example:auth:read https://acme.example/auth/read
scope write:all

route grpc /acme.API/A acme.example:auth:read write:all {
	accept pat session
}`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := acme()
			o.Sources, o.Files = service(test.rpcs), []string{"acme/api.proto"}
			if test.change != nil {
				test.change(&o)
			}
			res, err := Proto(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			want := scopes + "\n" + test.routes
			switch {
			case o.ScopeSeparator != "":
				want = strings.ReplaceAll(strings.ReplaceAll(want, ":", o.ScopeSeparator), ` "Read things. That is all"`, "")
			case o.ScopesOption != "acme.auth.scopes":
				want = test.routes
			}
			if got := body(t, res); got != want {
				t.Errorf("got\n%s\n\nwant\n%s", got, want)
			}
			warned(t, res, test.warnings...)
		})
	}
}

// The compiler's output and a descriptor set give the same table.
func TestProtoDescriptorSet(t *testing.T) {
	o := acme()
	o.Sources, o.Files = service(`rpc A (M) returns (M) { option (google.api.http) = { get: "/v1/{id}" }; option (acme.auth.scopes) = Things_Add; }`), []string{"acme/api.proto"}
	compiled, err := compile(t.Context(), o.Sources, o.Files)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Proto(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Sources, o.Files = nil, nil
	if o.DescriptorSet, err = proto.Marshal(compiled); err != nil {
		t.Fatal(err)
	}
	got, err := Proto(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if sound(t, got) != sound(t, want) {
		t.Errorf("got\n%s\nwant\n%s", sound(t, got), sound(t, want))
	}
	// Without the file that declares scopes, the options have no names.
	compiled.File = slices.DeleteFunc(compiled.File, func(f *descriptorpb.FileDescriptorProto) bool { return f.GetName() == "acme/auth.proto" })
	if o.DescriptorSet, err = proto.Marshal(compiled); err != nil {
		t.Fatal(err)
	}
	if _, err := Proto(t.Context(), o); err == nil || !strings.Contains(err.Error(), "acme.auth.scopes") {
		t.Errorf("without the options' declaration: %v, want an error that names one", err)
	}
	o = ProtoOptions{DescriptorSet: o.DescriptorSet}
	if got, err = Proto(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if text := sound(t, got); strings.Count(text, "accept none") != 2 {
		t.Errorf("routes whose options can't be read are open:\n%s", text)
	}
}

// Options that can't be read say something, but nobody knows what: the service
// must not speak for the method.
func TestProtoUnreadableOption(t *testing.T) {
	o := acme()
	o.ScopesOption, o.AuthOption = "acme.auth.words", "acme.auth.service_kind"
	compiled, err := compile(t.Context(), service(`option (acme.auth.service_kind) = OPEN; rpc A (M) returns (M);`), []string{"acme/api.proto"})
	if err != nil {
		t.Fatal(err)
	}
	opts := new(descriptorpb.MethodOptions)
	opts.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 50003, protowire.BytesType), "\xff"))
	for _, file := range compiled.File {
		if len(file.Service) > 0 {
			file.Service[0].Method[0].Options = opts
		}
	}
	if o.DescriptorSet, err = proto.Marshal(compiled); err != nil {
		t.Fatal(err)
	}
	res, err := Proto(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	warned(t, res, "A demands a scope without a name")
	if text := sound(t, res); !strings.Contains(text, "accept none") {
		t.Errorf("got\n%s", text)
	}
}

// A scope called All grants everything, so it needs nothing.
func TestProtoScopeAll(t *testing.T) {
	text := strings.Replace(auth, "Secret = 3", "All = 4 [(listed) = true, (needs) = Things_Get];\n  More = 5 [(needs) = NONE];\n  Secret = 3", 1)
	o := acme()
	o.Sources, o.Files = append(folder("acme/auth.proto", text), service(`rpc A (M) returns (M) { option (acme.auth.scopes) = All; }`)...), []string{"acme/api.proto"}
	res, err := Proto(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	warned(t, res, "All grants every scope", "More needs NONE")
	if got := sound(t, res); !strings.Contains(got, "scope All\n") || !strings.Contains(got, "route grpc /acme.API/A All\n") {
		t.Errorf("got\n%s", got)
	}
}

// Any one of the scopes in Google's option may be enough.
func TestProtoOAuthScopes(t *testing.T) {
	res, err := Proto(t.Context(), ProtoOptions{Files: []string{"api.proto"}, Sources: folder("api.proto", `syntax = "proto3";
import "google/api/client.proto";
message M {}
service API {
  option (google.api.oauth_scopes) = "https://www.googleapis.com/auth/cloud-platform,https://www.googleapis.com/auth/pubsub";
  rpc A (M) returns (M);
  rpc B (M) returns (M);
}`)})
	if err != nil {
		t.Fatal(err)
	}
	warned(t, res, "api.proto:4: API lists 2 scopes")
	want := `scope www.googleapis.com:auth:cloud-platform https://www.googleapis.com/auth/cloud-platform
scope www.googleapis.com:auth:pubsub https://www.googleapis.com/auth/pubsub

route grpc /API/A www.googleapis.com:auth:cloud-platform www.googleapis.com:auth:pubsub
route grpc /API/B www.googleapis.com:auth:cloud-platform www.googleapis.com:auth:pubsub`
	if got := body(t, res); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProtoErrors(t *testing.T) {
	tests := []struct {
		name, want string
		change     func(*ProtoOptions)
	}{
		{"no files", "name files", func(o *ProtoOptions) { o.Files = nil }},
		{"no such file", "import path", func(o *ProtoOptions) { o.Files = []string{"x.proto"} }},
		{"outside of the folders", "", func(o *ProtoOptions) { o.Files = []string{"../x.proto"} }},
		{"no service", "no service", func(o *ProtoOptions) { o.Files = []string{"acme/auth.proto"} }},
		{"a mistake in a source", "api.proto:1:", func(o *ProtoOptions) { o.Sources = folder("acme/api.proto", "what?") }},
		{"an import that is missing", "import path", func(o *ProtoOptions) { o.Sources = folder("acme/api.proto", `syntax = "proto3"; import "x.proto";`) }},
		{"imports in a circle", "cycle", func(o *ProtoOptions) {
			o.Sources = folder("acme/api.proto", `syntax = "proto3"; import "x.proto";`, "x.proto", `syntax = "proto3"; import "acme/api.proto";`)
		}},
		{"no such option", `"acme.nosuch"`, func(o *ProtoOptions) { o.ScopesOption = "acme.nosuch" }},
		{"an option of something else", "EnumValueOptions", func(o *ProtoOptions) { o.AuthOption = "acme.auth.needs" }},
		{"an option of numbers", "int32", func(o *ProtoOptions) { o.AuthOption = "acme.auth.number" }},
		{"no name at all", `"a..b"`, func(o *ProtoOptions) { o.ScopeNeedsOption = "a..b" }},
		{"a separator that no name may have", "separator", func(o *ProtoOptions) { o.ScopeSeparator = "/" }},
		{"unknown kinds", "accept takes", func(o *ProtoOptions) { o.Auth = map[string][]string{"KEY": {"keys"}} }},
		{"all that is unstated public", "made public", func(o *ProtoOptions) { o.Unstated = []string{"public"} }},
		{"unstated nonsense", "accept takes", func(o *ProtoOptions) { o.Unstated = []string{"all"} }},
		{"not a descriptor set", "not a descriptor set", func(o *ProtoOptions) { o.DescriptorSet = []byte("what?") }},
		{"an empty descriptor set", "no service", func(o *ProtoOptions) {
			o.DescriptorSet = []byte{}
			o.Files = nil
			*o = ProtoOptions{DescriptorSet: []byte{}}
		}},
		{"a file that the set lacks", "not in the descriptor set", func(o *ProtoOptions) { *o = ProtoOptions{DescriptorSet: []byte{}, Files: []string{"x.proto"}} }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := acme()
			o.Sources, o.Files = service(`rpc A (M) returns (M);`), []string{"acme/api.proto"}
			test.change(&o)
			if _, err := Proto(t.Context(), o); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want one with %q", err, test.want)
			}
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	o := acme()
	o.Sources, o.Files = service(`rpc A (M) returns (M);`), []string{"acme/api.proto"}
	if _, err := Proto(ended, o); err == nil {
		t.Error("an ended context: no error")
	}
}
