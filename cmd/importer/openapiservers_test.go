package importer

import (
	"strings"
	"testing"
)

// The base path is that of the server, whatever part of the URL a variable
// holds; where it isn't known the document is refused.
func TestOpenAPIServers(t *testing.T) {
	tests := []struct{ name, servers, routes, warning, err string }{
		{name: "a variable that holds the scheme, the host and a path", servers: `[{url: "{server}/api", variables: {server: {default: "https://x.example.com/pre"}}}]`, routes: "/pre/api/ping", warning: "taken as its default"},
		{name: "one that holds the host and a path", servers: `[{url: "https://{host}/api", variables: {host: {default: x.example.com/pre}}}]`, routes: "/pre/api/ping", warning: "taken as its default"},
		{name: "one that holds the host", servers: `[{url: "https://{host}:{port}/api", variables: {host: {default: x}, port: {default: 443}}}]`, routes: "/api/ping"},
		{name: "values that are numbers", servers: `[{url: "/v{n}", variables: {n: {enum: [1, 2], default: 1}}}]`, routes: "/v1/ping /v2/ping"},
		{name: "values with paths", servers: `[{url: "{base}", variables: {base: {enum: ["https://a/x", /y], default: /y}}}]`, routes: "/x/ping /y/ping"},
		{name: "a scheme that is variable", servers: `[{url: "{scheme}://x/api", variables: {scheme: {enum: [http, https]}}}]`, routes: "/api/ping"},
		{name: "slashes in the path", servers: `[{url: "/a//b"}]`, routes: "/a/b/ping"},
		{name: "no scheme", servers: `[{url: "//x.example/b"}, {url: "https://y"}, {url: ""}]`, routes: "/b/ping /ping"},
		{name: "a query", servers: `[{url: "https://x/b?c=/d#/e"}]`, routes: "/b/ping"},
		{name: "an escaped path", servers: `[{url: "/caf%C3%A9"}]`, routes: "/café/ping"},
		{name: "a relative path", servers: `[{url: ../b}]`, routes: "/b/ping", warning: "is relative"},
		{name: "a variable that is not declared", servers: `[{url: "https://x/{version}"}]`, err: "a variable that is not declared"},
		{name: "another one", servers: `[{url: "{server}/api", variables: {sever: {default: x}}}]`, err: "a variable that is not declared"},
		{name: "a variable without a value", servers: `[{url: "/{v}", variables: {v: {description: x}}}]`, err: "neither a default nor values"},
		{name: "values that are lists", servers: `[{url: "/{v}", variables: {v: {enum: [[a]]}}}]`, err: "have to be texts"},
		{name: "servers in another file", servers: `{$ref: x.yaml}`, err: "servers has to be a list"},
		{name: "a server in another file", servers: `[{$ref: x.yaml}]`, err: "an object with one url"},
		{name: "a server that is a text", servers: `[/v1]`, err: "an object with one url"},
		{name: "two urls", servers: `[{"url": "/a", "url": "/b"}]`, err: "an object with one url"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			res, err := OpenAPI([]byte("openapi: 3.0.3\nservers: "+test.servers+"\nsecurity: []\npaths: {/ping: {get: {}}}"), OpenAPIOptions{})
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range res.Table.Routes {
				got = append(got, r.Pattern)
			}
			if strings.Join(got, " ") != test.routes {
				t.Errorf("got %q, want %s", got, test.routes)
			}
			if test.warning != "" {
				warned(t, res, test.warning)
			} else {
				warned(t, res)
			}
		})
	}
}

// A merge key is a reason to refuse a document only where the table is made of
// what it stands in.
func TestOpenAPIMergeKeys(t *testing.T) {
	const head = "openapi: 3.0.3\nx: &x {description: a}\nsecurity: []\n"
	for _, doc := range []string{
		"components: {schemas: {A: {<<: *x}}}\npaths: {/a: {get: {}}}",
		"info: {<<: *x}\npaths: {/a: {get: {responses: {'200': {<<: *x}}, requestBody: {<<: *x}}}}",
	} {
		if res, err := OpenAPI([]byte(head+doc), OpenAPIOptions{}); err != nil || len(res.Table.Routes) != 1 {
			t.Errorf("%s: %v", doc, err)
		}
	}
	for _, doc := range []string{
		"<<: *x\npaths: {/a: {get: {}}}",
		"paths: {<<: *x, /a: {get: {}}}",
		"paths: {/a: {<<: *x, get: {}}}",
		"paths: {/a: {get: {<<: *x}}}",
		"paths: {/a: {get: {security: [{<<: *x}]}}}",
		"paths: {/a: {get: {}}}\nservers: [{<<: *x, url: /b}]",
		"paths: {/a: {get: {}}}\nservers: [{url: '/{v}', variables: {v: {<<: *x, default: a}}}]",
		"paths: {/a: {$ref: '#/y/z'}}\ny: {<<: *x, z: {get: {}}}",
		"paths: {/a: {get: {}}}\ncomponents: {securitySchemes: {<<: *x}}",
	} {
		if _, err := OpenAPI([]byte(head+doc), OpenAPIOptions{}); err == nil || !strings.Contains(err.Error(), "the merge key") {
			t.Errorf("%s: got error %v", doc, err)
		}
	}
}

// Azure's host template has a path in front of the base path.
func TestSwaggerHostTemplate(t *testing.T) {
	res, err := OpenAPI([]byte("swagger: '2.0'\nx-ms-parameterized-host: {hostTemplate: '{Endpoint}/vision'}\nbasePath: /v1\nsecurity: []\npaths: {/ping: {get: {}}}"), OpenAPIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Table.Routes[0].Pattern; got != "/vision/v1/ping" {
		t.Errorf("got %s", got)
	}
}
