package manage_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"go.yaml.in/yaml/v3"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The description names every call, with what it asks of a credential, and no
// other.
func TestDescriptionIsOfTheCalls(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it is of OpenAPI %s", doc.OpenAPI)
	}
	described := map[string]*openapi3.Operation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described[method+" "+path] = op
		}
	}
	check := func(r policy.Route, operator, ownerOnly bool) {
		op := described[r.String()]
		delete(described, r.String())
		if op == nil {
			t.Errorf("%s is not described", r)
			return
		}
		takes, required := manage.TakesBody(r)
		if takes != (op.RequestBody != nil) || takes && required != op.RequestBody.Value.Required {
			t.Errorf("%s takes a body: %v, requires it: %v, which is described in another way", r, takes, required)
		}
		if slices.Contains(op.Tags, "operator") != operator {
			t.Errorf("%s has the tags %q", r, op.Tags)
		}
		if operator {
			if op.Security == nil || len(*op.Security) > 0 {
				t.Errorf("%s asks for a credential, and is the operator's", r)
			}
			return
		}
		public := slices.Contains(r.Accept, "public")
		if op.Security == nil || public != (len(*op.Security) == 0) {
			t.Errorf("%s: public is %v", r, public)
		}
		for _, one := range *op.Security {
			for scheme, scopes := range one {
				if !slices.Equal(scopes, r.Scopes) {
					t.Errorf("%s with %s asks for %q, described are %q", r, scheme, r.Scopes, scopes)
				}
			}
		}
		endpoint, _ := op.Extensions["x-endpoint"].(string)
		if strings.Join(r.Endpoint, " ") != endpoint {
			t.Errorf("%s is %q, described is %q", r, r.Endpoint, endpoint)
		}
		if got := fmt.Sprint(op.Extensions["x-accept"]); got != fmt.Sprint(r.Accept) {
			t.Errorf("%s accepts %q, described are %s", r, r.Accept, got)
		}
		if got, _ := op.Extensions["x-owner-only"].(bool); got != ownerOnly {
			t.Errorf("%s is its owner's alone: %v, described is %v", r, ownerOnly, got)
		}
	}
	site := manage.NewMount(manage.DefaultBase)
	for _, r := range site.Routes() {
		check(r, false, site.OwnerOnly(r))
	}
	for _, r := range manage.OperatorRoutes() {
		check(r, true, false)
	}
	for call := range described {
		t.Errorf("%s is described, and is no call", call)
	}
}

// The description has every limit of a key. Calls to a server show only a few, because
// plans and resources depend on the configuration.
func TestDescriptionHasTheBoundsOfKeys(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := bounded(t)
	k := s.pat(operator, "alice", `["Predict"]`, ","+allBounds)
	for schema, of := range map[string]any{
		"MintedKey": k, "Plan": s.must("GET", "/v2/users/alice/plans", "").Plans[0], "NewKey": json.RawMessage(`{"scopes":[],` + allBounds + `}`),
		"KeyChange": json.RawMessage(`{"id":"x",` + allBounds + `}`), "ImportedKey": json.RawMessage(`{"sha256":"` + strings.Repeat("0", 64) + `","user_id":"a","scopes":[],` + allBounds + `}`),
	} {
		var value any
		if err := json.Unmarshal(mustJSON(t, of), &value); err != nil {
			t.Fatal(err)
		}
		if err := doc.Components.Schemas[schema].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			t.Errorf("%s: %v", schema, err)
		}
		value.(map[string]any)["limits"] = map[string]any{"burst": 1}
		if err := doc.Components.Schemas[schema].Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err == nil {
			t.Errorf("%s permits anything", schema)
		}
	}
}

// The description lists all fields of an object, so an answer that gains a
// field has to be described again.
func TestDescriptionIsStrict(t *testing.T) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	objects := 0
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case []any:
			for i, one := range v {
				walk(fmt.Sprintf("%s[%d]", at, i), one)
			}
		case map[string]any:
			if v["type"] == "object" {
				objects++
				if v["additionalProperties"] != false {
					t.Errorf("%s may have what is not described", at)
				}
			}
			for name, one := range v {
				walk(at+"."+name, one)
			}
		}
	}
	walk("", doc)
	if objects < 100 {
		t.Errorf("%d objects, there have to be more", objects)
	}
}
