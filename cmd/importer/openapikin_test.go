package importer

import (
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

// anyName finds the variables of a path, whose names don't matter.
var anyName = regexp.MustCompile(`\{[^}]*\}`)

// A document that can be read in one way only is read as kin-openapi reads it,
// which has nothing in common with the importer. The document is this
// project's own, as it is and converted to Swagger 2.0.
func TestOpenAPIAsKinReadsIt(t *testing.T) {
	text, err := os.ReadFile("../../module/manage/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	want := kinsRoutes(t, doc)
	if len(want) < 40 {
		t.Fatalf("only %d operations", len(want))
	}
	same(t, routesOf(t, text), want)

	// Swagger 2.0 has one base path for all.
	doc.Servers = openapi3.Servers{{URL: "https://api.example.com/base"}}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			op.Servers = nil
		}
	}
	want = kinsRoutes(t, doc)
	doc2, err := openapi2conv.FromV3(doc)
	if err != nil {
		t.Fatal(err)
	}
	converted, err := json.Marshal(doc2)
	if err != nil {
		t.Fatal(err)
	}
	same(t, routesOf(t, converted), want)
}

// routesOf imports a document, and returns the scopes of each route by its
// method and path.
func routesOf(t *testing.T, text []byte) map[string]string {
	t.Helper()
	res, err := OpenAPI(text, OpenAPIOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.LeftOut) > 0 {
		t.Errorf("left out are %v", res.LeftOut)
	}
	routes := map[string]string{}
	for _, r := range res.Table.Routes {
		routes[r.Method+" "+anyName.ReplaceAllString(r.Pattern, "*")] = strings.Join(append(slices.Clone(r.Accept), r.Scopes...), " ")
	}
	return routes
}

// kinsRoutes is routesOf by kin-openapi.
func kinsRoutes(t *testing.T, doc *openapi3.T) map[string]string {
	t.Helper()
	routes := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			security := &doc.Security
			if op.Security != nil {
				security = op.Security
			}
			var demands []string
			if len(*security) == 0 {
				demands = []string{"public"}
			}
			for _, alternative := range *security {
				for _, scopes := range alternative {
					demands = append(demands, scopes...)
				}
			}
			text := strings.Join(sortedSet(demands), " ")
			servers := doc.Servers
			if op.Servers != nil {
				servers = *op.Servers
			}
			for _, server := range servers {
				base, err := url.Parse(server.URL)
				if err != nil {
					t.Fatal(err)
				}
				routes[method+" "+anyName.ReplaceAllString(base.JoinPath(path).Path, "*")] = text
			}
		}
	}
	return routes
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for route, demands := range want {
		if have, there := got[route]; !there || have != demands {
			t.Errorf("%s demands %q (%v), want %q", route, have, there, demands)
		}
	}
	for route := range got {
		if _, known := want[route]; !known {
			t.Errorf("%s is not in the document", route)
		}
	}
}
