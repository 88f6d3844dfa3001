package importer

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// clarifaiProto is a folder with a package.json that asks for the npm package
// with Clarifai's protobuf sources.
const clarifaiProto = "../../testdata/clarifai-proto"

// clarifaiSources returns the import path of Clarifai's protobuf sources.
func clarifaiSources(t *testing.T) string {
	t.Helper()
	return filepath.Join(machine.NPMModules(t, clarifaiProto), "clarifai-nodejs-grpc")
}

// The options with which the shipped table is imported. Descriptions stay out:
// the comments of the sources are not ours.
func importClarifai(t *testing.T) *Result {
	t.Helper()
	res, err := Proto(t.Context(), ProtoOptions{
		Shared:  Shared{NoDescriptions: true},
		Sources: []fs.FS{os.DirFS(clarifaiSources(t))},
		Files:   []string{"proto/clarifai/api/service.proto"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// The table that the program ships is what an import makes of the sources.
func TestClarifaiIsShippedAsImported(t *testing.T) {
	res := importClarifai(t)
	res.Table.Descriptors = "clarifai.binpb"
	text := sound(t, res)
	if res.Operations != 289 || res.Bindings != 490 || len(res.Table.Scopes) != 120 {
		t.Errorf("%d operations, %d bindings, %d scopes; the sources have 289, 490 and 120", res.Operations, res.Bindings, len(res.Table.Scopes))
	}
	warned(t, res, "ListPipelines has the method and shape of PostPipelines")
	shipped, err := os.ReadFile("../../module/policy/tables/clarifai.routes")
	if err != nil {
		t.Fatal(err)
	}
	descriptors, err := tables.ShippedDescriptors("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	if string(shipped) != text || !bytes.Equal(descriptors, res.Descriptors) {
		t.Error("module/policy/tables/clarifai.routes, or clarifai.binpb next to it, differs from an import; to make it again: " +
			"npm ci in testdata/clarifai-proto, then caddy api-keys routes import proto --no-descriptions " +
			"--import-path testdata/clarifai-proto/node_modules/clarifai-nodejs-grpc proto/clarifai/api/service.proto " +
			"--out module/policy/tables/clarifai.routes --force")
	}
}

// Every binding and every method demands what the sources say, by a second
// reading of them that has nothing in common with the importer.
func TestClarifaiBySecondReading(t *testing.T) {
	dir := clarifaiSources(t)
	methods := readMethods(t, filepath.Join(dir, "proto/clarifai/api/service.proto"))
	shipped, err := tables.Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	table, err := policy.NewTable(shipped.Routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}

	// A request demands what all methods of its shape demand.
	wanted := map[string]*secondDemand{}
	bindings := 0
	for _, m := range methods {
		bindings += len(m.bindings)
		for _, b := range m.bindings {
			d := wanted[b.shape()]
			if d == nil {
				d = &secondDemand{kinds: m.kinds}
				wanted[b.shape()] = d
			}
			d.also(m)
		}
	}
	if len(methods) != 289 || bindings != 490 {
		t.Fatalf("the second reading found %d methods and %d bindings, want 289 and 490", len(methods), bindings)
	}
	rules := map[*policy.Rule]bool{}
	for _, m := range methods {
		endpoint := "/clarifai.api.V2/" + m.name
		own := &secondDemand{kinds: m.kinds}
		own.also(m)
		rule := table.Find("POST", true, endpoint)
		rules[rule] = true
		checkRule(t, endpoint, rule, own)
		if table.Find("POST", false, endpoint) != nil {
			t.Errorf("%s answers what isn't gRPC", endpoint)
		}
		for _, b := range m.bindings {
			path, owner, app := b.example()
			rule := table.Find(b.method, false, path)
			rules[rule] = true
			checkRule(t, b.method+" "+path, rule, wanted[b.shape()])
			if rule != nil && (rule.Owner(path) != owner || rule.App(path) != app) {
				t.Errorf("%s: owner %q and app %q, want %q and %q", path, rule.Owner(path), rule.App(path), owner, app)
			}
		}
	}
	if len(rules) != len(table.Rules()) {
		t.Errorf("the table has %d routes, of which the sources know %d", len(table.Rules()), len(rules))
	}
}

// checkRule checks that a rule demands exactly what it should.
func checkRule(t *testing.T, request string, rule *policy.Rule, want *secondDemand) {
	t.Helper()
	if rule == nil {
		t.Errorf("%s: no route", request)
		return
	}
	if !slices.Equal(rule.Scopes, want.scopes) || !slices.Equal(rule.Endpoint, want.endpoints) {
		t.Errorf("%s: demands %q as %q, want %q as %q", request, rule.Scopes, rule.Endpoint, want.scopes, want.endpoints)
	}
	if got := strings.Join(rule.Accepts().Words(), " "); got != want.kinds {
		t.Errorf("%s: accepts %s, want %s", request, got, want.kinds)
	}
	enough := policy.NewGrant(want.scopes, want.endpoints)
	if !enough.Permits(rule) {
		t.Errorf("%s: refused with all that it demands", request)
	}
	for i, scope := range want.scopes {
		less := policy.NewGrant(slices.Delete(slices.Clone(want.scopes), i, i+1), nil)
		if lack := rule.Lacking(&less); less.Permits(rule) || !slices.Equal(lack.Scopes, []string{scope}) {
			t.Errorf("%s: without %s it lacks %q", request, scope, lack.Scopes)
		}
	}
	for i, endpoint := range want.endpoints {
		less := policy.NewGrant(want.scopes, slices.Delete(slices.Clone(want.endpoints), i, i+1))
		if lack := rule.Lacking(&less); less.Permits(rule) || !slices.Equal(lack.Endpoints, []string{endpoint}) {
			t.Errorf("%s: without %s it lacks %q", request, endpoint, lack.Endpoints)
		}
	}
}

// The catalogue has every scope of the sources, with what it needs.
func TestClarifaiScopesBySecondReading(t *testing.T) {
	want := readScopes(t, filepath.Join(clarifaiSources(t), "proto/clarifai/auth/scope/scope.proto"))
	shipped, err := tables.Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 120 || len(shipped.Scopes) != len(want) {
		t.Fatalf("the second reading found %d scopes, the table has %d; want 120", len(want), len(shipped.Scopes))
	}
	for _, s := range shipped.Scopes {
		w, ok := want[s.Name]
		if !ok || !slices.Equal(s.Needs, w.needs) || s.Hidden != w.hidden {
			t.Errorf("%s needs %q, hidden %t; want %q, %t", s.Name, s.Needs, s.Hidden, w.needs, w.hidden)
		}
	}
}

// The table lists every place where a request can name an owner or an app. A
// second reading of the messages finds the same places.
func TestClarifaiOwnersBySecondReading(t *testing.T) {
	dir := filepath.Join(clarifaiSources(t), "proto/clarifai/api")
	methods := readMethods(t, filepath.Join(dir, "service.proto"))
	messages := readMessages(t, filepath.Join(dir, "service.proto"), filepath.Join(dir, "resources.proto"))
	shipped, err := tables.Shipped("clarifai")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string][]string{}
	for _, m := range shipped.OwnerMessage {
		fields[m.Method] = m.Fields
	}
	query, body := map[string]bool{}, map[string]bool{}
	for _, f := range shipped.OwnerQuery {
		query[f.Owner], query[f.App] = true, true
	}
	for _, f := range shipped.OwnerBody {
		body[f] = true
	}

	naming, elsewhere, silent := 0, 0, 0
	used := map[string]bool{}
	for _, m := range methods {
		var want, paths []string
		for _, way := range ownersIn(messages, m.request) {
			names, numbers, _ := strings.Cut(way, "=")
			paths = append(paths, names+"user_id", names+"app_id")
			want = append(want, names+"user_id="+numbers+"1", names+"app_id="+numbers+"2")
		}
		if len(want) > 0 {
			naming++
		}
		if got := fields["/clarifai.api.V2/"+m.name]; !slices.Equal(got, want) {
			t.Errorf("%s: its messages are looked into for %q, want %q", m.name, got, want)
		}
		for _, b := range m.bindings {
			if !strings.Contains(b.template, "user_id}") {
				elsewhere++
				if len(want) == 0 {
					silent++
				}
			}
			for _, path := range paths {
				switch {
				case b.body == "*":
					used["body "+path] = true
					if !body[path] {
						t.Errorf("%s %s: nobody looks for %s in the body", b.method, b.template, path)
					}
				case b.body != "":
					t.Errorf("%s %s: the body is the field %s", b.method, b.template, b.body)
				case !strings.Contains(b.template, "{"+path+"}"):
					used["query "+path] = true
					if !query[path] {
						t.Errorf("%s %s: nobody looks for %s in the query", b.method, b.template, path)
					}
				}
			}
		}
	}
	if naming != 281 || elsewhere != 192 || silent != 8 {
		t.Errorf("%d methods name an owner, %d bindings name no user in their path, nor %d of them anywhere else; want 281, 192 and 8",
			naming, elsewhere, silent)
	}
	if len(shipped.OwnerMessage) != naming {
		t.Errorf("%d methods have a line", len(shipped.OwnerMessage))
	}
	if len(used) != len(query)+len(body) {
		t.Errorf("the table looks for %d fields in queries and %d in bodies, of which %d can be there", len(query), len(body), len(used))
	}
}
