package policy

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
)

// scopedRoutes makes routes of lines "METHOD PATTERN SCOPE [+colon]".
func scopedRoutes(lines ...string) []Route {
	var routes []Route
	for _, line := range lines {
		words := strings.Fields(line)
		r := Route{Method: words[0], Pattern: words[1], Scopes: words[2:3]}
		if len(words) > 3 {
			r.Allow = []string{strings.TrimPrefix(words[3], "+")}
		}
		routes = append(routes, r)
	}
	return routes
}

func TestNearLiteral(t *testing.T) {
	table := mustTable(t, scopedRoutes("GET /{rest=**} Open", "GET /admin/{rest=**} Admin", "GET /v2/inputs/{id} Read",
		"GET /v2/inputs/status Status", "GET /v2/inputs/{rest=**} Rest", "GET /v2/models/{id}:cancel Cancel", "GET /v2/models/{id} Read +colon")...)
	for path, want := range map[string]string{
		"/admin/users": "", "/Admin/users": "/admin/{rest=**}", "/ADM%C4%B0N/users": "/admin/{rest=**}", "/adm%C4%B1n": "/admin/{rest=**}",
		"/%EF%BD%81dmin/x": "/admin/{rest=**}", "/admin./x": "/admin/{rest=**}", "/admin.%20./x": "/admin/{rest=**}", "/admin.json": "/admin/{rest=**}",
		"/v2/inputs/STATUS": "/v2/inputs/status", "/v2/inputs/%C5%BFtatus": "/v2/inputs/status", "/v2/inputs/status.": "/v2/inputs/status",
		"/v2/inputs/status/": "/v2/inputs/status", "/v2/inputs/Status.tar.gz": "/v2/inputs/status", "/v2/inputs/status%20": "/v2/inputs/status",
		"/v2/inputs/STATUS/": "/v2/inputs/{id}", "/v2/inputs/x/": "/v2/inputs/{id}", "/v2/inputs/v1.2": "", "/v2/inputs/Model.json": "",
		"/v2/inputs/statuses": "", "/v2/inputs/status": "", "/V2/other": "", "/v2/models/m:CANCEL": "/v2/models/{id}:cancel",
	} {
		r := table.Find("GET", false, path)
		got := ""
		if o := table.NearLiteral(r, "GET", false, path); o != nil {
			got = o.Pattern
		}
		if got != want {
			t.Errorf("%s, found as %v: near %q, want %q", path, r, got, want)
		}
	}
}

// TestNearLiteralAgainstEverySpelling compares with the readings
// of a path as each route's own.
func TestNearLiteralAgainstEverySpelling(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	literals := []string{"a", "b", "A", "a.b", "ſ", "s"}
	segments := []string{"a", "b", "A", "a.b", "a.", "A.b.", "s", "%C5%BF", "S.json", "x", "b%20"}
	pick := func(list []string) string { return list[rng.IntN(len(list))] }
	refused := 0
	for range 20000 {
		var lines []string
		for i := range 1 + rng.IntN(4) {
			var p strings.Builder
			for j := range 1 + rng.IntN(3) {
				switch rng.IntN(3) {
				case 0:
					fmt.Fprintf(&p, "/{v%d}", j)
				default:
					p.WriteString("/" + pick(literals))
				}
			}
			if rng.IntN(4) == 0 {
				p.WriteString("/{r=**}")
			}
			lines = append(lines, fmt.Sprintf("GET %s S%d", p.String(), i%3))
		}
		table, err := NewTable(scopedRoutes(lines...), "user_id", "app_id")
		if err != nil {
			continue
		}
		for range 5 {
			path := ""
			for range 1 + rng.IntN(3) {
				path += "/" + pick(segments)
			}
			path += pick([]string{"", "", "/"})
			r := table.Find("GET", false, path)
			got := table.NearLiteral(r, "GET", false, path) != nil
			if want := r != nil && nearNaively(table, r, path); got != want {
				t.Fatalf("%q of\n%s\nfound %v: refused %v, want %v", path, strings.Join(lines, "\n"), r, got, want)
			}
			if got {
				refused++
			}
		}
	}
	if refused < 100 {
		t.Errorf("only %d paths were near", refused)
	}
}

// nearNaively reads the path as each rule's own, literal by literal.
func nearNaively(table *Table, r *Rule, path string) bool {
	ends := []string{path}
	if strings.HasSuffix(path, "/") {
		ends = append(ends, strings.TrimSuffix(path, "/"))
	}
	for _, p := range ends {
		for _, o := range table.Rules() {
			segs := strings.Split(p[1:], "/")
			fits := true
			for i, lit := range o.pattern.Segments {
				if lit == anyRest || lit == anySegment {
					continue
				}
				if i >= len(segs) {
					fits = false
					break
				}
				value := decodeSegment(segs[i])
				fits = fits && (loose(value) == loose(lit) || i == len(segs)-1 && nearTo(loose(value), loose(lit)))
				if value != lit {
					segs[i] = url.PathEscape(lit)
				}
			}
			if fits && o.asksElse(r) && table.Find("GET", false, "/"+strings.Join(segs, "/")) == o {
				return true
			}
		}
	}
	return false
}

func TestNearLiteralAllocatesNothing(t *testing.T) {
	table := mustTable(t, scopedRoutes("GET /v2/inputs/{id} Read", "GET /v2/inputs/status Status")...)
	for _, path := range []string{"/v2/inputs/abc", "/v2/inputs/abc.d"} {
		r := table.Find("GET", false, path)
		if n := testing.AllocsPerRun(100, func() { table.NearLiteral(r, "GET", false, path) }); n != 0 || !r.near {
			t.Errorf("%s: %v allocations, near %v", path, n, r.near)
		}
	}
}

func TestCheckNamesNearPairs(t *testing.T) {
	routes := scopedRoutes("GET /inputs/{id} Read", "GET /inputs/status Status", "GET /other/{id} Read", "POST /inputs/{id} Read",
		"GET /free/{id} Read +near_literal", "GET /free/status Status")
	for i := range routes {
		routes[i].Place = fmt.Sprintf("t:%d", i+1)
	}
	var got []string
	for _, f := range Check(Checked{Routes: routes, Owner: "user_id", App: "app_id"}) {
		if f.Kind == FindingNear {
			got = append(got, f.Place+" "+f.Text)
		}
	}
	want := "t:1 route GET /inputs/{id} refuses paths such as /inputs/STATUS, which a lenient upstream routes to GET /inputs/status at t:2; add allow near_literal to the route if your upstream compares exactly"
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q alone", got, want)
	}
}

func TestEscapedColonMeetsBothDemands(t *testing.T) {
	table := mustTable(t, scopedRoutes("POST /m/{id} Read +colon", "POST /m/{id}:cancel Cancel", "POST /u/{user_id} Read +colon", "POST /u/{user_id}:cancel Cancel")...)
	for path, want := range map[string]string{
		"/m/a%3Acancel": "Cancel Read", "/m/a%3acancel": "Cancel Read", "/m/a%3Aother": "Read", "/m/a": "Read", "/m/a:cancel": "Cancel",
		"/u/a%3Acancel": "near", "/u/a%3Ab": "Read", "/m/a%3ACANCEL": "near",
	} {
		r, near := table.Settle(table.Find("POST", false, path), "POST", false, path)
		got := strings.Join(r.Scopes, " ")
		if near != nil {
			got = "near"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if r := table.Find("POST", false, "/u/a%3Ab"); r.Owner("/u/a%3Ab") != "a:b" {
		t.Errorf("the owner is %q, want a:b", r.Owner("/u/a%3Ab"))
	}
}
