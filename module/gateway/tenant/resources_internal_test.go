package tenant

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// limits permit any llama-3, one model whose name has a slash, and no voice.
var limits = policy.Values{"model": {"llama-3*", "org/tiny"}, "voice": {}}

func resourcePlaces(t testing.TB) *Places {
	t.Helper()
	p := NewPlaces("user_id", "app_id")
	p.Bound(1<<20, 0)
	if err := p.Add(nil, []string{"user_app_id.user_id"}, nil); err != nil {
		t.Fatal(err)
	}
	err := p.Declare([]policy.Resource{
		{Name: "model", Path: []string{"model_id"}, Body: []string{"model", "options.model_id"}, Query: []string{"model", "model_id"}},
		{Name: "voice", Body: []string{"voice", "model"}, Query: []string{"voice"}},
		{Name: "project", Path: []string{"project_id"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func ruleFor(t testing.TB, path string, routes ...policy.Route) *policy.Rule {
	t.Helper()
	table, err := policy.NewTable(routes, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	r, _ := table.Settle(table.Find("GET", false, path), "GET", false, path)
	if r == nil {
		t.Fatalf("no route has %s", path)
	}
	return r
}

func TestResourcesInQueries(t *testing.T) {
	o := resourcePlaces(t)
	rule := ruleFor(t, "/models", policy.Route{Method: "GET", Pattern: "/models"})
	for query, permitted := range map[string]bool{
		"":                        true,
		"page=1":                  true,
		"models=gpt-4":            true,
		"model=llama-3":           true,
		"model=llama-3-8b":        true,
		"model=org/tiny":          true,
		"model=org%2Ftiny":        true,
		"model=llama%2D3":         true,
		"Model=llama-3":           true,
		"model=gpt-4":             false,
		"MODEL=gpt-4":             false,
		"mod%65l=gpt-4":           false,
		"model_id=gpt-4":          false,
		"modelId=gpt-4":           false,
		"model.id=gpt-4":          false,
		"!model=gpt-4":            false,
		"['model']=gpt-4":         false,
		"?model=gpt-4":            false,
		"a=1;model=gpt-4":         false,
		"m%C3%B6del=gpt-4":        false,
		"model=llama-3&model=x":   false,
		"model=x&model=llama-3":   false,
		"model=llama-3&modelId=x": false,
		"model=":                  false,
		"model":                   false,
		"model=llama-3/../gpt-4":  false,
		"model=llama-3%2F..%2Fx":  false,
		"model=llama-3%252fx":     false,
		"model=llama-3%5Cx":       false,
		"model=llama-3%00":        false,
		"model=+llama-3":          false,
		"model=%zz":               false,
		"model=llama-3&page=%":    false,
		"mod%el=gpt-4":            false,
		"model[]=llama-3":         false,
		"model[$ne]=llama-3":      false,
		"model.name=llama-3":      false,
		"model%00=llama-3":        false,
		"__proto__[model]=gpt-4":  false,
		"a[constructor]=gpt-4":    false,
		"voice=alloy":             false,
		"model=" + strings.Repeat("llama-3", 200):       false,
		strings.Repeat("model=llama-3&", maxValues):     true,
		strings.Repeat("model=llama-3&", maxValues+1):   false,
		strings.Repeat("page=1&", 500) + "model=gpt-4x": false,
	} {
		beyond := o.Beyond(limits, rule, "/models", query, new(Contents))
		if (beyond == "") != permitted {
			t.Errorf("%.80s: beyond %q", query, beyond)
		}
	}
}

func TestResourcesInPaths(t *testing.T) {
	o := resourcePlaces(t)
	for _, tt := range []struct {
		path      string
		permitted bool
		patterns  []string
	}{
		{"/models/llama-3", true, []string{"/models/{model_id}"}},
		{"/models/gpt-4", false, []string{"/models/{model_id}"}},
		{"/models/gpt-4", true, []string{"/models/{id}"}},
		{"/models/gpt-4", false, []string{"/models/{id}", "/models/{model_id}"}},
		{"/models/gpt-4", false, []string{"/models/{model_id}", "/models/{id}"}},
		{"/models/llama-3:run", true, []string{"/models/{model_id}:run"}},
		{"/models/gpt-4:run", false, []string{"/models/{model_id}:run"}},
		{"/models/llama-3/versions", true, []string{"/models/{model_id}/versions"}},
		{"/models/gpt-4/versions", false, []string{"/models/{model_id}/versions"}},
		{"/models/a/llama-3", false, []string{"/models/{a}/{model_id}", "/models/{model_id}/{b}"}},
		{"/org/tiny", true, []string{"/{model_id=org/*}"}},
		{"/org/large", false, []string{"/{model_id=org/*}"}},
		{"/v1/org/tiny/files", true, []string{"/v1/{model_id=*/*}/files"}},
		{"/v1/org/large/files", false, []string{"/v1/{model_id=*/*}/files"}},
		{"/v1/org/tiny:run", true, []string{"/v1/{model_id=*/*}:run"}},
		{"/v1/org/large:run", false, []string{"/v1/{model_id=*/*}:run"}},
		{"/models/org/tiny", true, []string{"/models/{model_id=**}"}},
		{"/models/llama-3/8b", true, []string{"/models/{model_id=**}"}},
		{"/models/gpt-4/mini", false, []string{"/models/{model_id=**}"}},
		{"/models/llama-3//", false, []string{"/models/{model_id=**}"}},
		{"/models", false, []string{"/models/{model_id=**}"}},
		{"/models/org/tiny:run", true, []string{"/models/{model_id=**}:run"}},
		{"/models/gpt-4:run", false, []string{"/models/{model_id=**}:run"}},
		{"/models/org%2Ftiny", true, []string{"/models/{model_id}"}},
		{"/models/llama-3%2F..%2Fgpt-4", false, []string{"/models/{model_id}"}},
		{"/models/l%C3%A1ma", false, []string{"/models/{model_id}"}},
		// An upstream may read the escaped colon as that of a verb.
		{"/models/llama-3%3Arun", true, []string{"/models/{model_id} colon", "/models/{model_id}:run"}},
		{"/models/org%3Arun", false, []string{"/models/{id} colon", "/models/{model_id}:run"}},
	} {
		var routes []policy.Route
		for _, p := range tt.patterns {
			pattern, allow, _ := strings.Cut(p, " ")
			r := policy.Route{Method: "GET", Pattern: pattern}
			if allow != "" {
				r.Allow = []string{allow}
			}
			routes = append(routes, r)
		}
		beyond := o.Beyond(limits, ruleFor(t, tt.path, routes...), tt.path, "", new(Contents))
		if (beyond == "") != tt.permitted {
			t.Errorf("%s by %q: beyond %q", tt.path, tt.patterns, beyond)
		}
	}
}

func TestResourcesInBodies(t *testing.T) {
	o := resourcePlaces(t)
	rule := ruleFor(t, "/models", policy.Route{Method: "GET", Pattern: "/models"})
	many := func(n int, format func(int) string) string {
		var list []string
		for i := range n {
			list = append(list, format(i))
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	model := policy.Values{"model": limits["model"]}
	for _, tt := range []struct {
		name, contentType, body string
		limits                  policy.Values
		permitted, wrong        bool
	}{
		{name: "no body", permitted: true},
		{name: "no name", body: `{"prompt":"x"}`, permitted: true},
		{name: "null", body: `{"model":null}`, permitted: true},
		{name: "a value", body: `{"model":"llama-3-8b"}`, permitted: true},
		{name: "an escaped value", body: `{"model":"llama\u002d3"}`, permitted: true},
		{name: "another", body: `{"model":"gpt-4"}`},
		{name: "another, escaped", body: `{"model":"\u0067pt-4"}`},
		{name: "dots", body: `{"model":"llama-3/../gpt-4"}`},
		{name: "dots, escaped", body: `{"model":"llama-3\u002f..\u002fgpt-4"}`},
		{name: "empty", body: `{"model":""}`},
		{name: "a number", body: `{"model":7}`},
		{name: "an object", body: `{"model":{"id":"llama-3"}}`},
		{name: "a list", body: `{"model":["llama-3"]}`},
		{name: "within", body: `{"options":{"model_id":"gpt-4"}}`},
		{name: "within, by its other name", body: `{"options":{"modelId":"gpt-4"}}`},
		{name: "within, permitted", body: `{"options":{"model_id":"llama-3"}}`, permitted: true},
		{name: "elsewhere", body: `{"other":{"model":"gpt-4"}}`, permitted: true},
		{name: "in a list on the way", body: `{"options":[{"model_id":"llama-3"},{"model_id":"gpt-4"}]}`},
		{name: "at the top of a list", body: `[{"model":"llama-3"},{"model":"gpt-4"}]`},
		{name: "twice", body: `{"model":"gpt-4","model":"llama-3"}`, wrong: true},
		{name: "spelled otherwise", body: `{"Model":"gpt-4"}`, wrong: true},
		{name: "an escaped name", body: `{"m\u006fdel":"gpt-4"}`, wrong: true},
		{name: "a prototype", body: `{"__proto__":{"model":"gpt-4"}}`, wrong: true},
		{name: "cut off", body: `{"model":"llama-3"`, wrong: true},
		{name: "a text on the way", body: `{"options":"gpt-4"}`, wrong: true},
		{name: "both at once", body: `{"model":"llama-3"}`, limits: limits},
		{name: "too long", body: `{"model":"llama-3` + strings.Repeat("x", maxValue) + `"}`},
		{name: "as many as are kept", body: many(maxValues/2, func(i int) string { return `{"model":"llama-3` + strconv.Itoa(i) + `"}` }), permitted: true},
		{name: "the same very often", body: many(5000, func(int) string { return `{"model":"llama-3"}` }), permitted: true},
		{name: "more", body: many(5000, func(i int) string { return `{"model":"llama-3` + strconv.Itoa(i) + `"}` })},
		{name: "one more behind many others", body: many(maxValues, func(i int) string { return `{"voice":"v` + strconv.Itoa(i) + `"},{"model":"gpt-4"}` })},
		{name: "a form", contentType: "application/x-www-form-urlencoded", body: `model=llama-3`, wrong: true},
		{name: "a form in JSON", contentType: "application/x-www-form-urlencoded", body: `"&model=gpt-4&"`},
		{name: "a form in JSON, spelled otherwise", contentType: "application/x-www-form-urlencoded", body: `"&modelId=gpt-4&"`},
		{name: "a form in JSON, permitted", contentType: "application/x-www-form-urlencoded", body: `"&MODEL=llama-3&"`, permitted: true},
		{name: "parts", contentType: "multipart/form-data; boundary=x", body: "--x--", wrong: true},
		{name: "bytes", contentType: "application/octet-stream", body: `{}`, wrong: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/models", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", "application/json")
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			by := tt.limits
			if by == nil {
				by = model
			}
			contents := Contents{Read: true}
			var n policy.Named
			err := o.ReadBody(httptest.NewRecorder(), r, &n, &contents)
			if (err != nil) != tt.wrong {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				return
			}
			if beyond := o.Beyond(by, rule, "/models", "", &contents); (beyond == "") != tt.permitted {
				t.Errorf("beyond %q", beyond)
			}
		})
	}
}

// A caller without limits on a resource in bodies has names read that resemble
// the resource's. Owners are found for every caller.
func TestBodiesOfUnlimitedCallers(t *testing.T) {
	o := resourcePlaces(t)
	read := func(body string, values *Contents) (n policy.Named, err *Error) {
		r := httptest.NewRequest(http.MethodPost, "/models", strings.NewReader(body))
		err = o.ReadBody(httptest.NewRecorder(), r, &n, values)
		return n, err
	}
	const body = `{"Model":"gpt-4","user_app_id":{"user_id":"bob"}}`
	if n, err := read(body, nil); err != nil || n.Owner != "bob" {
		t.Errorf("%+v, %v", n, err)
	}
	if _, err := read(body, new(Contents)); err == nil {
		t.Error("a name that resembles model is read for a limited caller")
	}
	if n, err := read(strings.Replace(body, "M", "m", 1), new(Contents)); err != nil || n.Owner != "bob" {
		t.Errorf("%+v, %v", n, err)
	}
	r := httptest.NewRequest(http.MethodPost, "/models", strings.NewReader(body))
	for _, tt := range []struct {
		limits policy.Values
		want   bool
	}{{nil, false}, {policy.Values{"project": {"x"}}, false}, {policy.Values{"other": {"x"}}, false}, {limits, true}} {
		if got := o.InspectsFor(tt.limits, r); got != tt.want {
			t.Errorf("%v: inspects is %v", tt.limits, got)
		}
	}
}

// A caller is refused if the gate can't tell: at a site that doesn't declare the
// resource, for a gRPC message, and for a body that was forwarded unread.
func TestResourcesOutOfSight(t *testing.T) {
	o := resourcePlaces(t)
	rule := ruleFor(t, "/models", policy.Route{Method: "GET", Pattern: "/models"})
	model, project := policy.Values{"model": {"*"}}, policy.Values{"project": {"*"}}
	for _, tt := range []struct {
		name   string
		limits policy.Values
		body   Contents
		want   string
	}{
		{"no limits", nil, Contents{Opaque: true, HandedOn: true}, ""},
		{"in sight", model, Contents{}, ""},
		{"undeclared", policy.Values{"region": {"*"}}, Contents{}, "region"},
		{"the first of two", policy.Values{"model": {"*"}, "region": {"*"}}, Contents{}, "region"},
		{"gRPC", model, Contents{Opaque: true}, "model"},
		{"gRPC, where only paths name it", project, Contents{Opaque: true}, "project"},
		{"handed on", model, Contents{HandedOn: true}, "model"},
		{"handed on, where no body names it", project, Contents{HandedOn: true}, ""},
	} {
		if got := o.Beyond(tt.limits, rule, "/models", "", &tt.body); got != tt.want {
			t.Errorf("%s: beyond %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A limited caller can't call routes whose requests can't be checked.
func TestRoutesBeyondLimits(t *testing.T) {
	o := resourcePlaces(t)
	models := ruleFor(t, "/models/x", policy.Route{Method: "GET", Pattern: "/models/{model_id}"})
	other := ruleFor(t, "/other", policy.Route{Method: "GET", Pattern: "/other"})
	table, err := policy.NewTable([]policy.Route{{Method: "grpc", Pattern: "/pkg.Service/Method"}}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	grpc := table.Rules()[0]
	for _, tt := range []struct {
		limits policy.Values
		rule   *policy.Rule
		want   string
	}{
		{nil, grpc, ""},
		{policy.Values{"model": {"x"}}, models, ""},
		{policy.Values{"model": {"x"}}, grpc, "model"},
		{policy.Values{"model": {}}, models, "model"},
		{policy.Values{"model": {}}, other, ""},
		{policy.Values{"region": {"x"}}, other, "region"},
	} {
		if got := o.BeyondRoute(tt.limits, tt.rule); got != tt.want {
			t.Errorf("%v, %s: beyond %q, want %q", tt.limits, tt.rule, got, tt.want)
		}
	}
}
