package policy

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// ruleOf makes the rule of one route.
func ruleOf(t testing.TB, r Route) *Rule {
	t.Helper()
	return mustTable(t, r).Rules()[0]
}

func TestPermitsAndLacking(t *testing.T) {
	get := ruleOf(t, Route{Method: "GET", Pattern: "/a", Scopes: []string{"T:Get"}, Endpoint: []string{"/t.S/List"}})
	two := ruleOf(t, Route{Method: "GET", Pattern: "/a", Scopes: []string{"T:Get", "T:Add"}, Endpoint: []string{"/t.S/List", "/t.S/Count"}})
	none := ruleOf(t, Route{Method: "GET", Pattern: "/a", Scopes: []string{"T:Get"}})
	free := ruleOf(t, Route{Method: "GET", Pattern: "/a"})
	grpc := ruleOf(t, Route{Method: "grpc", Pattern: "/t.S/List", Scopes: []string{"T:Get"}})

	list := func(words string) []string { return strings.Fields(words) }
	for _, tc := range []struct {
		name  string
		rule  *Rule
		grant Grant
		lack  Lack
	}{
		{"what it needs", get, NewGrant(list("T:Get"), nil), Lack{}},
		{"more than it needs", get, NewGrant(list("T:Add T:Get T:Del"), nil), Lack{}},
		{"All", two, NewGrant(list("All"), nil), Lack{}},
		{"everything", two, Everything(), Lack{}},
		{"everything, without endpoints", none, Everything(), Lack{}},
		{"no scopes", get, NewGrant(nil, nil), Lack{Scopes: list("T:Get")}},
		{"the zero grant", get, Grant{}, Lack{Scopes: list("T:Get")}},
		{"another scope", get, NewGrant(list("T:Add"), nil), Lack{Scopes: list("T:Get")}},
		{"a name like All", get, NewGrant(list("all"), nil), Lack{Scopes: list("T:Get")}},
		{"one of two scopes", two, NewGrant(list("T:Get"), nil), Lack{Scopes: list("T:Add")}},
		{"neither of two scopes", two, NewGrant(nil, nil), Lack{Scopes: list("T:Add T:Get")}},
		{"nothing is needed", free, NewGrant(nil, nil), Lack{}},

		{"the endpoint", get, NewGrant(list("T:Get"), list("/t.S/List")), Lack{}},
		{"the endpoint among others", get, NewGrant(list("All"), list("/t.S/Post /t.S/List")), Lack{}},
		{"another endpoint", get, NewGrant(list("T:Get"), list("/t.S/Post")), Lack{Endpoints: list("/t.S/List")}},
		{"All does not stand for endpoints", get, NewGrant(list("All"), list("/t.S/Post")), Lack{Endpoints: list("/t.S/List")}},
		{"a list of no endpoint grants none", get, NewGrant(list("All"), []string{}), Lack{Endpoints: list("/t.S/List")}},
		{"one of two endpoints", two, NewGrant(list("All"), list("/t.S/List")), Lack{Endpoints: list("/t.S/Count")}},
		{"both endpoints", two, NewGrant(list("All"), list("/t.S/Count /t.S/List")), Lack{}},
		{"the endpoint, not the scope", get, NewGrant(nil, list("/t.S/List")), Lack{Scopes: list("T:Get")}},
		{"neither", two, NewGrant(list("T:Get"), list("/t.S/Post")), Lack{Scopes: list("T:Add"), Endpoints: list("/t.S/Count /t.S/List")}},
		{"a gRPC route is its endpoint", grpc, NewGrant(list("T:Get"), list("/t.S/List")), Lack{}},
		{"a gRPC route, another endpoint", grpc, NewGrant(list("T:Get"), list("/t.S/Count")), Lack{Endpoints: list("/t.S/List")}},

		{"limited, and the route names no endpoint", none, NewGrant(list("All"), list("/t.S/List")), Lack{NoEndpoint: true}},
		{"limited to none, and the route names no endpoint", free, NewGrant(nil, []string{}), Lack{NoEndpoint: true}},
		{"limited, no endpoint named, and no scope", none, NewGrant(nil, list("/t.S/List")), Lack{Scopes: list("T:Get"), NoEndpoint: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			permitted := reflect.DeepEqual(tc.lack, Lack{})
			if got := tc.grant.Permits(tc.rule); got != permitted {
				t.Errorf("Permits = %t, want %t", got, permitted)
			}
			if got := tc.rule.Lacking(&tc.grant); !reflect.DeepEqual(got, tc.lack) {
				t.Errorf("Lacking = %+v, want %+v", got, tc.lack)
			}
		})
	}
}

// A collaborator may do what both the credential and the collaborator's grant
// permit.
func TestLackingOfSeveralGrants(t *testing.T) {
	rule := ruleOf(t, Route{Method: "GET", Pattern: "/a", Scopes: []string{"T:Get", "T:Add", "T:Del"}, Endpoint: []string{"/t.S/List"}})
	list := strings.Fields
	for _, tc := range []struct {
		name                     string
		credential, collaborator Grant
		lack                     Lack
	}{
		{"both have all", NewGrant(list("All"), nil), NewGrant(list("All"), nil), Lack{}},
		{"a session and a full grant", Everything(), NewGrant(list("T:Add T:Del T:Get"), nil), Lack{}},
		{"each has what the other lacks", NewGrant(list("T:Get T:Del"), nil), NewGrant(list("T:Add T:Del"), nil), Lack{Scopes: list("T:Add T:Get")}},
		{"both lack the same", NewGrant(list("T:Get T:Del"), nil), NewGrant(list("T:Get T:Del"), nil), Lack{Scopes: list("T:Add")}},
		{"the grant lists the endpoint", Everything(), NewGrant(list("All"), list("/t.S/List")), Lack{}},
		{"the grant lists another endpoint", Everything(), NewGrant(list("All"), list("/t.S/Post")), Lack{Endpoints: list("/t.S/List")}},
		{"both list it", NewGrant(list("All"), list("/t.S/List /t.S/A")), NewGrant(list("All"), list("/t.S/List /t.S/B")), Lack{}},
		{"an intersection that leaves none", NewGrant(list("All"), list("/t.S/List")), NewGrant(list("All"), list("/t.S/Post")), Lack{Endpoints: list("/t.S/List")}},
		{"a grant of nothing", NewGrant(list("All"), nil), NewGrant(nil, nil), Lack{Scopes: list("T:Add T:Del T:Get")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			permitted := reflect.DeepEqual(tc.lack, Lack{})
			if got := tc.credential.Permits(rule) && tc.collaborator.Permits(rule); got != permitted {
				t.Errorf("Permits of both = %t, want %t", got, permitted)
			}
			for _, grants := range [][]*Grant{{&tc.credential, &tc.collaborator}, {&tc.collaborator, &tc.credential}} {
				if got := rule.Lacking(grants...); !reflect.DeepEqual(got, tc.lack) {
					t.Errorf("Lacking = %+v, want %+v", got, tc.lack)
				}
			}
		})
	}
}

func TestReachesAndTarget(t *testing.T) {
	key := Caller{Kind: AppKey, UserID: "bob", AppID: "app1"}
	pat := Caller{Kind: PAT, UserID: "bob"}
	session := Caller{Kind: Session, UserID: "bob"}
	for _, tc := range []struct {
		caller     Caller
		owner, app string
		reach      Reach
		// The target of the request, if it isn't refused.
		targetOwner, targetApp string
	}{
		{key, "", "", Own, "bob", "app1"},
		{key, "bob", "", Own, "bob", "app1"},
		{key, "me", "", Own, "bob", "app1"},
		{key, "bob", "app1", Own, "bob", "app1"},
		{key, "me", "app1", Own, "bob", "app1"},
		{key, "", "app1", Own, "bob", "app1"},
		{key, "bob", "app2", Refused, "", ""},
		{key, "me", "app2", Refused, "", ""},
		{key, "", "app2", Refused, "", ""},
		{key, "eve", "app1", Refused, "", ""},
		{key, "eve", "", Refused, "", ""},
		{key, "Bob", "app1", Refused, "", ""},
		{key, "Me", "app1", Refused, "", ""},
		{key, "bob", "App1", Refused, "", ""},

		{pat, "", "", Own, "", ""},
		{pat, "bob", "", Own, "", ""},
		{pat, "me", "", Own, "", ""},
		{pat, "bob", "app1", Own, "bob", "app1"},
		{pat, "me", "app1", Own, "bob", "app1"},
		{pat, "", "app1", Own, "bob", "app1"},
		{pat, "eve", "", Refused, "", ""},
		{pat, "ME", "", Refused, "", ""},
		{pat, "eve", "app1", AsCollaborator, "eve", "app1"},
		{pat, "Bob", "app1", AsCollaborator, "Bob", "app1"},

		{session, "", "", Own, "", ""},
		{session, "me", "app1", Own, "bob", "app1"},
		{session, "", "app1", Own, "bob", "app1"},
		{session, "eve", "", Refused, "", ""},
		{session, "eve", "app1", AsCollaborator, "eve", "app1"},
	} {
		t.Run(fmt.Sprintf("%v %q %q", tc.caller.Kind, tc.owner, tc.app), func(t *testing.T) {
			if got := tc.caller.Reaches(tc.owner, tc.app); got != tc.reach {
				t.Errorf("Reaches = %d, want %d", got, tc.reach)
			}
			if tc.reach == Refused {
				return
			}
			if owner, app := tc.caller.Target(tc.owner, tc.app); owner != tc.targetOwner || app != tc.targetApp {
				t.Errorf("Target = %q, %q, want %q, %q", owner, app, tc.targetOwner, tc.targetApp)
			}
		})
	}
}

func TestBitsContains(t *testing.T) {
	for _, tc := range []struct {
		have, need Bits
		want       bool
	}{
		{nil, nil, true},
		{nil, Bits{0, 0}, true},
		{nil, Bits{1}, false},
		{nil, Bits{0, 1}, false},
		{Bits{3}, nil, true},
		{Bits{3}, Bits{2}, true},
		{Bits{2}, Bits{3}, false},
		{Bits{2}, Bits{2, 0}, true},
		{Bits{2}, Bits{2, 4}, false},
		{Bits{2, 4, 8}, Bits{2, 4}, true},
		{Bits{0, 4}, Bits{2}, false},
		{Bits{1 << 63}, Bits{1 << 63}, true},
	} {
		if got := tc.have.Contains(tc.need); got != tc.want {
			t.Errorf("%b contains %b: %t, want %t", tc.have, tc.need, got, tc.want)
		}
	}
}

// Names far apart, so that sets have words of their own for them.
func TestGrantsOfManyNames(t *testing.T) {
	var scopes []string
	for i := range 300 {
		scopes = append(scopes, fmt.Sprintf("Many:%d", i))
	}
	every := NewGrant(scopes, nil)
	for i, s := range scopes {
		rule := ruleOf(t, Route{Method: "GET", Pattern: "/a", Scopes: []string{s}})
		one := NewGrant([]string{s}, nil)
		other := NewGrant([]string{scopes[(i+64)%len(scopes)]}, nil)
		if !every.Permits(rule) || !one.Permits(rule) || other.Permits(rule) {
			t.Fatalf("%s: every %t, it alone %t, another %t", s, every.Permits(rule), one.Permits(rule), other.Permits(rule))
		}
	}
}

// Grants are made for several sites at once; a name is the same bit to all.
func TestNamesAreSharedByGoroutines(t *testing.T) {
	const sites = 8
	var grants [sites]Grant
	var wg sync.WaitGroup
	for i := range sites {
		wg.Go(func() {
			var scopes []string
			for n := range 100 {
				scopes = append(scopes, fmt.Sprintf("Shared:%d", (n*(i+1))%100))
			}
			grants[i] = NewGrant(scopes, nil)
		})
	}
	wg.Wait()
	seen := map[int]string{}
	for n := range 100 {
		name := fmt.Sprintf("Shared:%d", n)
		pos := scopeNames.position(name)
		if other, taken := seen[pos]; taken {
			t.Fatalf("%s and %s are one bit", name, other)
		}
		seen[pos] = name
		if !grants[0].scopes.has(pos) {
			t.Errorf("%s is not in the set of all", name)
		}
	}
	for i := range sites {
		if !grants[0].scopes.Contains(grants[i].scopes) {
			t.Errorf("site %d has bits that the first, which has all names, lacks", i)
		}
	}
}

func TestGrantSize(t *testing.T) {
	none, some := Everything(), NewGrant([]string{"T:Get"}, []string{"/t.S/List"})
	if none.Size() != 0 || some.Size() < 16 {
		t.Errorf("sizes %d and %d, want 0 and at least two words", none.Size(), some.Size())
	}
}
