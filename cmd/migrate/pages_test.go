package migrate

import (
	"strings"
	"testing"
)

// A file that is one page of a longer list is not taken for the whole.
func TestMorePages(t *testing.T) {
	const key = "abcdefgh12345678"
	for _, c := range []struct {
		name, format, text string
		more               string // the field that says so; empty where nothing is missing
	}{
		{"AWS's command", AWS, `{"items":[{"id":"a","value":"` + key + `","name":"n"}],"NextToken":"c29tZQ=="}`, "NextToken"},
		{"AWS's command, the token first", AWS, `{"NextToken":"c29tZQ==","items":[{"value":"` + key + `","name":"n"}]}`, "NextToken"},
		{"AWS's API", AWS, `{"items":[{"value":"` + key + `","name":"n"}],"position":"x"}`, "position"},
		{"AWS, the last page", AWS, `{"items":[{"value":"` + key + `","name":"n"}],"NextToken":null,"position":""}`, ""},
		{"AWS, both pages", AWS, `{"items":[{"value":"` + key + `","name":"n"}],"NextToken":"x"}` + "\n" + `{"items":[{"value":"` + key + `9","name":"n"}]}`, ""},
		{"Kong", Kong, `{"data":[{"key":"` + key + `","consumer":{"id":"c"}}],"next":"/key-auths?offset=x","offset":"x"}`, "offset"},
		{"Kong, the last page", Kong, `{"data":[{"key":"` + key + `","consumer":{"id":"c"}}],"next":null}`, ""},
		{"Tyk", Tyk, `{"keys":["` + key + `"],"pages":3}`, "pages"},
		{"Tyk, details", Tyk, `{"data":{"keys":[{"key_id":"` + key + `"}],"pages":2}}`, "pages"},
		{"Tyk, all pages", Tyk, `{"keys":["` + key + `"],"pages":2}{"keys":["` + key + `9"],"pages":2}`, ""},
		{"Tyk, one page", Tyk, `{"keys":["` + key + `"],"pages":1}`, ""},
		{"APISIX", APISIX, `{"total":3,"list":[{"value":{"username":"a","plugins":{"key-auth":{"key":"` + key + `"}}}}]}`, "total"},
		{"APISIX, all", APISIX, `{"list":[{"value":{"username":"a","plugins":{"key-auth":{"key":"` + key + `"}}}}],"total":1}`, ""},
		{"APISIX, two pages", APISIX, `{"list":[{}],"total":2}{"list":[{}],"total":2}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys, more := 0, ""
			o := Options{Format: c.format, User: "ada", PAT: true, Scopes: []string{}}
			err := Read(strings.NewReader(c.text), o, func(_ Record, p *Problem) error {
				switch {
				case p == nil:
					keys++
				case p.Warning:
					more = p.Field
					if p.Line != 1 || !strings.Contains(p.Reason, "more pages") {
						t.Errorf("it says %v", p)
					}
				default:
					t.Error(p)
				}
				return nil
			})
			if err != nil || more != c.more {
				t.Errorf("%q reports more (%v), want %q", more, err, c.more)
			}
		})
	}
}

// Bytes that are not UTF-8 are refused with their line in every format, and not
// changed.
func TestBytesThatAreNoText(t *testing.T) {
	for _, c := range []struct {
		name, format, text string
		line               string
	}{
		{"CSV", CSV, "credential,user,app,description,scopes\nlegacykey-9001-abcdefghijklmnop,u1,main,caf\xe9,Predict\n", "line 2"},
		{"CSV, the credential", CSV, "credential,user,app,scopes\nlegacykey-\xe9-abcdefghijklmnop,u1,main,Predict\n", "line 2"},
		{"JSONL", JSONL, "\n" + `{"credential":"legacykey-9001-abcdefghijklmnop","user":"u1","app":"main","description":"caf` + "\xe9" + `","scopes":[]}`, "line 2"},
		{"JSONL, half a character", JSONL, `{"credential":"legacykey-\ud800-abcdefghijklmnop","user":"u1","app":"main","scopes":[]}`, "line 1"},
		{"AWS", AWS, "{\"items\":[\n{\"value\":\"legacykey-9001-abcdefghijklmnop\",\"name\":\"caf\xe9\"}]}", "line 2"},
		{"Kong", Kong, "consumers:\n- username: \"caf\xe9\"\n  keyauth_credentials:\n  - key: legacykey-9001-abcdefghijklmnop\n", "line 2"},
		{"APISIX", APISIX, `{"list":[{"value":{"username":"caf` + "\xe9" + `","plugins":{"key-auth":{"key":"legacykey-9001-abcdefghijklmnop"}}}}]}`, "line 1"},
		{"Tyk", Tyk, `{"legacykey-` + "\xe9" + `-abcdefghijklmnop":{"alias":"a"}}`, "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsOf(c.format)
			out, err := readAll(strings.NewReader(c.text), o)
			if err != nil || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, c.line+": ") || strings.Contains(out, "legacykey") {
				t.Errorf("read %s (%v)", out, err)
			}
		})
	}
}

// The dump says where clients send their keys, and so what the site has to
// read.
func TestSources(t *testing.T) {
	const apikey = "credential header apikey, credential query apikey"
	for _, c := range []struct{ name, format, text, lines, note string }{
		{"AWS", AWS, `{"items":[]}`, "credential header x-api-key", ""},
		{"Kong without plugins", Kong, "consumers: []\n", apikey, "Kong's defaults"},
		{"decK", Kong, "_format_version: '3.0'\nconsumers: []\nservices:\n- name: a\n  routes:\n  - name: r\n    plugins:\n    - name: key-auth\n      config:\n        key_names: [X-Key, x-key, token]\n        key_in_header: true\n        key_in_query: false\n        key_in_body: true\n- name: b\n  plugins:\n  - name: key-auth\n    config: {key_names: [q], key_in_header: false}\nplugins:\n- name: rate-limiting\n", "credential header X-Key, credential header token, credential query q", "keys in the body (X-Key) are not read here"},
		{"decK, defaults", Kong, "plugins:\n- name: key-auth\n", apikey, ""},
		{"decK, one line", Kong, "plugins: [{name: key-auth, config: {key_names: [k]}}]\n", "credential header k, credential query k", ""},
		{"decK, aliases", Kong, "services:\n- plugins:\n  - &x {name: key-auth, config: {key_names: [z]}}\n  - *x\n", apikey, "can't be read"},
		{"decK in JSON", Kong, `{"consumers":[],"services":[{"name":"a","":1,"routes":[{"plugins":[{"name":"key-auth","config":{"key_names":["k"],"key_in_query":false,"x":[[{}]]}}]}]}]}`, "credential header k", ""},
		{"Kong's Admin API", Kong, `{"data":[],"next":null}`, apikey, "Kong's defaults"},
		{"a name that is none", Kong, `{"plugins":[{"config":{"key_names":["a b"]}}]}`, "", "can't be used here"},
		{"APISIX", APISIX, "routes:\n  - uri: /a\n    plugins: {key-auth: {header: X-Key, query: key}}\nconsumers:\n  - username: a\n    plugins: {key-auth: {key: legacykey-9001-abcdefghijklmnop}}\n", "credential header X-Key, credential query key", ""},
		{"APISIX, defaults", APISIX, "routes:\n  - uri: /a\n    plugins: {key-auth: {}}\n", apikey, ""},
		{"APISIX's Admin API", APISIX, `{"list":[],"total":0}`, apikey, "APISIX's defaults"},
		{"APISIX in JSON", APISIX, `{"consumers":[],"routes":[{"plugins":{"key-auth":{"header":"X-Key"}}}]}`, "credential header X-Key, credential query apikey", ""},
		{"Tyk", Tyk, `{"keys":[]}`, "", "a key without a scheme is not read there"},
		{"Tyk with its API", Tyk, `{"keys":[],"apis":[{"api_definition":{"auth":{"auth_header_name":"X-Tyk","use_param":true,"use_cookie":true,"cookie_name":"tyk"}}}]}`, "credential header X-Tyk, credential query X-Tyk", "keys in the cookie (tyk) are not read here"},
		{"CSV", CSV, "credential\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsOf(c.format)
			o.Sources = new(Sources)
			if err := Read(strings.NewReader(c.text), o, func(Record, *Problem) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(o.Sources.Lines(), ", "); !strings.EqualFold(got, c.lines) {
				t.Errorf("the site needs %q, want %q", got, c.lines)
			}
			notes := strings.Join(o.Sources.Notes, "\n")
			if c.note == "" && notes != "" || !strings.Contains(notes, c.note) {
				t.Errorf("it notes %q, want %q", notes, c.note)
			}
		})
	}
}
