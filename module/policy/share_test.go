package policy

import (
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"
)

// Equal declarations share a table, different ones don't, and an unused table
// is dropped.
func TestSharedTable(t *testing.T) {
	if n := reflect.TypeFor[Route]().NumField(); n != 8 {
		t.Errorf("a route has %d fields; appendTo and this test know 8", n)
	}
	declare := func(change func(*Route)) []Route {
		r := Route{
			Method: "GET", Pattern: "/v2/{owner}/{app}", Scopes: []string{"A", "B"}, Endpoint: []string{"/p.S/One"},
			Accept: []string{"pat"}, Allow: []string{"colon"}, Place: "a:1",
		}
		change(&r)
		return []Route{r, {Method: "GET", Pattern: "/other"}}
	}
	build := func(routes []Route, owner, app string) *Table {
		t.Helper()
		table, err := SharedTable(routes, owner, app)
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	same := func(*Route) {}
	first := build(declare(same), "owner", "app")
	if build(declare(same), "owner", "app") != first {
		t.Error("the same has another table")
	}
	all := []*Table{first}
	another := func(what string, table *Table) {
		t.Helper()
		if slices.Contains(all, table) {
			t.Errorf("%s has the same table", what)
		}
		all = append(all, table)
	}
	another("another owner", build(declare(same), "app", "owner"))
	another("a variable less", build(declare(same), "owner", ""))
	another("one route less", build(declare(same)[:1], "owner", "app"))
	for what, change := range map[string]func(*Route){
		"another method":     func(r *Route) { r.Method = "POST" },
		"another pattern":    func(r *Route) { r.Pattern = "/v2/{app}/{owner}" },
		"a scope less":       func(r *Route) { r.Scopes = []string{"A"} },
		"scopes in one":      func(r *Route) { r.Scopes = []string{"A-B"} },
		"no endpoint":        func(r *Route) { r.Endpoint = nil },
		"another kind":       func(r *Route) { r.Accept = []string{"session"} },
		"nothing allowed":    func(r *Route) { r.Allow = nil },
		"a cost":             func(r *Route) { r.Cost = new(int64(2)) },
		"the default cost":   func(r *Route) { r.Cost = new(int64(1)) },
		"another place":      func(r *Route) { r.Place = "a:2" },
		"bytes of no text":   func(r *Route) { r.Place = "\xff" },
		"other such bytes":   func(r *Route) { r.Place = "\xfe" },
		"what stands for it": func(r *Route) { r.Place = "\ufffd" },
	} {
		another(what, build(declare(change), "owner", "app"))
	}
	if _, err := SharedTable([]Route{{Method: "GET", Pattern: "wrong"}}, "owner", "app"); err == nil {
		t.Error("a wrong pattern is taken")
	}
	runtime.KeepAlive(first)
	clear(all)
	for end := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		shared.Lock()
		left := len(shared.tables)
		shared.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d tables are still there", left)
		}
		<-time.After(time.Millisecond)
	}
}
