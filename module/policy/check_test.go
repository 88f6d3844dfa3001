package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// routesOf reads "METHOD PATTERN SCOPE…", with accept words behind a |.
func routesOf(lines ...string) (routes []policy.Route) {
	for _, line := range lines {
		demand, accept, _ := strings.Cut(line, "|")
		words := strings.Fields(demand)
		routes = append(routes, policy.Route{Method: words[0], Pattern: words[1], Scopes: words[2:], Accept: strings.Fields(accept), Place: "table:" + words[1]})
	}
	return routes
}

func scopesOf(names ...string) (scopes []policy.Scope) {
	for _, name := range names {
		name, needs, _ := strings.Cut(name, ">")
		scopes = append(scopes, policy.Scope{Name: name, Needs: strings.Fields(needs), Place: "table:" + name})
	}
	return scopes
}

func checked(scopes []policy.Scope, routes ...string) policy.Checked {
	return policy.Checked{Scopes: scopes, Routes: routesOf(routes...), Owner: "user_id", App: "app_id"}
}

// short is what a finding is about, for comparison: its severity, kind and the
// parts of its text that have to be there.
type short struct {
	severity policy.Severity
	kind     string
	part     string
}

func compare(t *testing.T, found []policy.Finding, want []short) {
	t.Helper()
	for i, f := range found {
		if i >= len(want) || f.Severity != want[i].severity || f.Kind != want[i].kind || !strings.Contains(f.Text, want[i].part) {
			t.Errorf("found %+v", f)
		}
	}
	if len(found) != len(want) {
		t.Errorf("found %d, want %+v", len(found), want)
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		name  string
		table policy.Checked
		want  []short
	}{
		{"nothing", checked(nil), nil},
		{"nothing wrong", checked(scopesOf("A>B", "B"), "GET /a A", "HEAD /a A", "* /a A B", "GET /{x} B", "GET /{x=**} A", "grpc /p.S/M A"), nil},
		{"a malformed pattern, and another mistake", checked(nil, "GET a", "BREW /a"), []short{
			{policy.Error, policy.FindingMistake, "begin with /"}, {policy.Error, policy.FindingMistake, "BREW"}}},
		{"two demands", checked(nil, "GET /{x} A", "GET /{y} B"), []short{{policy.Error, policy.FindingMistake, "other demands"}}},
		{"undeclared scopes", checked(scopesOf("A"), "GET /a A", "GET /b B", "GET /c C"), []short{
			{policy.Error, policy.FindingMistake, "needs B, which is not declared"}, {policy.Error, policy.FindingMistake, "needs C"}}},
		{"all methods taken", checked(nil, "* /a/{x} A", "GET /a/{x}", "POST /a/{x}", "PUT /a/{x}", "PATCH /a/{x}", "DELETE /a/{x}", "OPTIONS /a/{x}"), []short{
			{policy.Error, policy.FindingUnreachable, "route * /a/{x} is never reached, because requests go to OPTIONS /a/{x} at table:/a/{x}"}}},
		{"all methods but one", checked(nil, "* /a A", "GET /a", "POST /a", "PUT /a", "PATCH /a", "DELETE /a"), nil},
		{"every rest taken", checked(nil, "GET /a/{r=**} A", "GET /a", "GET /a/", "GET /a/{x}/{r=**}"), []short{
			{policy.Error, policy.FindingUnreachable, "route GET /a/{r=**} is never reached"}}},
		{"a rest taken except the longest", checked(nil, "GET /a/{r=**} A", "GET /a", "GET /a/", "GET /a/{x}", "GET /a/{x}/", "GET /a/{x}/{y}"), nil},
		{"a rest taken except its verb", checked(nil, "GET /a/{r=**}:go A", "GET /a/{r=**}"), nil},
		{"a literal like the sample", checked(nil, "GET /x A", "GET /xx A", "GET /{v} B"), nil},
		{"names like the owner's", checked(nil, "GET /a/{target_user_id}", "GET /b/{user_id}/{other_app_id}", "GET /c/{user_ids}"), []short{
			{policy.Warning, policy.FindingOwnerName, "{target_user_id}"}, {policy.Warning, policy.FindingOwnerName, "{other_app_id}"}}},
		{"names like another owner's", policy.Checked{Routes: routesOf("GET /a/{account}/{user_id}/{sub_account}"), Owner: "account", App: "project"}, []short{
			{policy.Warning, policy.FindingOwnerName, "{user_id}"}, {policy.Warning, policy.FindingOwnerName, "{sub_account}, which is not checked as owner or app: call it {account} or {project}"}}},
		{"unused scopes", policy.Checked{Scopes: scopesOf("A>B", "B", "C", "D", "All"), Routes: routesOf("GET /a A"), Owner: "user_id", App: "app_id", Needed: []string{"D"}}, []short{
			{policy.Warning, policy.FindingUnusedScope, "scope C"}}},
		{"public and closed", checked(nil, "GET /a | public", "GET /b A | none"), []short{
			{policy.Note, policy.FindingPublic, "GET /a"}, {policy.Note, policy.FindingClosed, "GET /b"}}},
		{"two ways for one path", checked(nil, "GET /a/{x} A", "GET /{y}/b B"), []short{
			{policy.Warning, policy.FindingOverlap, "route GET /{y}/b matches paths that GET /a/{x} at table:/a/{x} also matches"}}},
		{"two ways, declared otherwise", checked(nil, "* /{y}/b/{z} B", "GET /a/{x}/{z} A"), []short{
			{policy.Warning, policy.FindingOverlap, "route * /{y}/b/{z} matches paths that GET /a/{x}/{z}"}}},
		{"two ways of the same demands", checked(nil, "GET /a/{x} A", "GET /{y}/b A"), nil},
		{"two ways of other methods", checked(nil, "GET /a/{x} A", "POST /{y}/b B"), nil},
		{"one more specific throughout", checked(nil, "GET /a/{x} A", "GET /a/b B", "GET /{x}/{y} C"), nil},
		{"another verb", checked(nil, "GET /a/{x}:go A", "GET /{y}/b B"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// TestCheckNamesNearPairs looks at those of this kind.
			found := slices.DeleteFunc(policy.Check(tt.table), func(f policy.Finding) bool { return f.Kind == policy.FindingNear })
			compare(t, found, tt.want)
		})
	}
}

// A route is out of reach too where all its paths are refused.
func TestCheckAsksWhatIsRefused(t *testing.T) {
	c := checked(nil, "GET /refused/{x} A", "GET /good A")
	c.Refused = func(path string, _ bool) string {
		if strings.HasPrefix(path, "/refused/") {
			return "the path is one of those"
		}
		return ""
	}
	compare(t, policy.Check(c), []short{{policy.Error, policy.FindingUnreachable, "the path is one of those"}})
}

func TestDrift(t *testing.T) {
	for _, tt := range []struct {
		name       string
		have, want policy.Checked
		found      []short
	}{
		{"none", checked(scopesOf("A>B", "B"), "GET /a/{x} A", "* /b | public"), checked(scopesOf("B", "A>B"), "* /b | public", "GET /a/{y} A"), nil},
		{"routes", checked(nil, "GET /a A", "GET /b A"), checked(nil, "GET /a A", "POST /a A"), []short{
			{policy.Error, policy.FindingRemoved, "route GET /b"}, {policy.Error, policy.FindingAdded, "route POST /a"}}},
		{"scopes and kinds", checked(nil, "GET /a A", "GET /b B"), checked(nil, "GET /a A B", "GET /b | pat"), []short{
			{policy.Error, policy.FindingChanged, "scopes A B instead of A"},
			{policy.Error, policy.FindingChanged, "scopes nothing instead of B; accept pat instead of app_key pat session"}}},
		{"owner", checked(nil, "GET /a/{user_id} A"), checked(nil, "GET /a/{x} A"), []short{{policy.Error, policy.FindingChanged, "owner and app as in /a/{x}"}}},
		{"declared scopes", checked(scopesOf("A>B", "B", "C"), "GET /a A"), checked(scopesOf("A", "B", "D", "All"), "GET /a A"), []short{
			{policy.Error, policy.FindingChanged, "scope A differs from the description: it needs nothing instead of B"},
			{policy.Error, policy.FindingRemoved, "scope C"}, {policy.Error, policy.FindingAdded, "scope D"}}},
		{"a description with mistakes", checked(nil, "GET /a A"), checked(nil, "GET a"), []short{{policy.Error, policy.FindingMistake, "the description: "}}},
	} {
		t.Run(tt.name, func(t *testing.T) { compare(t, policy.Drift(tt.have, tt.want), tt.found) })
	}
	have, want := checked(nil, "GET /a A"), checked(nil, "GET /a A")
	want.Routes[0].Endpoint = []string{"/p.S/M"}
	have.Routes[0].Allow = []string{"colon"}
	compare(t, policy.Drift(have, want), []short{{policy.Error, policy.FindingChanged, "endpoint /p.S/M instead of nothing"}})

	have, want = checked(nil, "GET /a A"), checked(nil, "GET /a A")
	have.OwnerBody = []string{"user_id", "app_id"}
	want.OwnerBody = []string{"user_id"}
	want.OwnerQuery = []policy.OwnerFields{{Owner: "u", App: "a"}}
	want.OwnerMessage = []policy.OwnerMessage{{Method: "/p.S/M", Fields: []string{"user_id=1", "app_id=2"}}}
	compare(t, policy.Drift(have, want), []short{
		{policy.Error, policy.FindingRemoved, "owner_body app_id"},
		{policy.Error, policy.FindingAdded, "owner_message /p.S/M app_id=2"},
		{policy.Error, policy.FindingAdded, "owner_message /p.S/M user_id=1"},
		{policy.Error, policy.FindingAdded, "owner_query u a"},
	})
}
