package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// mustTable builds a table whose owner and app variables have their usual
// names.
func mustTable(t testing.TB, routes ...Route) *Table {
	t.Helper()
	table, err := NewTable(routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// parseRoutes makes routes of lines "METHOD PATTERN [+colon]".
func parseRoutes(lines ...string) []Route {
	var routes []Route
	for _, line := range lines {
		line, colon := strings.CutSuffix(line, " +colon")
		method, pattern, _ := strings.Cut(line, " ")
		r := Route{Method: method, Pattern: pattern}
		if colon {
			r.Allow = []string{"colon"}
		}
		routes = append(routes, r)
	}
	return routes
}

func TestFind(t *testing.T) {
	// Requests are METHOD PATH, a gRPC one with grpc for its method; want is
	// the line of the route, or empty.
	type requests map[string]string
	for _, tc := range []struct {
		name   string
		routes []string
		want   requests
	}{
		{"literal before variable before rest", []string{
			"GET /v2/inputs/status", "GET /v2/inputs/{id}", "GET /v2/{r=**}", "GET /{r=**}",
		}, requests{
			"GET /v2/inputs/status":   "GET /v2/inputs/status",
			"GET /v2/inputs/x":        "GET /v2/inputs/{id}",
			"GET /v2/inputs/status/x": "GET /v2/{r=**}",
			"GET /v2/inputs":          "GET /v2/{r=**}",
			"GET /v2":                 "GET /v2/{r=**}",
			"GET /v3":                 "GET /{r=**}",
			"GET /":                   "GET /{r=**}",
		}},
		{"a literal that leads nowhere is taken back", []string{
			"GET /a/b/c", "GET /{x}/b/d", "GET /a/{y}/e", "GET /{x}/{y}/f", "GET /a/{r=**}",
		}, requests{
			"GET /a/b/c": "GET /a/b/c",
			"GET /a/b/d": "GET /a/{r=**}",
			"GET /x/b/d": "GET /{x}/b/d",
			"GET /a/b/e": "GET /a/{y}/e",
			"GET /a/b/f": "GET /a/{r=**}",
			"GET /x/b/f": "GET /{x}/{y}/f",
		}},
		{"a route that doesn't answer the method is passed over", []string{
			"GET /inputs/status", "DELETE /inputs/{id}", "* /inputs/{r=**}",
		}, requests{
			"GET /inputs/status":    "GET /inputs/status",
			"DELETE /inputs/status": "DELETE /inputs/{id}",
			"POST /inputs/status":   "* /inputs/{r=**}",
		}},
		{"HEAD before GET before any", []string{
			"HEAD /a", "GET /a", "* /a", "GET /b", "* /b", "* /c", "POST /d",
		}, requests{
			"HEAD /a":    "HEAD /a",
			"GET /a":     "GET /a",
			"PUT /a":     "* /a",
			"HEAD /b":    "GET /b",
			"OPTIONS /b": "* /b",
			"HEAD /c":    "* /c",
			"HEAD /d":    "",
		}},
		{"a specific GET answers HEAD before a HEAD elsewhere", []string{
			"GET /a/b", "HEAD /a/{x}",
		}, requests{
			"HEAD /a/b": "GET /a/b",
			"HEAD /a/c": "HEAD /a/{x}",
		}},
		{"methods are exact, and only those we know", []string{
			"* /a",
		}, requests{
			"GET /a": "* /a", "get /a": "", "TRACE /a": "", "CONNECT /a": "", "PROPFIND /a": "", " /a": "",
		}},
		{"the rest is zero or more segments", []string{
			"GET /public/{r=**}",
		}, requests{
			"GET /public":      "GET /public/{r=**}",
			"GET /public/":     "GET /public/{r=**}",
			"GET /public/a":    "GET /public/{r=**}",
			"GET /public/a/b":  "GET /public/{r=**}",
			"GET /public/a/b/": "GET /public/{r=**}",
			"GET /publica":     "",
			"GET /":            "",
			"GET ":             "",
		}},
		{"an exact route before a rest of nothing", []string{
			"GET /public", "GET /public/", "GET /public/{r=**}",
		}, requests{
			"GET /public":   "GET /public",
			"GET /public/":  "GET /public/",
			"GET /public/a": "GET /public/{r=**}",
		}},
		{"a trailing slash is a path of its own", []string{
			"GET /a", "GET /b/", "GET /c/{x}", "GET /",
		}, requests{
			"GET /a": "GET /a", "GET /a/": "", "GET /b": "", "GET /b/": "GET /b/", "GET /c/": "", "GET /c/x/": "", "GET /": "GET /",
		}},
		{"a variable is never empty", []string{
			"GET /a/{x}", "GET /{x}/b", "GET /v/{x}:go",
		}, requests{
			"GET /a/": "", "GET //b": "", "GET /v/:go": "",
		}},
		{"matching is exact", []string{
			"GET /admin",
		}, requests{
			"GET /ADMIN": "", "GET /admin.": "", "GET /admin%20": "", "GET admin": "", "GET x/admin": "",
		}},
		{"a segment that is escaped is the literal all the same", []string{
			"GET /inputs/status", "GET /inputs/{id}", "GET /{x}/status",
		}, requests{
			"GET /inputs/%73tatus":       "GET /inputs/status",
			"GET /inputs/%73%74atus":     "GET /inputs/status",
			"GET /%69nputs/x":            "GET /inputs/{id}",
			"GET /inputs/status%2F":      "GET /inputs/{id}",
			"GET /inputs%2Fstatus":       "",
			"GET /inputs/%zz":            "GET /inputs/{id}",
			"GET /inputs%2Fx/%73%74atus": "GET /{x}/status",
		}},
		{"literals read as they are decoded", []string{
			"GET /a b/ü",
		}, requests{
			"GET /a%20b/%C3%BC": "GET /a b/ü",
			"GET /a%20b/ü":      "GET /a b/ü",
		}},
		{"verbs", []string{
			"POST /inputs:search", "POST /inputs/{id}:move", "POST /inputs/{id}", "POST /jobs/{r=**}:run", "POST /inputs",
		}, requests{
			"POST /inputs:search":      "POST /inputs:search",
			"POST /inputs:searches":    "",
			"POST /inputs:Search":      "",
			"POST /inputs":             "POST /inputs",
			"POST /inputs:":            "",
			"POST /inputs/a:move":      "POST /inputs/{id}:move",
			"POST /inputs/a:":          "",
			"POST /inputs/a":           "POST /inputs/{id}",
			"POST /inputs/a:copy":      "",
			"POST /inputs/a:b:move":    "",
			"POST /inputs/a%3Amove":    "POST /inputs/{id}",
			"POST /jobs:run":           "POST /jobs/{r=**}:run",
			"POST /jobs/:run":          "POST /jobs/{r=**}:run",
			"POST /jobs/a/b:run":       "POST /jobs/{r=**}:run",
			"POST /jobs/a:run/b":       "",
			"POST /jobs/a:x/b:run":     "POST /jobs/{r=**}:run",
			"POST /jobs/a":             "",
			"POST /inputs:search/more": "",
		}},
		{"a colon has to be allowed", []string{
			"GET /a/{id}", "GET /b/{id} +colon", "GET /b/{id}:go", "GET /c/{r=**} +colon", "GET /d/{r=**}", "GET /e/{id}:go +colon",
		}, requests{
			"GET /a/x:y":   "",
			"GET /b/x:y":   "GET /b/{id} +colon",
			"GET /b/x:":    "GET /b/{id} +colon",
			"GET /b/:x":    "GET /b/{id} +colon",
			"GET /b/x:go":  "GET /b/{id}:go",
			"GET /c/x:y":   "GET /c/{r=**} +colon",
			"GET /c:y":     "",
			"GET /d/x:y":   "",
			"GET /d/x:y/z": "GET /d/{r=**}",
			"GET /e/x:go":  "GET /e/{id}:go +colon",
			"GET /e/x:":    "",
			"GET /e/x:y":   "",
			// The segment before the verb has a colon of its own.
			"GET /e/x:y:go": "GET /e/{id}:go +colon",
			"GET /b/x:y:go": "GET /b/{id} +colon",
		}},
		{"a variable of several segments", []string{
			"GET /v1/{name=projects/*/locations/*}", "GET /v1/{name=projects/**}", "GET /v1/{x}/{y}/{z}/here",
		}, requests{
			"GET /v1/projects/p/locations/l":   "GET /v1/{name=projects/*/locations/*}",
			"GET /v1/projects/p/locations/":    "GET /v1/{name=projects/**}",
			"GET /v1/projects/p/locations/l/x": "GET /v1/{name=projects/**}",
			"GET /v1/projects":                 "GET /v1/{name=projects/**}",
			"GET /v1/projects/p/q/here":        "GET /v1/{name=projects/**}",
			"GET /v1/others/p/q/here":          "GET /v1/{x}/{y}/{z}/here",
		}},
		{"gRPC routes are for gRPC requests", []string{
			"grpc /p.S/M", "POST /p.S/N", "grpc /p.S/O", "POST /p.S/O", "* /p.T/{m}",
		}, requests{
			"grpc /p.S/M":  "grpc /p.S/M",
			"POST /p.S/M":  "",
			"GET /p.S/M":   "",
			"grpc /p.S/M/": "",
			"grpc /p.S/m":  "",
			"grpc /p.S/N":  "POST /p.S/N",
			"grpc /p.S/O":  "grpc /p.S/O",
			"POST /p.S/O":  "POST /p.S/O",
			"grpc /p.T/M":  "* /p.T/{m}",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			routes := parseRoutes(tc.routes...)
			for i := range routes {
				routes[i].Place = tc.routes[i]
			}
			// The order of declaration never matters.
			for seed := range uint64(10) {
				table := mustTable(t, routes...)
				for request, want := range tc.want {
					method, path, _ := strings.Cut(request, " ")
					grpc := method == "grpc"
					if grpc {
						method = "POST"
					}
					got := ""
					if r := table.Find(method, grpc, path); r != nil {
						got = r.Place
					}
					if got != want {
						t.Errorf("%s: route %q, want %q", request, got, want)
					}
				}
				rnd := rand.New(rand.NewPCG(seed, 2))
				rnd.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
			}
		})
	}
}

// The grpc flag comes from the content type, which a request of any method
// may carry.
func TestFindGRPCOnlyWithPOST(t *testing.T) {
	table := mustTable(t, parseRoutes("grpc /p.S/M", "GET /p.S/M")...)
	if r := table.Find("GET", true, "/p.S/M"); r == nil || r.Method != "GET" {
		t.Errorf("GET with gRPC's content type found %v, want the GET route", describe(r))
	}
	if r := table.Find("PUT", true, "/p.S/M"); r != nil {
		t.Errorf("PUT with gRPC's content type found %v", describe(r))
	}
}

func TestAllowed(t *testing.T) {
	table := mustTable(t, parseRoutes(
		"GET /inputs/{id}", "POST /inputs/status", "DELETE /{x}/status", "PUT /inputs/{r=**}", "PATCH /inputs/{id} +colon",
		"* /any", "HEAD /head", "grpc /p.S/M", "POST /inputs/{id}:move",
	)...)
	for _, tc := range []struct{ path, want string }{
		{"/inputs/status", "DELETE GET HEAD PATCH POST PUT"},
		{"/inputs/x", "GET HEAD PATCH PUT"},
		{"/x/status", "DELETE"},
		{"/inputs", "PUT"},
		{"/inputs/x:y", "PATCH"},
		{"/inputs/x:move", "PATCH POST"},
		{"/any", "DELETE GET HEAD OPTIONS PATCH POST PUT"},
		{"/head", "HEAD"},
		{"/nowhere", ""},
		{"/p.S/M", "POST"},
		{"", ""},
		{"inputs/x", ""},
	} {
		if got := strings.Join(table.Allowed(tc.path), " "); got != tc.want {
			t.Errorf("Allowed(%q) = %q, want %q", tc.path, got, tc.want)
		}
	}
}

func TestOwnerAndApp(t *testing.T) {
	table := mustTable(t,
		Route{Method: "GET", Pattern: "/v2/users/{user_id}/apps/{app_id}/inputs"},
		Route{Method: "GET", Pattern: "/v2/users/{user_id}"},
		Route{Method: "GET", Pattern: "/apps/{app_id}:export"},
		Route{Method: "GET", Pattern: "/colon/{app_id}", Allow: []string{"colon"}},
		Route{Method: "GET", Pattern: "/rest/{user_id}/{r=**}:go"},
		Route{Method: "GET", Pattern: "/{app_id}/{user_id}/"},
		Route{Method: "GET", Pattern: "/v2/inputs/{id}"},
		Route{Method: "GET", Pattern: "/multi/{name=projects/*}/{user_id}"},
	)
	for _, tc := range []struct{ path, owner, app string }{
		{"/v2/users/bob/apps/app1/inputs", "bob", "app1"},
		{"/v2/users/me/apps/app1/inputs", "me", "app1"},
		{"/v2/users/b%6Fb/apps/a%20b/inputs", "bob", "a b"},
		{"/v2/users/b%2Fb/apps/%C3%BC/inputs", "b/b", "ü"},
		{"/v2/users/b%zz/apps/a/inputs", "b%zz", "a"},
		{"/v2/users/bob", "bob", ""},
		{"/apps/app1:export", "", "app1"},
		{"/apps/a%3Ab:export", "", "a:b"},
		{"/colon/a:b", "", "a:b"},
		{"/colon/a:", "", "a:"},
		{"/rest/bob:go", "bob", ""},
		{"/rest/bob/:go", "bob", ""},
		{"/rest/bob:go/x:go", "bob:go", ""},
		{"/x/y/", "y", "x"},
		{"/v2/inputs/i", "", ""},
		{"/multi/projects/p/bob", "bob", ""},
	} {
		r := table.Find("GET", false, tc.path)
		if r == nil {
			t.Errorf("%s: no route", tc.path)
			continue
		}
		if owner, app := r.Owner(tc.path), r.App(tc.path); owner != tc.owner || app != tc.app {
			t.Errorf("%s (%s): owner %q, app %q, want %q, %q", tc.path, r.Route, owner, app, tc.owner, tc.app)
		}
	}
}

func TestOwnerVariablesHaveTheNamesGiven(t *testing.T) {
	table, err := NewTable([]Route{{Method: "GET", Pattern: "/{tenant}/{user_id}"}}, "tenant", "project")
	if err != nil {
		t.Fatal(err)
	}
	r := table.Find("GET", false, "/acme/bob")
	if r.Owner("/acme/bob") != "acme" || r.App("/acme/bob") != "" {
		t.Errorf("owner %q, app %q, want acme and none", r.Owner("/acme/bob"), r.App("/acme/bob"))
	}
}

// The value of a variable is everything that the variable covers, decoded, without the
// verb. A route that was merged from routes of one shape has the variables of all.
func TestVariableValues(t *testing.T) {
	for _, tt := range []struct {
		patterns, path string
		want           []string
	}{
		{"/a/{x}", "/a/b", []string{"b"}},
		{"/a/{x}", "/a/b%20c", []string{"b c"}},
		{"/{x}/a", "/b/a", []string{"b"}},
		{"/a/{x}:go", "/a/b:go", []string{"b"}},
		{"/a/{x=b/*}", "/a/b/c", []string{"b/c"}},
		{"/a/{x=b/*}/d", "/a/b/c/d", []string{"b/c"}},
		{"/a/{x=*/*}:go", "/a/b/c:go", []string{"b/c"}},
		{"/a/{x=**}", "/a/b/c/", []string{"b/c/"}},
		{"/a/{x=**}", "/a", []string{""}},
		{"/a/{x=**}:go", "/a/b/c:go", []string{"b/c"}},
		{"/a/{x=**}:go", "/a:go", []string{""}},
		{"/a/{y}", "/a/b", nil},
		{"/a/{y} /a/{x}", "/a/b", []string{"b"}},
		{"/a/{x}/{y} /a/{y}/{x}", "/a/b/c", []string{"b", "c"}},
		{"/a/{x}/{y} /a/{x=*/*}", "/a/b/c", []string{"b", "b/c"}},
		{"/a/{x} /a/{x}", "/a/b", []string{"b"}},
		{"/a/{x} /a/{x}:go", "/a/b%3Ago", []string{"b:go", "b"}},
		{"/a/{y} /a/{x}:go", "/a/b%3Ago", []string{"b"}},
	} {
		var routes []Route
		for pattern := range strings.FieldsSeq(tt.patterns) {
			routes = append(routes, Route{Method: "GET", Pattern: pattern})
			if strings.Contains(tt.path, "%3A") && !strings.Contains(pattern, ":") {
				routes[len(routes)-1].Allow = []string{"colon"}
			}
		}
		table := mustTable(t, routes...)
		r, _ := table.Settle(table.Find("GET", false, tt.path), "GET", false, tt.path)
		if r == nil {
			t.Fatalf("%s: nothing matches %s", tt.patterns, tt.path)
		}
		if got := slices.Collect(r.Values("x", tt.path)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %s has %q, want %q", tt.patterns, tt.path, got, tt.want)
		}
		for range r.Values("x", tt.path) {
			break
		}
	}
}

func TestNewTableMergesTheSameDemands(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b Route
		want []string
	}{
		{"endpoints of both",
			Route{Method: "GET", Pattern: "/users/{user_id}/x/{a}", Scopes: []string{"B", "A"}, Endpoint: []string{"/p.S/N"}},
			Route{Method: "GET", Pattern: "/users/{user_id}/x/{b}", Scopes: []string{"A", "B", "A"}, Endpoint: []string{"/p.S/M"}},
			[]string{"/p.S/M", "/p.S/N"}},
		{"one of them without",
			Route{Method: "*", Pattern: "/a"},
			Route{Method: "*", Pattern: "/a", Endpoint: []string{"/p.S/M"}},
			[]string{"/p.S/M"}},
		{"the same twice",
			Route{Method: "GET", Pattern: "/a:go", Endpoint: []string{"/p.S/M"}},
			Route{Method: "GET", Pattern: "/a:go", Endpoint: []string{"/p.S/M"}},
			[]string{"/p.S/M"}},
		{"said and not said",
			Route{Method: "GET", Pattern: "/a", Accept: []string{"session", "pat", "app_key"}},
			Route{Method: "GET", Pattern: "/a"},
			nil},
		{"a variable of several segments",
			Route{Method: "GET", Pattern: "/{n=a/*/b}"},
			Route{Method: "GET", Pattern: "/a/{x}/b", Endpoint: []string{"/p.S/M"}},
			[]string{"/p.S/M"}},
		{"the rest",
			Route{Method: "GET", Pattern: "/a/{x=**}"},
			Route{Method: "GET", Pattern: "/{x=a/**}", Endpoint: []string{"/p.S/M"}},
			[]string{"/p.S/M"}},
		{"gRPC",
			Route{Method: "grpc", Pattern: "/p.S/M"},
			Route{Method: "grpc", Pattern: "/p.S/M", Endpoint: []string{"/p.S/L"}},
			[]string{"/p.S/L", "/p.S/M"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, routes := range [][]Route{{tc.a, tc.b}, {tc.b, tc.a}} {
				rules := mustTable(t, routes...).Rules()
				if len(rules) != 1 || !slices.Equal(rules[0].Endpoint, tc.want) {
					t.Fatalf("%v: %d rules, the first with %q, want one with %q", routes, len(rules), rules[0].Endpoint, tc.want)
				}
				limited := NewGrant([]string{ScopeAll}, tc.want)
				if tc.want != nil && !limited.Permits(rules[0]) {
					t.Error("all endpoints are granted, but it is not permitted")
				}
				if few := NewGrant([]string{ScopeAll}, tc.want[:max(len(tc.want)-1, 0)]); len(tc.want) > 1 && few.Permits(rules[0]) {
					t.Error("permitted with an endpoint missing")
				}
			}
		})
	}
}

func TestNewTableRefusesOtherDemands(t *testing.T) {
	a := Route{Method: "GET", Pattern: "/u/{user_id}/{x}", Scopes: []string{"A"}, Place: "a.routes:1"}
	with := func(change func(*Route)) Route {
		b := a
		b.Place = "b.routes:2"
		change(&b)
		return b
	}
	for _, tc := range []struct {
		name string
		b    Route
	}{
		{"more scopes", with(func(r *Route) { r.Scopes = []string{"A", "B"} })},
		{"no scopes", with(func(r *Route) { r.Scopes = nil })},
		{"other kinds", with(func(r *Route) { r.Accept = []string{"pat"} })},
		{"nobody", with(func(r *Route) { r.Accept = []string{"none"} })},
		{"a colon", with(func(r *Route) { r.Allow = []string{"colon"} })},
		{"an encoded slash", with(func(r *Route) { r.Allow = []string{"encoded_slash"} })},
		{"no owner", with(func(r *Route) { r.Pattern = "/u/{y}/{x}" })},
		{"the owner elsewhere", with(func(r *Route) { r.Pattern = "/u/{y}/{user_id}" })},
		{"an app", with(func(r *Route) { r.Pattern = "/u/{user_id}/{app_id}" })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, routes := range [][]Route{{a, tc.b}, {tc.b, a}} {
				_, err := NewTable(routes, "user_id", "app_id")
				if err == nil || !strings.HasPrefix(err.Error(), routes[1].Place+": ") || !strings.Contains(err.Error(), routes[0].Place) {
					t.Errorf("%v, want an error that names both places", err)
				}
			}
		})
	}
	// Another method, or a verb, is another route.
	mustTable(t, a,
		with(func(r *Route) { r.Method, r.Scopes = "POST", nil }),
		with(func(r *Route) { r.Method, r.Scopes = "*", nil }),
		with(func(r *Route) { r.Method, r.Scopes = "HEAD", nil }),
		with(func(r *Route) { r.Pattern, r.Scopes = "/u/{user_id}/{x}:go", nil }),
		with(func(r *Route) { r.Pattern, r.Scopes = "/u/{user_id}/{x=**}", nil }))
}

func TestNewTableRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		route Route
		want  string
	}{
		{"a method in lower case", Route{Method: "get", Pattern: "/a"}, "use one of GET HEAD POST PUT PATCH DELETE OPTIONS"},
		{"a method of ours not", Route{Method: "TRACE", Pattern: "/a"}, "use one of"},
		{"no method", Route{Pattern: "/a"}, "use one of"},
		{"a malformed pattern", Route{Method: "GET", Pattern: "/{path}"}, "rename the variable"},
		{"an unknown kind", Route{Method: "GET", Pattern: "/a", Accept: []string{"key"}}, "accept takes app_key"},
		{"public and a kind", Route{Method: "GET", Pattern: "/a", Accept: []string{"public", "pat"}}, "stands alone"},
		{"public and scopes", Route{Method: "GET", Pattern: "/a", Scopes: []string{"A"}, Accept: []string{"public"}}, "a public route can't require scopes"},
		{"a scope that is none", Route{Method: "GET", Pattern: "/a", Scopes: []string{"/a"}}, "scope name"},
		{"an endpoint that is none", Route{Method: "GET", Pattern: "/a", Endpoint: []string{"ListInputs"}}, "/package.Service/Method"},
		{"a gRPC path that is none", Route{Method: "grpc", Pattern: "/a"}, "/package.Service/Method"},
		{"a gRPC path with a variable", Route{Method: "grpc", Pattern: "/p.S/{m}"}, "/package.Service/Method"},
		{"an unknown allowance", Route{Method: "GET", Pattern: "/a", Allow: []string{"dots"}}, "use colon, encoded_slash or near_literal"},
		{"an allowance twice", Route{Method: "GET", Pattern: "/a", Allow: []string{"colon", "colon"}}, "given twice"},
		{"an owner of several segments", Route{Method: "GET", Pattern: "/{user_id=a/*}"}, "one whole segment"},
		{"an app that is a literal", Route{Method: "GET", Pattern: "/{app_id=a}"}, "one whole segment"},
		{"an owner that is the rest", Route{Method: "GET", Pattern: "/{user_id=**}"}, "one whole segment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.route.Place = "my.routes:7"
			_, err := NewTable([]Route{tc.route}, "user_id", "app_id")
			if err == nil || !strings.HasPrefix(err.Error(), "my.routes:7: route ") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want my.routes:7 and %q", err, tc.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := NewTable([]Route{{Method: "x", Pattern: "/a", Place: "p:1"}, {Method: "GET", Pattern: "/b"}, {Method: "GET", Pattern: "c", Place: "p:3"}}, "", "")
		if err == nil || !strings.Contains(err.Error(), "p:1") || !strings.Contains(err.Error(), "p:3") {
			t.Errorf("%v, want p:1 and p:3", err)
		}
	})
}

func TestRules(t *testing.T) {
	table := mustTable(t,
		Route{Method: "POST", Pattern: "/b", Scopes: []string{"B", "A", "B"}, Allow: []string{"encoded_slash"}},
		Route{Method: "grpc", Pattern: "/p.S/M", Accept: []string{"pat"}},
		Route{Method: "GET", Pattern: "/a", Accept: []string{"public"}})
	rules := table.Rules()
	if got := fmt.Sprint(describe(rules...)); got != "[POST /b [encoded_slash] grpc /p.S/M [] GET /a []]" {
		t.Errorf("Rules() = %s, want the order of declaration", got)
	}
	if !slices.Equal(rules[0].Scopes, []string{"A", "B"}) || !rules[0].AllowsEncodedSlash() || rules[1].AllowsEncodedSlash() {
		t.Errorf("scopes %q, slash %t and %t", rules[0].Scopes, rules[0].AllowsEncodedSlash(), rules[1].AllowsEncodedSlash())
	}
	if !slices.Equal(rules[1].Endpoint, []string{"/p.S/M"}) {
		t.Errorf("the endpoint of a gRPC route is %q, want its path", rules[1].Endpoint)
	}
	if rules[0].Accepts() != AcceptAny || rules[1].Accepts() != Accept(1<<PAT) || !rules[2].Accepts().Public() {
		t.Errorf("accepts %v %v %v", rules[0].Accepts(), rules[1].Accepts(), rules[2].Accepts())
	}
}

func TestCheckEndpoint(t *testing.T) {
	for _, name := range []string{"/p.S/M", "/clarifai.api.V2/ListInputs", "/S/M", "/a_b.c-d/e~1"} {
		if err := CheckEndpoint(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "/", "p.S/M", "/p.S", "/p.S/", "//M", "/p.S/M/", "/p.S/M/N", "/p.S/M N", "/p.S/{m}", "/p.S/M:x", "/p.S/*", "/p.S/\u00fc", "/p%2ES/M", "/p.S/M\x00"} {
		if CheckEndpoint(name) == nil {
			t.Errorf("%q is taken for an endpoint", name)
		}
	}
}

// The caller may change the returned list.
func TestMethodsIsACopy(t *testing.T) {
	Methods()[0] = "TRACE"
	if !KnownMethod("GET") || Methods()[0] != "GET" {
		t.Error("Methods() can be written to")
	}
}
