package portal

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// sampleSites is an API with inputs, models and predictions.
func sampleSites(t *testing.T) []authz.Site {
	t.Helper()
	const service = "/clarifai.api.V2/"
	table, err := policy.NewTable([]policy.Route{
		{Method: "GET", Pattern: "/v2/inputs", Scopes: []string{"Inputs:Get", "Models:Get"}, Endpoint: []string{service + "ListInputs"}},
		{Method: "GET", Pattern: "/v2/users/{user_id}/inputs", Scopes: []string{"Inputs:Get", "Models:Get"}, Endpoint: []string{service + "ListInputs"}},
		{Method: "POST", Pattern: "/v2/inputs", Scopes: []string{"Inputs:Add", "Inputs:Get"}, Endpoint: []string{service + "PostInputs"}},
		{Method: "GET", Pattern: "/v2/models", Scopes: []string{"Models:Get"}, Endpoint: []string{service + "ListModels"}},
		{Method: "PATCH", Pattern: "/v2/models/languages", Scopes: []string{"Models:Get"}, Endpoint: []string{service + "PatchModelLanguages"}},
		{Method: "POST", Pattern: "/v2/models/{model_id}/outputs", Scopes: []string{"Models:Get", "Predict"}, Endpoint: []string{service + "PostModelOutputs"}},
		{Method: "grpc", Pattern: service + "PostModelOutputs", Scopes: []string{"Models:Get", "Predict"}},
		{Method: "GET", Pattern: "/healthz", Accept: []string{"public"}},
	}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	return []authz.Site{authz.NewSite([]string{"api.example.com"}, table.Rules())}
}

func newSampledPortal(t *testing.T) *testPortal {
	s := newTestPortal(t)
	sites := sampleSites(t)
	s.portal.sites = func() []authz.Site { return sites }
	return s
}

var operationOf = regexp.MustCompile(`data-operation="([^"]*)"`)

// listedIn returns the operations below the element with an attribute.
func listedIn(page, attribute string) string {
	_, list, _ := strings.Cut(page, " "+attribute+">")
	list, _, _ = strings.Cut(list, `class="near"`)
	var operations []string
	for _, m := range operationOf.FindAllStringSubmatch(list, -1) {
		operations = append(operations, m[1])
	}
	return strings.Join(operations, ", ")
}

// A review lists what the key can call, and what is missing for more. The words
// count the same operations.
func TestAReviewListsWhatAKeyCanCall(t *testing.T) {
	for _, c := range []struct {
		scopes, endpoints         string
		words, operations, beside string
	}{
		{
			"Inputs:Get", "", "It can call nothing in the application Shop that needs a scope.",
			"GET /healthz", "ListInputs also needs Models:Get",
		},
		{
			"Models:Get", "", "It can call 2 of 5 operations in the application Shop. Of these, 1 only read, and 1 can change something.",
			"GET /healthz, GET /v2/models, PATCH /v2/models/languages", "",
		},
		{
			"All", "", "It can call all 5 operations in the application Shop.",
			"GET /healthz, GET /v2/inputs, GET /v2/users/{user_id}/inputs, POST /v2/inputs, GET /v2/models, PATCH /v2/models/languages, " +
				"POST /v2/models/{model_id}/outputs, grpc /clarifai.api.V2/PostModelOutputs", "",
		},
		{
			"All", "/clarifai.api.V2/ListInputs", "It can call 1 of 5 operations in the application Shop. It only reads.",
			"GET /healthz, GET /v2/inputs, GET /v2/users/{user_id}/inputs", "",
		},
		{"", "", "", "GET /healthz", "It can call nothing."},
	} {
		s := newSampledPortal(t)
		_, _, page := s.send("/apps/shop/new", url.Values{
			"expires": {"30d"}, "step": {"review"}, "scope": strings.Fields(c.scopes), "endpoint": strings.Fields(c.endpoints),
		})
		if got := listedIn(page, "data-callable"); got != c.operations {
			t.Errorf("%q %q: listed are\n%s, want\n%s", c.scopes, c.endpoints, got, c.operations)
		}
		if !strings.Contains(page, c.words) || !strings.Contains(page, c.beside) {
			t.Errorf("%q %q: no %q or no %q in %s", c.scopes, c.endpoints, c.words, c.beside, page)
		}
		if strings.Contains(page, "data-useless") != (c.scopes == "" || c.scopes == "Inputs:Get") {
			t.Errorf("%q %q: the warning is wrong", c.scopes, c.endpoints)
		}
	}
}

// A key that isn't valid can call nothing, and its page says what it could call.
func TestThePageOfADisabledKey(t *testing.T) {
	s := newSampledPortal(t)
	page := s.open("/keys/cak_off")
	for _, want := range []string{"It is disabled, so it can call nothing now.", "data-would-call"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in %s", want, page)
		}
	}
	if strings.Contains(page, "data-callable") {
		t.Error("a disabled key is said to call operations")
	}
}
