package tables

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// build makes of a table what a site makes of it.
func build(t *testing.T, table *Table) (*policy.Table, *policy.Catalogue) {
	t.Helper()
	routes, err := policy.NewTable(table.Routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := policy.NewCatalogue(table.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	return routes, catalogue
}

func TestShippedTablesAreComplete(t *testing.T) {
	names := ShippedNames()
	if !slices.Contains(names, "clarifai") || !slices.IsSorted(names) {
		t.Fatalf("ShippedNames() = %q, want a sorted list with clarifai", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			table, err := Shipped(name)
			if err != nil {
				t.Fatal(err)
			}
			routes, catalogue := build(t, table)
			if len(routes.Rules()) != len(table.Routes) {
				t.Errorf("%d of %d routes stand for themselves: two have one shape", len(routes.Rules()), len(table.Routes))
			}
			for _, r := range routes.Rules() {
				if unknown := catalogue.Unknown(r.Scopes); unknown != nil {
					t.Errorf("%s: %s needs %q, which no line declares", r.Place, r.Route, unknown)
				}
				if !strings.HasPrefix(r.Place, name+".routes:") {
					t.Errorf("%s: its place is %q", r.Route, r.Place)
				}
			}
		})
	}
}

func TestShippedUnknown(t *testing.T) {
	for _, name := range []string{"", "nosuch", "../tables", "clarifai.routes"} {
		_, err := Shipped(name)
		if err == nil || !strings.Contains(err.Error(), "clarifai") {
			t.Errorf("Shipped(%q): %v, want an error that names the shipped tables", name, err)
		}
	}
}

// The calls that Clarifai's JavaScript client makes, from its description of
// paths: each of them has to be decided as the operation it is.
func TestClarifaiClientCalls(t *testing.T) {
	table, err := Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	routes, catalogue := build(t, table)
	calls := []struct{ method, path, operation string }{
		{"POST", "/models/m/outputs", "PostModelOutputs"},
		{"POST", "/models/m/versions/v/outputs", "PostModelOutputs"},
		{"GET", "/models", "ListModels"},
		{"POST", "/models", "PostModels"},
		{"PATCH", "/models", "PatchModels"},
		{"DELETE", "/models", "DeleteModels"},
		{"GET", "/models/m", "GetModel"},
		{"GET", "/models/types", "ListModelTypes"},
		{"DELETE", "/models/m", "DeleteModel"},
		{"POST", "/models/searches", "PostModelsSearches"},
		{"GET", "/models/m/output_info", "GetModelOutputInfo"},
		{"GET", "/models/m/versions/v/output_info", "GetModelOutputInfo"},
		{"GET", "/models/m/inputs", "ListModelInputs"},
		{"GET", "/models/m/versions/v/inputs", "ListModelInputs"},
		{"GET", "/models/m/versions", "ListModelVersions"},
		{"POST", "/models/m/versions", "PostModelVersions"},
		{"GET", "/models/m/versions/v", "GetModelVersion"},
		{"DELETE", "/models/m/versions/v", "DeleteModelVersion"},
		{"POST", "/models/m/versions/v/metrics", "PostModelVersionMetrics"},
		{"GET", "/concepts", "ListConcepts"},
		{"POST", "/concepts", "PostConcepts"},
		{"PATCH", "/concepts", "PatchConcepts"},
		{"GET", "/concepts/c", "GetConcept"},
		{"POST", "/concepts/searches", "PostConceptsSearches"},
		{"GET", "/inputs", "ListInputs"},
		{"POST", "/inputs", "PostInputs"},
		{"PATCH", "/inputs", "PatchInputs"},
		{"DELETE", "/inputs", "DeleteInputs"},
		{"GET", "/inputs/i", "GetInput"},
		{"DELETE", "/inputs/i", "DeleteInput"},
		{"GET", "/inputs/status", "GetInputCount"},
		{"POST", "/searches", "PostSearches"},
		{"GET", "/workflows", "ListWorkflows"},
		{"POST", "/workflows", "PostWorkflows"},
		{"DELETE", "/workflows/w", "DeleteWorkflow"},
		{"POST", "/workflows/w/results", "PostWorkflowResults"},
	}
	all := policy.NewGrant([]string{policy.ScopeAll}, nil)
	for _, c := range calls {
		endpoint := "/clarifai.api.V2/" + c.operation
		for _, base := range []string{"/v2", "/v2/users/me/apps/a"} {
			rule := routes.Find(c.method, false, base+c.path)
			if rule == nil {
				t.Errorf("%s %s: no route", c.method, base+c.path)
				continue
			}
			if !slices.Equal(rule.Endpoint, []string{endpoint}) {
				t.Errorf("%s %s: endpoint %q, want %s", c.method, base+c.path, rule.Endpoint, endpoint)
			}
			if named := base != "/v2"; named != (rule.Owner(base+c.path) == "me") || named != (rule.App(base+c.path) == "a") {
				t.Errorf("%s %s: owner %q, app %q", c.method, base+c.path, rule.Owner(base+c.path), rule.App(base+c.path))
			}
			if !all.Permits(rule) || len(rule.Scopes) == 0 || catalogue.Lacking(rule.Scopes) != nil {
				t.Errorf("%s %s: scopes %q, of which it lacks %q", c.method, base+c.path, rule.Scopes, catalogue.Lacking(rule.Scopes))
			}
		}
		rest, grpc := routes.Find(c.method, false, "/v2"+c.path), routes.Find("POST", true, endpoint)
		if grpc == nil || rest == nil || !slices.Equal(grpc.Scopes, rest.Scopes) {
			t.Errorf("%s: the gRPC route is missing, or asks other scopes", endpoint)
		}
		if routes.Find("POST", false, endpoint) != nil {
			t.Errorf("%s: answers without gRPC's content type", endpoint)
		}
	}
	for _, path := range []string{"/v2/status_codes", "/v2/status_codes/10000"} {
		if r := routes.Find("GET", false, path); r == nil || !r.Accepts().Public() {
			t.Errorf("GET %s: want a public route", path)
		}
	}
}

// A shipped table is one for all: what is built of it leaves it as it is.
func TestShippedIsShared(t *testing.T) {
	table, err := Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	before, err := table.Format()
	if err != nil {
		t.Fatal(err)
	}
	routes := slices.Clone(table.Routes)
	for _, r := range table.Routes {
		r.Endpoint = []string{"/another.Service/Method"}
		routes = append(routes, r)
	}
	if _, err := policy.NewTable(routes, "user_id", "app_id"); err != nil {
		t.Fatal(err)
	}
	if _, err := policy.NewCatalogue(table.Scopes); err != nil {
		t.Fatal(err)
	}
	again, err := Shipped("clarifai")
	if err != nil || again != table {
		t.Errorf("who asks again is given another, %v", err)
	}
	if after, err := again.Format(); err != nil || !bytes.Equal(after, before) {
		t.Errorf("it has changed: %v", err)
	}
}

// Every shipped scope is described, and every description is of a scope.
func TestShippedScopesAreDescribed(t *testing.T) {
	for _, name := range ShippedNames() {
		table, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range table.Scopes {
			if s.Description == "" {
				t.Errorf("scope %s has no description", s.Name)
			}
		}
		text, err := shipped.ReadFile(name + words)
		if err != nil {
			t.Fatal(err)
		}
		described, err := Read(name+words, text)
		if err != nil || len(described.Scopes) != len(table.Scopes) {
			t.Errorf("%s describes %d scopes, and the table has %d (%v)", name, len(described.Scopes), len(table.Scopes), err)
		}
	}
}

// Every resource of a shipped table is described by a sentence, and every description
// belongs to a resource.
func TestShippedResourcesAreDescribed(t *testing.T) {
	for _, name := range ShippedNames() {
		table, err := Shipped(name)
		if err != nil {
			t.Fatal(err)
		}
		described, err := readResources(name + resources)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range table.Scopes {
			resource := policy.ResourceOf(s.Name)
			if s.Resource != described[resource] {
				t.Errorf("scope %s is about %q, want %q", s.Name, s.Resource, described[resource])
			}
			if resource == "" {
				continue
			}
			if text := s.Resource; len(text) < 20 || len(text) > 110 || !strings.HasSuffix(text, ".") || strings.Count(text, ".") != 1 {
				t.Errorf("resource %s is described as %q, want one sentence", resource, text)
			}
		}
		for resource := range described {
			if !slices.ContainsFunc(table.Scopes, func(s policy.Scope) bool { return policy.ResourceOf(s.Name) == resource }) {
				t.Errorf("%s is not a resource of %s", resource, name)
			}
		}
	}
}
