package cmd

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// descriptions is a folder with a protobuf description and an OpenAPI one.
func descriptions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"proto/acme/auth.proto": `syntax = "proto3"; package acme; import "google/protobuf/descriptor.proto";
enum Kind { NONE = 0; KEY = 1; }
extend google.protobuf.MethodOptions { string scopes = 50001; Kind kind = 50002; }`,
		"proto/acme/api.proto": `syntax = "proto3"; package acme; import "acme/auth.proto"; import "google/api/annotations.proto";
message M { string name = 1; }
service API {
  rpc Get (M) returns (M) {
    option (google.api.http) = { get: "/v1/{name}" };
    option (scopes) = "Things:Get";
    option (kind) = KEY;
  }
  rpc Ping (M) returns (M);
}`,
		"api.yaml": "openapi: 3.0.0\npaths: {'/v1/{name}': {get: {x-scopes: [read]}, put: {}}}",
	} {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
		Name: proto.String("a.proto"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("M")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("A"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Do"), InputType: proto.String(".M"), OutputType: proto.String(".M"),
		}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "set.binpb"), set, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestRoutesImport(t *testing.T) {
	dir := descriptions(t)
	protos := filepath.Join(dir, "proto")
	acme := []string{"--scopes-option", "acme.scopes", "--auth-option", "acme.kind", "--auth", "KEY=pat,session"}
	tests := []struct {
		name       string
		args       []string
		input      string
		lines, err string // what is printed has each of these
	}{
		{
			name:  "protobuf, the file as imports name it",
			args:  append([]string{"proto", "--import-path", protos, "acme/api.proto", "--owner-field", "name"}, acme...),
			lines: "scope Things:Get\nroute GET /v1/{user_id} Things:Get {\n\tendpoint /acme.API/Get\n\taccept pat session\n# Ping states no demand.\nroute grpc /acme.API/Ping {\n\taccept none",
			err:   "Warning: acme/api.proto:4: acme.M.name can also be named outside the path\nWarning: acme/api.proto:9: Ping states no demand: accept none\n2 operations, 1 binding: 3 routes and 1 scope, 2 warnings",
		},
		{
			name:  "protobuf, the file where it is",
			args:  append([]string{"proto", "--import-path", t.TempDir(), "--import-path", protos, filepath.Join(protos, "acme", "api.proto"), "--unstated", "app_key,pat"}, acme...),
			lines: "# Imported from acme/api.proto\n\taccept app_key pat",
		},
		{
			name:  "a descriptor set",
			args:  []string{"proto", filepath.Join(dir, "set.binpb")},
			lines: "route grpc /A/Do {",
		},
		{
			name:  "OpenAPI",
			args:  []string{"openapi", filepath.Join(dir, "api.yaml"), "--scopes-extension", "x-scopes", "--owner-field", "name"},
			lines: "# Imported from api.yaml\nroute GET /v1/{user_id} read\n# PUT /v1/(name) states no demand.",
			err:   "Warning: api.yaml:2: PUT /v1/{name} states no demand",
		},
		{
			name:  "OpenAPI from standard input",
			args:  []string{"openapi", "-", "--no-descriptions"},
			input: `{"swagger": "2.0", "paths": {"/a": {"get": {"security": []}}}}`,
			lines: "route GET /a {\n\taccept public",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"routes", "import"}, test.args...)
			r := run(t, test.input, args...)
			if r.err != nil {
				t.Fatal(r.err, r.errOut)
			}
			for line := range strings.SplitSeq(test.lines, "\n") {
				if !strings.Contains(r.out, line) {
					t.Errorf("no %q in\n%s", line, r.out)
				}
			}
			for line := range strings.SplitSeq(test.err, "\n") {
				if !strings.Contains(r.errOut, line) {
					t.Errorf("no %q in\n%s", line, r.errOut)
				}
			}
			if _, err := tables.Read("x.routes", []byte(r.out)); err != nil {
				t.Error(err)
			}

			file := filepath.Join(t.TempDir(), "x.routes")
			if again := run(t, test.input, append(args, "--out", file)...); again.err != nil || again.out != "" {
				t.Errorf("with --out: %v, printed %q", again.err, again.out)
			}
			if text, err := os.ReadFile(file); string(text) != r.out {
				t.Errorf("with --out: %v, wrote\n%s", err, text)
			}
			args = append(args, "--out", file)
			if again := run(t, test.input, args...); again.err != nil {
				t.Errorf("again, nothing edited: %v", again.err)
			}
			edited := r.out + "# An edit.\n"
			if err := os.WriteFile(file, []byte(edited), 0o600); err != nil {
				t.Fatal(err)
			}
			again := run(t, test.input, args...)
			if again.err == nil || !strings.Contains(again.err.Error(), "edits would be lost") || !strings.Contains(again.err.Error(), "routes check "+file+" --description") {
				t.Errorf("over an edit: %v", again.err)
			}
			if text, err := os.ReadFile(file); string(text) != edited {
				t.Errorf("the edit is lost: %v", err)
			}
			again = run(t, test.input, append(args, "--force")...)
			if text, err := os.ReadFile(file); again.err != nil || string(text) != r.out {
				t.Errorf("with --force: %v, %v, left\n%s", again.err, err, text)
			}
			args = args[:len(args)-2]

			var table struct {
				Scopes []policy.Scope
				Routes []policy.Route
			}
			as := run(t, test.input, append(args, "-o", "json")...)
			if err := json.Unmarshal([]byte(as.out), &table); err != nil || len(table.Routes) == 0 {
				t.Errorf("as JSON: %v in\n%s", err, as.out)
			}
		})
	}
}

func TestRoutesImportErrors(t *testing.T) {
	dir := descriptions(t)
	set, api := filepath.Join(dir, "set.binpb"), filepath.Join(dir, "proto", "acme", "api.proto")
	tests := []struct {
		name, want string
		args       []string
	}{
		{"no file", "it takes at least 1 argument, and none was given", []string{"proto"}},
		{"no such file", "import path", []string{"proto", "x.proto"}},
		{"no such folder", "the import path", []string{"proto", "--import-path", filepath.Join(dir, "nosuch"), "x.proto"}},
		{"a file as folder", "is not a folder", []string{"proto", "--import-path", api, "x.proto"}},
		{"two descriptor sets", "second descriptor set", []string{"proto", set, set}},
		{"no such descriptor set", "nosuch", []string{"proto", filepath.Join(dir, "nosuch.binpb")}},
		{"kinds without a value", "write it as", []string{"proto", "--auth", "pat", set}},
		{"unknown kinds", "accept takes", []string{"proto", "--auth", "KEY=pats", set}},
		{"no such option", "acme.nosuch", []string{"proto", "--scopes-option", "acme.nosuch", set}},
		{"unstated public", "made public", []string{"proto", "--unstated", "public", set}},
		{"no document", "no such file", []string{"openapi", filepath.Join(dir, "nosuch")}},
		{"another document", "neither JSON nor YAML", []string{"openapi", set}},
		{"no folder to write to", "no such file", []string{"proto", set, "--out", filepath.Join(dir, "nosuch", "x")}},
		{"no such kind of import", "no command", []string{"raml"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := run(t, "", append([]string{"routes", "import"}, test.args...)...)
			if r.err == nil || !strings.Contains(r.err.Error()+r.errOut, test.want) {
				t.Errorf("got error %v %s, want %q", r.err, r.errOut, test.want)
			}
			if r.out != "" {
				t.Errorf("printed %s", r.out)
			}
		})
	}
}
