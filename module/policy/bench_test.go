package policy

import (
	"fmt"
	"testing"
)

// syntheticTable has n routes of the kinds that real tables have, and the
// paths of requests that each find another one of them.
func syntheticTable(t testing.TB, n int) (*Table, []string) {
	var routes []Route
	var paths []string
	for i := range (n + 4) / 5 {
		things := fmt.Sprintf("things%d", i)
		app := "/v2/users/{user_id}/apps/{app_id}/" + things
		get, add := "Synthetic:Get"+things, "Synthetic:Add"+things
		routes = append(routes,
			Route{Method: "GET", Pattern: app, Scopes: []string{get}, Endpoint: []string{"/s.V2/List" + things}},
			Route{Method: "POST", Pattern: app, Scopes: []string{get, add}, Endpoint: []string{"/s.V2/Post" + things}},
			Route{Method: "GET", Pattern: app + "/{id}", Scopes: []string{get}, Endpoint: []string{"/s.V2/Get" + things}},
			Route{Method: "GET", Pattern: "/v2/" + things + "/{id}/versions/{version}", Scopes: []string{get}},
			Route{Method: MethodGRPC, Pattern: "/s.V2/List" + things, Scopes: []string{get}})
		paths = append(paths,
			"/v2/users/bob/apps/app1/"+things,
			"/v2/users/bob/apps/app1/"+things+"/4711",
			"/v2/"+things+"/4711/versions/12")
	}
	return mustTable(t, routes[:n]...), paths
}

// The way of an allowed request allocates nothing.
func TestDecisionAllocatesNothing(t *testing.T) {
	table, paths := syntheticTable(t, 50)
	rest := mustTable(t, parseRoutes("GET /public/{r=**}", "GET /inputs/{user_id}:go", "GET /{x}/{y} +colon")...)
	limited := NewGrant([]string{"Synthetic:Getthings0"}, []string{"/s.V2/Listthings0"})
	caller := Caller{Kind: PAT, UserID: "bob", Grant: limited}
	var found int
	for _, tc := range []struct {
		name string
		run  func()
	}{
		{"found", func() {
			for _, path := range paths {
				if table.Find("GET", false, path) != nil {
					found++
				}
			}
		}},
		{"gRPC", func() { table.Find("POST", true, "/s.V2/Listthings0") }},
		{"not found", func() { table.Find("GET", false, "/v2/users/bob/apps/app1/nothings/x/y/z") }},
		{"rest", func() { rest.Find("GET", false, "/public/a/b/c/d") }},
		{"verb", func() { rest.Find("GET", false, "/inputs/x:go").Owner("/inputs/x:go") }},
		{"colon", func() { rest.Find("HEAD", false, "/a/x:y") }},
		{"the whole decision", func() {
			r := table.Find("GET", false, paths[0])
			owner, app := r.Owner(paths[0]), r.App(paths[0])
			if !r.Accepts().Kind(caller.Kind) || caller.Reaches(owner, app) != Own || !caller.Grant.Permits(r) {
				panic("refused")
			}
			caller.Target(owner, app)
		}},
	} {
		if n := testing.AllocsPerRun(100, tc.run); n != 0 {
			t.Errorf("%s: %v allocations, want none", tc.name, n)
		}
	}
	if found == 0 {
		t.Error("nothing was found")
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{50, 500, 5000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			table, paths := syntheticTable(b, n)
			for _, path := range paths {
				if table.Find("GET", false, path) == nil {
					b.Fatalf("%s: no route", path)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				table.Find("GET", false, paths[i])
				if i++; i == len(paths) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkPermits(b *testing.B) {
	table, paths := syntheticTable(b, 500)
	rule := table.Find("GET", false, paths[0])
	for name, grant := range map[string]Grant{
		"scopes":    NewGrant(rule.Scopes, nil),
		"endpoints": NewGrant(rule.Scopes, rule.Endpoint),
		"all":       NewGrant([]string{ScopeAll}, nil),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !grant.Permits(rule) {
					b.Fatal("refused")
				}
			}
		})
	}
}
