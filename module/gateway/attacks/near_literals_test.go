package attacks

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// nearRoutes are routes that a lenient upstream takes some path of for another.
const nearRoutes = `
	route GET /{page=**} {
		accept public
	}
	route GET /admin/{rest=**} Admin
	route GET /reports Admin
	route GET /v2/{rest=**} Weak
	route GET /v2/inputs/{input_id} Admin
	route GET /v2/inputs/status Weak
	route GET /v2/models/{model_id} Weak
	route GET /v2/models/latest Weak
	route GET /strasse Admin
`

// A path that an upstream may read as another route with other demands is
// refused: Express and Caddy's own matchers ignore case, IIS drops what is
// behind a name, Rails and Express drop a slash or an extension.
func TestNearLiteralsAreRefused(t *testing.T) {
	server := gatetest.Start(t, nearRoutes)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	auth := "Authorization: Key " + server.AppKey("alice", "shop", "Weak") + "\r\n"
	for target, refused := range map[string]bool{
		"/Admin/users":              true,
		"/ADMIN/users":              true,
		"/ADM%C4%B0N/users":         true, // İ
		"/adm%C4%B1n/users":         true, // ı
		"/%EF%BD%81dmin/users":      true, // a of full width
		"/admin./users":             true,
		"/admin%20/users":           true,
		"/Reports":                  true,
		"/reports/":                 true,
		"/reports.":                 true,
		"/reports.json":             true,
		"/reports.JSON/":            true,
		"/REPORTS.tar.gz":           true,
		"/reports%20":               true,
		"/report%C5%BF":             true, // ſ
		"/stra%C3%9Fe":              true, // ß
		"/v2/inputs/x/":             true,
		"/v2/Inputs/x":              true,
		"/V2/inputs/x":              true,
		"/":                         false,
		"/administration/users":     false,
		"/reports2":                 false,
		"/v2/models/LATEST":         false, // the same demands
		"/v2/models/v1.2":           false,
		"/v2/models/llama.gguf":     false,
		"/v2/other/X.json":          false,
		"/Pages/about.html":         false,
		"/pages/%C3%9Cbersicht.pdf": false,
	} {
		before := server.Upstream.Count()
		status := server.Raw("GET " + target + " HTTP/1.1\r\nHost: a\r\n" + auth + "\r\n")
		want, reached := 200, server.Upstream.Count() > before
		if refused {
			want = 400
		}
		if status != want || reached == refused {
			t.Errorf("%s is answered %d and reached the upstream: %v; refused has to be %v", target, status, reached, refused)
		}
	}
	server.Reload(nearRoutes + "\tmode shadow\n")
	before := server.Upstream.Count()
	if status := server.Raw("GET /Admin/users HTTP/1.1\r\nHost: a\r\n\r\n"); status != 400 || server.Upstream.Count() != before {
		t.Errorf("in shadow mode a near literal is answered %d", status)
	}
}

// A route whose upstream compares paths exactly may allow near literals.
func TestNearLiteralsAreAllowed(t *testing.T) {
	server := gatetest.Start(t, `
	route GET /{page=**} {
		accept public
		allow near_literal
	}
	route GET /admin/{rest=**} Admin`)
	for target, want := range map[string]int{"/Admin/users": 200, "/admin/users": 401} {
		if status := server.Raw("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n"); status != want {
			t.Errorf("%s is answered %d, want %d", target, status, want)
		}
	}
}

// Generated clients escape the colons of a variable. Where a verb stands
// behind a colon too, its route's demands are met as well.
func TestEscapedColons(t *testing.T) {
	server := gatetest.Start(t, `
	route POST /v2/items/{item_id} Weak {
		allow colon
	}
	route POST /v2/items/{item_id}:purge Strong
	route POST /v2/plain/{item_id} Weak`)
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	weak := server.AppKey("alice", "shop", "Weak")
	both := server.AppKey("alice", "shop", "Weak", "Strong")
	for _, row := range []struct {
		target, key string
		want        int
	}{
		{"/v2/items/a:b", weak, 200},
		{"/v2/items/a%3Ab", weak, 200},
		{"/v2/items/a%3ab", weak, 200},
		{"/v2/items/a:purge", weak, 403},
		{"/v2/items/a%3Apurge", weak, 403},
		{"/v2/items/a%3apurge", weak, 403},
		{"/v2/items/a%3Apurge", both, 200},
		{"/v2/items/a%253Apurge", both, 400},
		{"/v2/plain/a%3Ab", both, 400},
	} {
		status := server.Raw("POST " + row.target + " HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nAuthorization: Key " + row.key + "\r\n\r\n")
		if status != row.want {
			t.Errorf("%s is answered %d, want %d", row.target, status, row.want)
		}
	}
}
