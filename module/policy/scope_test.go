package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func mustCatalogue(t *testing.T, scopes ...Scope) *Catalogue {
	t.Helper()
	c, err := NewCatalogue(scopes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCheckScopeName(t *testing.T) {
	for _, name := range []string{"All", "Inputs:Get", "a", "0", "a.b-c_d:e", "a::b", strings.Repeat("a", 128)} {
		if err := CheckScopeName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ":", ":a", "a:", "-a", "a_", ".a", "a b", "a/b", "a~b", "a,b", "a\"b", "*", "ü", "a\x00b", "a\nb", strings.Repeat("a", 129)} {
		if CheckScopeName(name) == nil {
			t.Errorf("%q is taken for the name of a scope", name)
		}
	}
}

func TestCatalogue(t *testing.T) {
	c := mustCatalogue(t,
		Scope{Name: "Delete", Needs: []string{"Get", "Add"}, Hidden: true},
		Scope{Name: "Add", Description: "Write", Needs: []string{"Get"}},
		Scope{Name: "Get"},
		// Declared again in other order: the same.
		Scope{Name: "Delete", Needs: []string{"Add", "Get"}, Hidden: true},
	)
	var names []string
	for _, s := range c.List() {
		names = append(names, s.Name)
	}
	if !slices.Equal(names, []string{"Add", "All", "Delete", "Get"}) {
		t.Errorf("List() has %q", names)
	}
	want := Scope{Name: "Delete", Needs: []string{"Add", "Get"}, Hidden: true}
	if got := c.List()[2]; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := c.Unknown([]string{"Get", "Put", "All", "get"}); !slices.Equal(got, []string{"Put", "get"}) {
		t.Errorf("Unknown = %q, want Put and get", got)
	}
	if got := c.Unknown([]string{"Get"}); got != nil {
		t.Errorf("Unknown = %q, want nothing", got)
	}
}

func TestCatalogueAll(t *testing.T) {
	if l := mustCatalogue(t).List(); len(l) != 1 || l[0].Name != ScopeAll || l[0].Description == "" {
		t.Errorf("a catalogue of nothing has %+v, want All", l)
	}
	c := mustCatalogue(t, Scope{Name: ScopeAll, Description: "Anything"})
	if l := c.List(); len(l) != 1 || l[0].Description != "Anything" {
		t.Errorf("%+v, want All as it was declared", l)
	}
	if _, err := NewCatalogue([]Scope{{Name: ScopeAll, Needs: []string{"A"}}, {Name: "A"}}); err == nil {
		t.Error("All may need something")
	}
}

func TestCatalogueRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		scopes []Scope
		want   []string
	}{
		{"a name that is none", []Scope{{Name: "a b", Place: "f:1"}}, []string{"f:1: ", `"a b"`}},
		{"a need that isn't declared", []Scope{{Name: "A", Needs: []string{"B"}, Place: "f:1"}}, []string{"f:1: ", "needs B", `add a line "scope B"`}},
		{"a need twice", []Scope{{Name: "A"}, {Name: "B", Needs: []string{"A", "A"}, Place: "f:2"}}, []string{"f:2: ", "twice"}},
		{"other needs", []Scope{{Name: "A", Place: "f:1"}, {Name: "B", Place: "f:2"}, {Name: "A", Needs: []string{"B"}, Place: "g:3"}}, []string{"g:3: ", "f:1"}},
		{"another description", []Scope{{Name: "A", Description: "x", Place: "f:1"}, {Name: "A", Place: "g:3"}}, []string{"g:3: ", "f:1"}},
		{"hidden and not", []Scope{{Name: "A", Place: "f:1"}, {Name: "A", Hidden: true, Place: "g:3"}}, []string{"g:3: ", "f:1"}},
		{"all at once", []Scope{{Name: "A", Needs: []string{"B"}, Place: "f:1"}, {Name: "-", Place: "f:2"}, {Name: "C", Needs: []string{"D"}, Place: "f:3"}}, []string{"f:1: ", "f:2: ", "f:3: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewCatalogue(tc.scopes)
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
		})
	}
}

func TestUnion(t *testing.T) {
	a := mustCatalogue(t, Scope{Name: "Get"}, Scope{Name: "Add", Needs: []string{"Get"}, Place: "a:2"})
	b := mustCatalogue(t, Scope{Name: "Add", Description: "Write", Needs: []string{"Get"}}, Scope{Name: "Get"}, Scope{Name: "Put"})
	c := mustCatalogue(t, Scope{Name: "Add", Place: "c:1"})

	for _, tc := range []struct {
		name  string
		sites []*Catalogue
		want  []string
	}{
		{"of nothing", nil, []string{"All"}},
		{"of one", []*Catalogue{a}, []string{"Add", "All", "Get"}},
		{"of two", []*Catalogue{a, b}, []string{"Add", "All", "Get", "Put"}},
		{"of two, the other way round", []*Catalogue{b, a}, []string{"Add", "All", "Get", "Put"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := Union(tc.sites...)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, s := range u.List() {
				names = append(names, s.Name)
			}
			if !slices.Equal(names, tc.want) {
				t.Errorf("%q, want %q", names, tc.want)
			}
			if u.Unknown([]string{ScopeAll}) != nil {
				t.Error("All is unknown")
			}
		})
	}
	t.Run("that disagree", func(t *testing.T) {
		_, err := Union(a, b, c)
		if err == nil || !strings.HasPrefix(err.Error(), "c:1: ") || !strings.Contains(err.Error(), "needs nothing here, but Get at a:2") {
			t.Errorf("%v, want it to name c:1 and a:2", err)
		}
	})
	t.Run("that disagree, one by one", func(t *testing.T) {
		u, err := Union(a, b)
		if err == nil {
			_, err = Union(u, c)
		}
		if err == nil || !strings.HasPrefix(err.Error(), "c:1: ") || !strings.Contains(err.Error(), "needs nothing here, but Get at a:2") {
			t.Errorf("%v, want it to name c:1 and a:2", err)
		}
	})
	t.Run("leaves its parts alone", func(t *testing.T) {
		if a.Unknown([]string{"Put"}) == nil {
			t.Error("the union wrote to a catalogue of its parts")
		}
	})
}

func TestLackingDependencies(t *testing.T) {
	c := mustCatalogue(t,
		Scope{Name: "Get"},
		Scope{Name: "Add", Needs: []string{"Get"}},
		Scope{Name: "Delete", Needs: []string{"Add"}},
		Scope{Name: "Sweep", Needs: []string{"Delete", "Report"}},
		Scope{Name: "Report"},
		Scope{Name: "Chicken", Needs: []string{"Egg"}},
		Scope{Name: "Egg", Needs: []string{"Chicken"}},
		Scope{Name: "Own", Needs: []string{"Own"}},
		Scope{Name: "Root", Needs: []string{ScopeAll}},
	)
	for _, tc := range []struct{ name, scopes, want string }{
		{"nothing", "", ""},
		{"without needs", "Get Report", ""},
		{"a need", "Add", "Get"},
		{"a need that is there", "Get Add", ""},
		{"needs of needs", "Delete", "Add Get"},
		{"needs of needs of needs", "Sweep", "Add Delete Get Report"},
		{"a need in between is there", "Sweep Delete", "Add Get Report"},
		{"only the last is there", "Delete Get", "Add"},
		{"the same for two", "Add Delete", "Get"},
		{"a circle", "Chicken", "Egg"},
		{"a whole circle", "Egg Chicken", ""},
		{"itself", "Own", ""},
		{"All satisfies", "All Sweep", ""},
		{"All is needed", "Root", "All"},
		{"unknown ones need nothing", "Unheard", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			scopes := strings.Fields(tc.scopes)
			before := slices.Clone(scopes)
			if got := strings.Join(c.Lacking(scopes), " "); got != tc.want {
				t.Errorf("Lacking(%q) = %q, want %q", tc.scopes, got, tc.want)
			}
			if !slices.Equal(scopes, before) {
				t.Errorf("it changed its argument to %q", scopes)
			}
		})
	}
}

// A site that only needs a scope has no say in what the scope needs.
func TestUnionOfDeclaredAndNeeded(t *testing.T) {
	declared, err := NewCatalogue([]Scope{{Name: "Inputs:Get"}, {Name: "Inputs:Add", Needs: []string{"Inputs:Get"}}})
	if err != nil {
		t.Fatal(err)
	}
	table, err := NewTable([]Route{{Method: "POST", Pattern: "/x", Scopes: []string{"Inputs:Add", "Other:Get"}}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	site, err := CatalogueOf(nil, table.Rules())
	if err != nil {
		t.Fatal(err)
	}
	other := mustCatalogue(t, Scope{Name: "Inputs:Add", Needs: []string{ScopeAll}})
	for _, order := range [][]*Catalogue{{declared, site}, {site, declared}} {
		u, err := Union(order[0])
		if err == nil {
			u, err = Union(u, order[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		// A scope that was only needed before is declared now, and can't be
		// declared differently.
		if _, err := Union(u, other); err == nil {
			t.Error("a union with a site that disagrees")
		}
		if lacking := u.Lacking([]string{"Inputs:Add"}); len(lacking) != 1 || lacking[0] != "Inputs:Get" {
			t.Errorf("Inputs:Add lacks %v", lacking)
		}
		if unknown := u.Unknown([]string{ScopeAll, "Other:Get"}); unknown != nil {
			t.Errorf("unknown: %v", unknown)
		}
	}
}

// A site may declare All, to describe or to hide it, and what it says counts in
// the union too; a site that only lists it, without a description, removes
// none.
func TestUnionWithAllDeclared(t *testing.T) {
	silent := mustCatalogue(t, Scope{Name: "A"})
	listed := mustCatalogue(t, Scope{Name: ScopeAll}, Scope{Name: "A"})
	said := mustCatalogue(t, Scope{Name: ScopeAll, Description: "Anything", Hidden: true}, Scope{Name: ScopeAll})
	for _, tc := range []struct {
		name  string
		sites []*Catalogue
		want  Scope
	}{
		{"by nobody", []*Catalogue{silent}, allScopes},
		{"without a description", []*Catalogue{silent, listed}, allScopes},
		{"with one", []*Catalogue{said}, Scope{Name: ScopeAll, Description: "Anything", Hidden: true}},
		{"with one, first", []*Catalogue{said, silent}, Scope{Name: ScopeAll, Description: "Anything", Hidden: true}},
		{"with one, last", []*Catalogue{silent, said}, Scope{Name: ScopeAll, Description: "Anything", Hidden: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			u, err := Union()
			for _, site := range tc.sites {
				if err == nil {
					u, err = Union(u, site)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := u.List()[slices.IndexFunc(u.List(), func(s Scope) bool { return s.Name == ScopeAll })]; !reflect.DeepEqual(got, tc.want) {
				t.Errorf("All is %+v, want %+v", got, tc.want)
			}
		})
	}
}

// Keys can be limited to the endpoints of all sites' routes.
func TestCatalogueEndpoints(t *testing.T) {
	site := func(scopes []Scope, routes ...Route) *Catalogue {
		t.Helper()
		table, err := NewTable(routes, "user_id", "app_id")
		if err != nil {
			t.Fatal(err)
		}
		c, err := CatalogueOf(scopes, table.Rules())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	declared := site([]Scope{{Name: "A"}}, Route{Method: "GET", Pattern: "/a", Scopes: []string{"A"}, Endpoint: []string{"/p.S/Two", "/p.S/One"}})
	derived := site(nil, Route{Method: "GET", Pattern: "/b"}, Route{Method: MethodGRPC, Pattern: "/p.S/Three", Scopes: []string{"B"}})
	u, err := Union(declared, derived)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		c    *Catalogue
		want []string
	}{
		{"declared", declared, []string{"/p.S/One", "/p.S/Two"}},
		{"derived", derived, []string{"/p.S/Three"}},
		{"union", u, []string{"/p.S/One", "/p.S/Three", "/p.S/Two"}},
		{"with more scopes", u.With([]Scope{{Name: "C"}}, nil), []string{"/p.S/One", "/p.S/Three", "/p.S/Two"}},
		{"of no routes", mustCatalogue(t, Scope{Name: "A"}), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.c.Endpoints(); !slices.Equal(got, tc.want) {
				t.Errorf("Endpoints = %q, want %q", got, tc.want)
			}
			if got := tc.c.UnknownEndpoints(append(slices.Clone(tc.want), "/p.S/one")); !slices.Equal(got, []string{"/p.S/one"}) {
				t.Errorf("UnknownEndpoints = %q, want /p.S/one", got)
			}
		})
	}
}
