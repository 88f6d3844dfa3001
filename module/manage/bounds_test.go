package manage_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// bounded is friends with plans and resources in the configuration.
func bounded(t testing.TB) *service {
	t.Helper()
	s := friends(t)
	rate, err := policy.ParseRate("10/s")
	if err != nil {
		t.Fatal(err)
	}
	office, err := policy.ParseAddresses([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	s.api.Plans, err = policy.NewPlans([]policy.Plan{
		{Name: "free", Limits: policy.Limits{Rate: rate}},
		{Name: "half", Limits: policy.Limits{Rate: policy.Rate{N: 5, Per: rate.Per, Burst: 5}}},
		{Name: "office", Addresses: office},
		{Name: "monthly", Limits: policy.Limits{Quota: policy.Quota{N: 200, Per: policy.Month}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.api.Resources = []string{"model", "dataset"}
	s.api.Directory.SetPlans(maps.Clone(s.api.Plans))
	return s
}

// boundsOf shows the bounds of a key in JSON.
func boundsOf(t testing.TB, k *manage.Key) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"plan": k.Plan, "limits": k.Limits, "addresses": k.Addresses, "resources": k.Resources})
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{`"plan":""`, `"limits":{}`, `"addresses":null`, `"resources":null`} {
		text = []byte(strings.NewReplacer(none+",", "", ","+none, "", none, "").Replace(string(text)))
	}
	return string(text)
}

const allBounds = `"plan":"free","limits":{"rate":"10/s burst 20","quota":"10000/month","concurrent":5},"addresses":["192.0.2.7/32","192.0.2.0/25"],"resources":{"model":["llama-3*","gpt","gpt"],"dataset":[]}`

func TestBoundsOfNewKeys(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{
		{"all", allBounds, `{"addresses":["192.0.2.0/25","192.0.2.7"],"limits":{"rate":"10/s burst 20","quota":"10000/month","concurrent":5},"plan":"free","resources":{"model":["gpt","llama-3*"]}}`},
		{"none", `"description":""`, `{}`},
		{"null", `"plan":null,"limits":null,"addresses":null,"resources":null`, `{}`},
		{"empty", `"plan":"","limits":{},"addresses":[],"resources":{"model":[]}`, `{}`},
		{"null members", `"limits":{"rate":null,"quota":"","concurrent":null},"resources":{"model":null}`, `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bounded(t)
			made := s.must("POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"],`+c.given+`}]}`).Keys[0]
			if got := boundsOf(t, &made); got != c.want {
				t.Errorf("made %s, want %s", got, c.want)
			}
			next := s.must("POST", "/v2/keys/"+made.KeyID+"/rotate", "").Key
			if got := boundsOf(t, next); got != c.want {
				t.Errorf("rotated into %s, want %s", got, c.want)
			}
			s.must("DELETE", "/v2/keys/"+next.KeyID, "")
			for _, k := range s.must("GET", "/v2/users/alice/keys?state=revoked", "").Keys {
				if got := boundsOf(t, &k); got != c.want {
					t.Errorf("revoked it is shown as %s, want %s", got, c.want)
				}
			}
		})
	}
}

func TestChangeBounds(t *testing.T) {
	const none = `"plan":null`
	for _, c := range []struct {
		name          string
		before        string
		change        string // the fields of the PATCH, and its action
		want          string
		field, reason string // of a refusal
		code          manage.Code
	}{
		{name: "plan is set", before: none, change: `"plan":"half"}]`, want: `{"plan":"half"}`},
		{name: "plan is removed by the empty text", before: `"plan":"free"`, change: `"plan":""}],"action":"merge"`, want: `{}`},
		{name: "plan is removed by null", before: `"plan":"free"`, change: `"plan":null}]`, want: `{}`},
		{name: "unknown plan", before: none, change: `"plan":"gold"}]`, field: "plan", reason: "it has free, half, monthly, office"},

		{name: "one limit, the others stay", before: `"limits":{"rate":"10/s","concurrent":5}`, change: `"limits":{"rate":"600/m"}}],"action":"remove"`, want: `{"limits":{"rate":"600/m","concurrent":5}}`},
		{name: "one limit is removed", before: `"limits":{"rate":"10/s","concurrent":5}`, change: `"limits":{"rate":null}}]`, want: `{"limits":{"concurrent":5}}`},
		{name: "all limits are removed", before: `"limits":{"rate":"10/s","quota":"5/day","concurrent":5}`, change: `"limits":null}]`, want: `{}`},
		{name: "no limit", before: `"limits":{"rate":"10/s"}`, change: `"limits":{}}]`, want: `{"limits":{"rate":"10/s"}}`},
		{name: "rate without a time", before: none, change: `"limits":{"rate":"10"}}]`, field: "limits.rate", reason: "10/s"},
		{name: "quota of no window", before: none, change: `"limits":{"quota":"10/year"}}]`, field: "limits.quota", reason: "10000/month"},
		{name: "concurrent 0", before: none, change: `"limits":{"concurrent":0}}]`, field: "limits.concurrent", reason: "at least 1"},
		{name: "concurrent too high", before: none, change: `"limits":{"concurrent":1000001}}]`, field: "limits", reason: "1000000"},
		{name: "unknown limit", before: none, change: `"limits":{"burst":5}}]`, field: "limits.burst", reason: "rate, quota, concurrent"},
		{name: "limits as a text", before: none, change: `"limits":"10/s"}]`, code: manage.CodeBadFormat, field: "limits", reason: "object"},

		{name: "merge addresses", before: `"addresses":["192.0.2.7"]`, change: `"addresses":["2001:db8::/32","192.0.2.7"]}],"action":"merge"`, want: `{"addresses":["192.0.2.7","2001:db8::/32"]}`},
		{name: "merge addresses into no list", before: none, change: `"addresses":["192.0.2.7"]}],"action":"merge"`, want: `{"addresses":["192.0.2.7"]}`},
		{name: "merge no address", before: `"addresses":["192.0.2.7"]`, change: `"addresses":[]}],"action":"merge"`, want: `{"addresses":["192.0.2.7"]}`},
		{name: "overwrite addresses", before: `"addresses":["192.0.2.7"]`, change: `"addresses":["192.0.2.8"]}],"action":"overwrite"`, want: `{"addresses":["192.0.2.8"]}`},
		{name: "overwrite addresses with none", before: `"addresses":["192.0.2.7"]`, change: `"addresses":[]}],"action":"overwrite"`, want: `{}`},
		{name: "overwrite addresses with null", before: none, change: `"addresses":null}],"action":"overwrite"`, field: "addresses", reason: "leave it out"},
		{name: "remove an address", before: `"addresses":["192.0.2.7","192.0.2.8"]`, change: `"addresses":["192.0.2.7/32"]}],"action":"remove"`, want: `{"addresses":["192.0.2.8"]}`},
		{name: "remove the last address", before: `"addresses":["192.0.2.7"]`, change: `"addresses":["192.0.2.7"]}],"action":"remove"`, field: "addresses", reason: "none would be left"},
		{name: "remove an address from no list", before: none, change: `"addresses":["192.0.2.7"]}],"action":"remove"`, field: "addresses", reason: "overwrite"},
		{name: "remove a part of a network", before: `"addresses":["192.0.2.0/24"]`, change: `"addresses":["192.0.2.7"]}],"action":"remove"`, field: "addresses", reason: "would keep 192.0.2.0/24"},
		{name: "addresses without action", before: none, change: `"addresses":["192.0.2.7"]}]`, field: "action", reason: "merge"},
		{name: "no address", before: none, change: `"addresses":["here"]}],"action":"merge"`, field: "addresses", reason: `"here" is not a network`},
		{name: "bits beyond the prefix", before: none, change: `"addresses":["192.0.2.7/24"]}],"action":"merge"`, field: "addresses", reason: "192.0.2.0/24"},

		{name: "merge values", before: `"resources":{"model":["gpt"],"dataset":["a"]}`, change: `"resources":{"model":["llama-3*"]}}],"action":"merge"`, want: `{"resources":{"dataset":["a"],"model":["gpt","llama-3*"]}}`},
		{name: "merge values into no list", before: none, change: `"resources":{"model":["gpt"]}}],"action":"merge"`, want: `{"resources":{"model":["gpt"]}}`},
		{name: "overwrite one resource, the others stay", before: `"resources":{"model":["gpt"],"dataset":["a"]}`, change: `"resources":{"model":["x"]}}],"action":"overwrite"`, want: `{"resources":{"dataset":["a"],"model":["x"]}}`},
		{name: "overwrite values with none", before: `"resources":{"model":["gpt"],"dataset":["a"]}`, change: `"resources":{"model":[]}}],"action":"overwrite"`, want: `{"resources":{"dataset":["a"]}}`},
		{name: "overwrite the last values with none", before: `"resources":{"model":["gpt"]}`, change: `"resources":{"model":[]}}],"action":"overwrite"`, want: `{}`},
		{name: "remove a value", before: `"resources":{"model":["gpt","x"]}`, change: `"resources":{"model":["gpt"]}}],"action":"remove"`, want: `{"resources":{"model":["x"]}}`},
		{name: "remove the last value", before: `"resources":{"model":["gpt"]}`, change: `"resources":{"model":["gpt"]}}],"action":"remove"`, field: "resources.model", reason: "none would be left"},
		{name: "remove values from no list", before: `"resources":{"dataset":["a"]}`, change: `"resources":{"model":["gpt"]}}],"action":"remove"`, field: "resources.model", reason: "overwrite"},
		{name: "remove a value that a pattern keeps", before: `"resources":{"model":["llama-3*","llama-3-8b"]}`, change: `"resources":{"model":["llama-3-8b"]}}],"action":"remove"`, field: "resources.model", reason: "would keep llama-3*"},
		{name: "values without action", before: none, change: `"resources":{"model":["gpt"]}}]`, field: "action", reason: "merge"},
		{name: "undeclared resource", before: none, change: `"resources":{"modle":["gpt"]}}],"action":"merge"`, field: "resources.modle", reason: "declared are dataset, model"},
		{name: "no name of a resource", before: none, change: `"resources":{"Model":["gpt"]}}],"action":"merge"`, field: "resources.Model", reason: "lower-case"},
		{name: "values as null", before: none, change: `"resources":{"model":null}}],"action":"merge"`, field: "resources.model", reason: "a list of texts"},
		{name: "resources as null", before: none, change: `"resources":null}],"action":"merge"`, field: "resources", reason: "leave it out"},
		{name: "many *", before: none, change: `"resources":{"model":["*a*b*c*d*"]}}],"action":"merge"`, field: "resources.model", reason: "more than 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bounded(t)
			k := s.pat(operator, "alice", `["Predict"]`, ","+c.before)
			before := boundsOf(t, &k)
			a := s.call("PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,%s}`, k.KeyID, c.change))
			got := boundsOf(t, s.must("GET", "/v2/keys/"+k.KeyID, "").Key)
			if c.field == "" {
				if a.Status.Code != manage.CodeOK || got != c.want {
					t.Errorf("answered %s\nit has %s, want %s", a.body, got, c.want)
				}
				return
			}
			field := "keys[0]." + c.field
			if c.field == "action" {
				field = c.field
			}
			refused(t, a, cmp.Or(c.code, manage.CodeInvalid), field, c.reason)
			if got != before {
				t.Errorf("though refused, it changed %s into %s", before, got)
			}
		})
	}
}

// A key keeps a plan and resources that the configuration no longer has, and can lose
// them.
func TestBoundsThatTheConfigurationLost(t *testing.T) {
	s := bounded(t)
	k := s.pat(operator, "alice", `["Predict"]`, `,"plan":"free","resources":{"model":["gpt"]}`)
	s.api.Plans, s.api.Resources = nil, nil
	change := func(fields string) response {
		return s.call("PATCH", "/v2/keys", fmt.Sprintf(`{"keys":[{"id":%q,%s}],"action":"merge"}`, k.KeyID, fields))
	}
	if a := change(`"plan":"free","resources":{"model":["x"]}`); a.Status.Code != manage.CodeOK {
		t.Errorf("answered %s", a.body)
	}
	refused(t, change(`"plan":"half"`), manage.CodeInvalid, "keys[0].plan", "no plans")
	refused(t, change(`"resources":{"dataset":["x"]}`), manage.CodeInvalid, "keys[0].resources.dataset", "no site")
	// Without a configuration, only the form is checked.
	s.api.Catalogue = nil
	if a := change(`"plan":"gold","resources":{"dataset":["x"]}`); a.Status.Code != manage.CodeOK {
		t.Errorf("answered %s", a.body)
	}
	refused(t, change(`"plan":"a b"`), manage.CodeInvalid, "keys[0].plan", "letters")
}

// A list that a restore left empty permits nothing. Only an explicit change makes it
// permit anything.
func TestBoundsThatPermitNothing(t *testing.T) {
	s := bounded(t)
	k := s.pat(operator, "alice", `["Predict"]`, "")
	empty := func() {
		t.Helper()
		err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
			_, err := tx.ChangeCredential(k.KeyID, func(c *keys.Credential) error {
				c.Addresses, c.Resources = policy.Addresses{}, policy.Values{"model": {}}
				return nil
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	empty()
	const nothing = `{"addresses":[],"resources":{"model":[]}}`
	for _, act := range []string{"merge", "overwrite", "remove"} {
		s.call("PATCH", "/v2/keys", fmt.Sprintf(`{"keys":[{"id":%q,"description":%q,"addresses":[],"resources":{"model":[]}}],"action":%q}`, k.KeyID, act, act))
		want := nothing
		if act == "overwrite" {
			want = `{}`
		}
		if got := boundsOf(t, s.must("GET", "/v2/keys/"+k.KeyID, "").Key); got != want {
			t.Errorf("%s made it %s, want %s", act, got, want)
		}
		empty()
	}
}

func TestBoundsDelegate(t *testing.T) {
	for _, c := range []struct {
		name       string
		own, given string
		field      string // of the refusal, empty if it is allowed
		says       string
	}{
		{"nothing", `"plan":null`, `"plan":"free"`, "", ""},
		{"limits, lower", `"limits":{"rate":"10/s","quota":"100/day"}`, `"limits":{"rate":"5/s","quota":"50/day"}`, "", ""},
		{"limits, none", `"limits":{"rate":"10/s"}`, `"plan":null`, "limits", "rate 10/s"},
		{"limits, higher", `"limits":{"rate":"10/s"}`, `"limits":{"rate":"11/s"}`, "limits", "no higher"},
		{"limits, one is missing", `"limits":{"rate":"10/s","concurrent":2}`, `"limits":{"rate":"10/s"}`, "limits", "concurrent 2"},
		{"limits by a plan", `"limits":{"rate":"10/s"}`, `"plan":"half"`, "", ""},
		{"limits by a plan that has less", `"limits":{"rate":"6/s"}`, `"plan":"free"`, "limits", "no higher"},
		{"limits by a plan and of its own", `"limits":{"rate":"5/s","concurrent":1}`, `"plan":"half","limits":{"concurrent":1}`, "", ""},
		// No quota is the same as 100/day and 200/month together. The closest one, 6/day,
		// permits less.
		{"a quota that only seems lower", `"limits":{"quota":"6/day"}`, `"plan":"monthly","limits":{"quota":"100/day"}`, "limits", "quota 6/day"},
		{"plan, the same", `"plan":"free"`, `"plan":"free"`, "", ""},
		{"plan, none", `"plan":"free"`, `"plan":null`, "plan", "the same plan"},
		{"plan, one with less", `"plan":"free"`, `"plan":"half"`, "", ""},
		{"plan, one with more", `"plan":"half"`, `"plan":"free"`, "plan", "the plan half"},
		{"plan, limits with less", `"plan":"free"`, `"limits":{"rate":"10/s"}`, "", ""},
		{"plan with addresses, none", `"plan":"office"`, `"plan":null`, "plan", "the same plan"},
		{"plan with addresses, some of them", `"plan":"office"`, `"addresses":["192.0.2.7"]`, "", ""},
		{"addresses, some of them", `"addresses":["192.0.2.0/24"]`, `"addresses":["192.0.2.7"]`, "", ""},
		{"addresses, others", `"addresses":["192.0.2.0/24"]`, `"addresses":["192.0.2.7","198.51.100.7"]`, "addresses", "192.0.2.0/24"},
		{"addresses, any", `"addresses":["192.0.2.0/24"]`, `"plan":null`, "addresses", "from elsewhere"},
		{"addresses of a plan", `"addresses":["192.0.2.0/24"]`, `"plan":"office"`, "", ""},
		{"resources, some", `"resources":{"model":["llama-*"]}`, `"resources":{"model":["llama-3*"],"dataset":["a"]}`, "", ""},
		{"resources, others", `"resources":{"model":["llama-*"]}`, `"resources":{"model":["gpt"]}`, "resources", "model=llama-*"},
		{"resources, any", `"resources":{"model":["llama-*"]}`, `"resources":{"dataset":["a"]}`, "resources", "model=llama-*"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := bounded(t)
			caller := s.with(s.pat(operator, "alice", `["All"]`, ","+c.own).ID)
			free, same := s.pat(operator, "alice", `["All"]`, ""), s.pat(operator, "alice", `["All"]`, ","+c.given)
			check := func(a response, element string) {
				t.Helper()
				if c.field == "" {
					if a.Status.Code != manage.CodeOK {
						t.Errorf("answered %s", a.body)
					}
					return
				}
				if element != "" {
					element += "."
				}
				refused(t, a, manage.CodeInsufficientScopes, element+c.field, c.says)
			}
			check(s.callAs(caller, "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":[],`+c.given+`}]}`), "keys[0]")
			check(s.callAs(caller, "PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,%s}],"action":"overwrite"}`, free.KeyID, c.given)), "keys[0]")
			check(s.callAs(caller, "POST", "/v2/users/alice/keys/"+same.KeyID+"/rotate", `{"grace":"1h"}`), "")
			s.must("PATCH", "/v2/keys", fmt.Sprintf(`{"keys":[{"id":%q,"disabled":true}]}`, same.KeyID))
			check(s.callAs(caller, "PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"disabled":false}]}`, same.KeyID)), "keys[0]")
			// Every manager of a key may disable it.
			s.mustAs(caller, "PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"disabled":true}]}`, free.KeyID))
		})
	}
}

// A plan that the configuration no longer has can't be compared.
func TestBoundsDelegateWithoutTheirPlan(t *testing.T) {
	s := bounded(t)
	caller := s.with(s.pat(operator, "alice", `["All"]`, `,"plan":"free"`).ID)
	delete(s.api.Plans, "free")
	a := s.callAs(caller, "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":[],"plan":"half"}]}`)
	refused(t, a, manage.CodeInsufficientScopes, "keys[0].plan", "the plan free")
}

func TestBoundsOfKeysAndCollaboratorsThatAreMadeWithThem(t *testing.T) {
	s := bounded(t)
	const want = `{"addresses":["192.0.2.0/25","192.0.2.7"],"limits":{"rate":"10/s burst 20","quota":"10000/month","concurrent":5},"plan":"free","resources":{"model":["gpt","llama-3*"]}}`
	caller := s.with(s.pat(operator, "alice", `["All"]`, ","+allBounds).ID)
	caller.Address = "192.0.2.7"
	k := s.mustAs(caller, "POST", "/v2/users/alice/apps", `{"apps":[{"id":"shop"}]}`).Keys[0]
	if got := boundsOf(t, &k); got != want {
		t.Errorf("the app's key has %s, want %s", got, want)
	}
	if mine := s.mustAs(caller, "GET", "/v2/myscopes", "").MyScopes; mine.Plan != "free" || !mine.Limits.Bounded() || len(mine.Addresses) != 2 || len(mine.Resources) != 1 {
		t.Errorf("the token is shown as %+v", mine)
	}
	for _, own := range []string{`"plan":"free"`, `"limits":{"concurrent":1}`, `"addresses":["192.0.2.7"]`, `"resources":{"model":["gpt"]}`} {
		caller := s.with(s.pat(operator, "alice", `["All"]`, ","+own).ID)
		caller.Address = "192.0.2.7"
		a := s.callAs(caller, "POST", shared, `{"collaborators":[{"user_id":"bob","scopes":[]}]}`)
		refused(t, a, manage.CodeInsufficientScopes, "collaborators[0]", "a collaborator does not have")
	}
}

func TestPlansOfUsersAndApps(t *testing.T) {
	s := bounded(t)
	alice := s.signedIn("alice")
	s.must("PATCH", "/v2/users/alice", `{"plan":"free"}`)
	if u := s.mustAs(alice, "GET", "/v2/users/me", "").User; u.Plan != "free" {
		t.Errorf("alice is shown as %+v", u)
	}
	if a := s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"shop","plan":"half"}]}`).Apps[0]; a.Plan != "half" {
		t.Errorf("made %+v", a)
	}
	if a := s.mustAs(alice, "PATCH", "/v2/users/alice/apps/shop", `{"name":"Shop"}`).App; a.Plan != "half" {
		t.Errorf("changed into %+v", a)
	}
	if a := s.must("PATCH", "/v2/users/alice/apps/shop", `{"plan":""}`).App; a.Plan != "" {
		t.Errorf("changed into %+v", a)
	}
	if u := s.must("PATCH", "/v2/users", `{"users":[{"id":"alice","plan":null}]}`).Users[0]; u.Plan != "" {
		t.Errorf("changed into %+v", u)
	}
	s.refuses(t, []refusal{
		{"user", "POST", "/v2/users", `{"users":[{"plan":"gold"}]}`, manage.CodeInvalid, "users[0].plan", "it has free"},
		{"change of a user", "PATCH", "/v2/users/alice", `{"user":{"plan":"gold"}}`, manage.CodeInvalid, "user.plan", "it has free"},
		{"app", "POST", "/v2/users/alice/apps", `{"apps":[{"plan":"gold"}]}`, manage.CodeInvalid, "apps[0].plan", "it has free"},
		{"change of an app", "PATCH", "/v2/users/alice/apps/shop", `{"plan":"gold"}`, manage.CodeInvalid, "plan", "it has free"},
	})
	s.refusesTo(t, alice, []refusal{
		{"app of a user", "POST", "/v2/users/alice/apps", `{"apps":[{"plan":"half"}]}`, manage.CodeInvalid, "apps[0].plan", "only the operator"},
		{"change of a user's app", "PATCH", "/v2/users/alice/apps/shop", `{"app":{"plan":""}}`, manage.CodeInvalid, "app.plan", "only the operator"},
		{"user by a user", "PATCH", "/v2/users/alice", `{"plan":"free"}`, manage.CodeMethod, "", ""},
	})
}

func TestListPlans(t *testing.T) {
	s := bounded(t)
	a := s.mustAs(s.signedIn("alice"), "GET", "/v2/users/me/plans", "")
	const want = `"plans":[{"name":"free","limits":{"rate":"10/s"}},{"name":"half","limits":{"rate":"5/s"}},{"name":"monthly","limits":{"quota":"200/month"}},{"name":"office","addresses":["192.0.2.0/24"]}],"resource_names":["dataset","model"]`
	if !strings.Contains(a.body, want) {
		t.Errorf("answered %s, want %s", a.body, want)
	}
	s.api.Plans, s.api.Resources = nil, nil
	if a := s.must("GET", "/v2/users/alice/plans", ""); !strings.Contains(a.body, `"plans":[],"resource_names":[]`) {
		t.Errorf("without any answered %s", a.body)
	}
	s.refuses(t, []refusal{{"no one", "GET", "/v2/users/zoe/plans", "", manage.CodeNotFound, "user_id", "no such user"}})
}

func TestKeysOfAPlan(t *testing.T) {
	s := bounded(t)
	k := s.pat(operator, "alice", `["Predict"]`, `,"plan":"free"`)
	s.pat(operator, "alice", `["Predict"]`, `,"plan":"half"`)
	for _, path := range []string{"/v2/users/alice/keys", "/v2/keys"} {
		if list := s.must("GET", path+"?plan=free", "").Keys; len(list) != 1 || list[0].ID != k.KeyID {
			t.Errorf("%s lists %+v", path, list)
		}
	}
	s.refuses(t, []refusal{
		{"no name", "GET", "/v2/users/alice/keys?plan=a%20b", "", manage.CodeInvalid, "plan", "one plan"},
		{"two", "GET", "/v2/users/alice/keys?plan=a&plan=b", "", manage.CodeInvalid, "plan", "one plan"},
	})
}

func TestImportWithBounds(t *testing.T) {
	s := bounded(t)
	const head = `{"keys":[{"credential":"0123456789abcdef-one","user_id":"alice","type":"personal_access_token","scopes":["Predict"],`
	id := s.must("POST", "/keys/import", head+allBounds+`}]}`).Imported[0].KeyID
	const want = `{"addresses":["192.0.2.0/25","192.0.2.7"],"limits":{"rate":"10/s burst 20","quota":"10000/month","concurrent":5},"plan":"free","resources":{"model":["gpt","llama-3*"]}}`
	if got := boundsOf(t, s.must("GET", "/v2/keys/"+id, "").Key); got != want {
		t.Errorf("imported %s, want %s", got, want)
	}
	const secret = "another-foreign-secret"
	for field, fields := range map[string]string{
		"keys[0].plan":             `"plan":"` + secret + `"`,
		"keys[0].limits.rate":      `"limits":{"rate":"` + secret + `"}`,
		"keys[0].limits.quota":     `"limits":{"quota":"` + secret + `"}`,
		"keys[0].limits":           `"limits":{"` + secret + `":1}`,
		"keys[0].addresses":        `"addresses":["` + secret + `"]`,
		"keys[0].resources":        `"resources":{"` + secret + `":["x"]}`,
		"keys[0].resources.":       `"resources":{"model":["*` + secret + `****"]}`,
		"keys[0].resources.itself": `"resources":{"model":["0123456789abcdef-one"]}`,
	} {
		for _, configured := range []bool{true, false} {
			s := bounded(t)
			if !configured {
				s.api.Catalogue = nil
				if field == "keys[0].plan" || field == "keys[0].resources" {
					continue // it may be a name
				}
			}
			a := s.call("POST", "/keys/import", head+fields+`}]}`)
			at, _, _ := strings.Cut(strings.TrimPrefix(field, "keys[0]."), "resources.")
			if at == "" {
				at = "resources"
			}
			if a.Status.Code != manage.CodeInvalid || a.Status.Field != "keys[0]."+at || strings.Contains(a.body, secret) || a.Status.Details == "" {
				t.Errorf("%s is answered %s", fields, a.body)
			}
		}
	}
}

// The limits of all levels, and how much of them is used, are shown to callers who may
// read the key.
func TestLimitsOfAKeyAreShown(t *testing.T) { synctest.Test(t, limitsOfAKeyAreShown) }

func limitsOfAKeyAreShown(t *testing.T) {
	s := bounded(t)
	s.must("PATCH", "/v2/users/alice", `{"plan":"free"}`)
	app := s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"shop","plan":"monthly"}]}`)
	key := app.Keys[0]
	s.must("PATCH", "/v2/users/alice/keys", `{"keys":[{"id":"`+key.KeyID+`","plan":"half","limits":{"concurrent":5,"quota":"1000/day"}}]}`)
	shown := func() string {
		body := s.mustAs(s.signedIn("alice"), "GET", "/v2/users/me/keys/"+key.KeyID+"/limits", "").body
		_, list, _ := strings.Cut(body, `"limit_uses":`)
		return strings.TrimSuffix(list, "}")
	}
	const none = `[{"of":"key","quota":"1000/day","quota_used":0,"quota_ends_at":"2000-01-02T00:00:00Z","concurrent":5,"live":0},` +
		`{"of":"key","plan":"half","rate":"5/s","rate_left":5},` +
		`{"of":"app","plan":"monthly","quota":"200/month","quota_used":0,"quota_ends_at":"2000-02-01T00:00:00Z"},` +
		`{"of":"user","plan":"free","rate":"10/s","rate_left":10}]`
	if got := shown(); got != none {
		t.Errorf("before a request %s, want %s", got, none)
	}
	entry, err := s.api.Directory.Find(t.Context(), credential.DigestOf(key.ID))
	if err != nil {
		t.Fatal(err)
	}
	var charge directory.Charge
	if exceeded, err := s.api.Directory.Charge(t.Context(), &charge, entry, 3); err != nil || exceeded.Kind != 0 {
		t.Fatalf("charged: %+v, %v", exceeded, err)
	}
	got := shown()
	for _, want := range []string{`"quota_used":3,"quota_ends_at":"2000-01-02`, `"live":1`, `"quota_used":3,"quota_ends_at":"2000-02-01`} {
		if !strings.Contains(got, want) {
			t.Errorf("during a request no %s in %s", want, got)
		}
	}
	charge.Release()
	unlimited := s.pat(operator, "bob", `["All"]`, "")
	for _, path := range []string{"/v2/users/bob/keys/", "/v2/keys/"} {
		if a := s.must("GET", path+unlimited.KeyID+"/limits", ""); !strings.HasSuffix(a.body, `"limit_uses":[]}`) {
			t.Errorf("without limits answered %s", a.body)
		}
	}
	if a := s.callAs(s.signedIn("alice"), "GET", "/v2/users/me/keys/"+unlimited.KeyID+"/limits", ""); a.Status.Code != manage.CodeNotFound || a.LimitUses != nil {
		t.Errorf("bob's limits are shown to alice: %s", a.body)
	}
}
