package management

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// operatorBodies are the bodies of the operator's calls, in addition to callBodies.
var operatorBodies = map[string]string{
	"PATCH /v2/users":               `{"users":[{"id":"nobody","name":"x"}]}`,
	"DELETE /v2/users":              `{"ids":["nobody"]}`,
	"PATCH /v2/users/{user_id}":     `{"user":{"name":"x"}}`,
	"PATCH /v2/keys":                `{"keys":[{"id":"$KEY","disabled":true}]}`,
	"DELETE /v2/keys":               `{"ids":["$KEY"]}`,
	"POST /v2/keys/{key_id}/rotate": ``,
	"POST /keys/import":             `{"keys":[{"credential":"0123456789abcdef","user_id":"nobody","type":"personal_access_token","scopes":[]}]}`,
	"DELETE /v2/users/{user_id}":    ``,
	"DELETE /v2/keys/{key_id}":      ``,
	"POST /v2/users":                `{"users":[{"id":"alice"}]}`,
	"POST /v2/keys/revoke":          `{"credentials":["x"]}`,
	"POST /v2/keys/verify":          `{"credential":"x"}`,
	"POST /routes/explain":          `{"method":"GET","target":"/healthz"}`,
}

// unseen are the answers that are described and that the test can't bring
// about, and why.
func unseen(op string, status int) bool {
	switch status {
	case http.StatusInternalServerError:
		return true // the program or its store has to fail
	case http.StatusConflict: // of a second factor turned on or off at that moment
		return slices.Contains([]string{
			"POST /v2/login", "POST /v2/users/{user_id}/password", "DELETE /v2/users/{user_id}/two_factor",
			"POST /v2/users/{user_id}/two_factor/recovery_codes",
		}, op)
	case http.StatusNotFound: // of a user who is deleted at that moment
		return op == "POST /v2/users/{user_id}/password" || op == "POST /v2/users/{user_id}/two_factor"
	}
	return false
}

// Every call is made through a real listener, with every answer that it can be
// brought to, and all that is said and answered is as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := startDescribed(t)
	on := func(name string, fn func(d *described)) {
		t.Run(name, func(t *testing.T) {
			of := *d
			of.t = t
			fn(&of)
		})
	}
	on("refusals", (*described).refusals)
	on("users", (*described).users)
	on("apps and keys", (*described).appsAndKeys)
	on("collaborators", (*described).collaborators)
	on("audit and scopes", (*described).auditAndScopes)
	on("account", (*described).account)
	on("operator", (*described).operatorsOwn)
	on("throttled", (*described).throttled)
	on("fleet", (*described).fleet)
	on("no store", (*described).noStore)
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				var n int
				fmt.Sscan(status, &n)
				if name := method + " " + path; !d.seen[name][n] && !unseen(name, n) {
					t.Errorf("%s is described to answer %d, and never did", name, n)
				}
			}
		}
	}
}

// each calls fn with every operation that is described.
func (d *described) each(fn func(call string, op *openapi3.Operation, operator bool)) {
	for path, item := range d.doc.Paths.Map() {
		for method, op := range item.Operations() {
			fn(method+" "+path, op, slices.Contains(op.Tags, "operator"))
		}
	}
}

// pathVars are the values of a call's variables.
func pathVars(call, user, app, key string) (vars []string) {
	for _, name := range variablesOfPath.FindAllString(call, -1) {
		vars = append(vars, map[string]string{"{user_id}": user, "{app_id}": app, "{key_id}": key, "{status_code_id}": "10000"}[name])
	}
	return vars
}

// refusals are those that all calls have in common.
func (d *described) refusals() {
	alice := d.Session("alice")
	token := d.PAT("alice", "All")
	limited := d.token(keys.Credential{Kind: 2, UserID: "alice", Scopes: []string{"All"}, Endpoints: []string{"/clarifai.api.V2/None"}})
	const absent = "cap_000000000000"
	d.each(func(call string, op *openapi3.Operation, operator bool) {
		own := pathVars(call, "alice", "alice-app", token[:16])
		who := alice
		if operator {
			who = byOperator
		}
		refused := func(who string, vars []string, body string, want ...int) {
			d.t.Helper()
			if status, a := d.make(who, call, vars, body, false); !slices.Contains(want, status) {
				d.t.Errorf("%s %v %.100s answered %d %+v, want %v", call, vars, body, status, a.Status, want)
			}
		}
		refused(who, own, `{"nope":1}`, 400)
		size := manage.DefaultMaxBody
		if call == "POST /keys/import" {
			size *= 16
		}
		refused(who, own, strings.Repeat(" ", size+1), 413)
		body, ok := callBodies[call]
		if !ok {
			body = operatorBodies[call]
		}
		body = fill(body, map[string]string{"$KEY": absent})
		if call != "POST /v2/users" && op.Responses.Status(404) != nil {
			vars := pathVars(call, "nobody", "nothing", absent)
			if strings.Contains(call, "status_code") {
				vars = []string{"1"}
			}
			refused(byOperator, vars, body, 404, 400)
		}
		if operator || len(*op.Security) == 0 {
			return
		}
		refused("", own, body, 401)
		if len(own) > 0 {
			refused(alice, pathVars(call, "bob", "bob-app", absent), body, 403)
		} else {
			refused(limited, own, body, 403)
		}
	})
	// Other paths and methods are refused in the same form.
	for call, want := range map[string]int{"PUT /v2/users/alice": 405, "GET /v2/nothing": 404, "GET /v2/users/alice/": 404} {
		method, path, _ := strings.Cut(call, " ")
		status, _, text := d.call(alice, method, path, "")
		var answer map[string]any
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != want {
			d.t.Errorf("%s answered %d %s, want %d", call, status, text, want)
			continue
		}
		if err := d.doc.Components.Schemas["Refusal"].Value.VisitJSON(answer["status"], openapi3.EnableJSONSchema2020()); err != nil {
			d.t.Errorf("%s answered %s: %v", call, text, err)
		}
	}
}

func (d *described) users() {
	d.do(byOperator, "POST /v2/users", nil, `{"users":[{"id":"carol","name":"Carol","email":"carol@example.com","password":"carol's long password"},{}]}`, 200)
	d.do(byOperator, "POST /v2/users", nil, `{"users":[{"id":"carol"}]}`, 409)
	a := d.do(byOperator, "GET /v2/users?per_page=1", nil, "", 200)
	d.do(byOperator, "GET /v2/users?after="+a.Next, nil, "", 200)
	d.do(byOperator, "GET /v2/users?page=2&per_page=2", nil, "", 200)
	d.do(byOperator, "PATCH /v2/users", nil, `{"users":[{"id":"carol","name":"Caroline","version":1}]}`, 200)
	d.do(byOperator, "POST /v2/users/{user_id}/reset_link", []string{"alice"}, "", 200)
	d.do(byOperator, "POST /v2/users/{user_id}/reset_link", []string{"alice"}, `{"portal":"https://keys.example.com/portal"}`, 200)
	d.do(byOperator, "PATCH /v2/users", nil, `{"users":[{"id":"carol","version":1}]}`, 409)
	d.do(byOperator, "PATCH /v2/users/{user_id}", []string{"carol"}, `{"user":{"suspended":true},"action":"merge"}`, 200)
	d.do("", "POST /v2/login", nil, `{"email":"carol@example.com","password":"carol's long password"}`, 403)
	d.do(byOperator, "PATCH /v2/users/{user_id}", []string{"carol"}, `{"suspended":false,"password":null}`, 200)
	d.do(byOperator, "PATCH /v2/users/{user_id}", []string{"carol"}, `{"version":1}`, 409)
	d.do(byOperator, "GET /v2/users/{user_id}", []string{"carol"}, "", 200)
	d.do(d.Session("bob"), "GET /v2/users/{user_id}", []string{"me"}, "", 200)
	d.do(byOperator, "POST /v2/users", nil, `{"users":[{"id":"dave"},{"id":"eve"}]}`, 200)
	d.do(byOperator, "DELETE /v2/users", nil, `{"ids":["dave"]}`, 200)
	d.do(byOperator, "DELETE /v2/users/{user_id}", []string{"eve"}, "", 200)
	d.do(byOperator, "GET /v2/users/{user_id}/audit", []string{"eve"}, "", 200)
}

func (d *described) appsAndKeys() {
	alice, own := d.Session("alice"), []string{"alice"}
	a := d.do(alice, "POST /v2/users/{user_id}/apps", own, `{"apps":[{"name":"by name","default_workflow_id":"General"},{"id":"shop","user_id":"alice"}]}`, 200)
	for _, k := range a.Keys {
		d.Logs.AddSecret(k.ID)
	}
	d.do(alice, "POST /v2/users/{user_id}/apps", own, `{"apps":[{"id":"shop"}]}`, 409)
	d.do(alice, "GET /v2/users/{user_id}/apps/{app_id}", []string{"alice", a.Apps[0].ID}, "", 200)
	a = d.do(alice, "GET /v2/users/{user_id}/apps?per_page=1", own, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/apps?after="+a.Next, own, "", 200)
	shop := []string{"alice", "shop"}
	d.do(alice, "PATCH /v2/users/{user_id}/apps/{app_id}", shop, `{"app":{"name":"Shop"},"action":"overwrite"}`, 200)
	d.do(alice, "PATCH /v2/users/{user_id}/apps/{app_id}", shop, `{"name":"The shop","version":2}`, 200)
	d.do(alice, "PATCH /v2/users/{user_id}/apps/{app_id}", shop, `{"name":"x","version":1}`, 409)

	a = d.do(alice, "POST /v2/users/{user_id}/keys", own, `{"keys":[
		{"description":"one","scopes":["All"],"apps":[{"id":"shop","user_id":"alice"}]},
		{"type":"app_specific_key","scopes":["Inputs:Get"],"endpoints":["/clarifai.api.V2/GetApp"],"apps":[{"id":"shop"}],"expires_at":"2100-01-02T03:04:05Z"},
		{"type":"personal_access_token","scopes":[],"endpoints":null,"apps":[]},
		{"type":"personal_access_token","scopes":["All"],"expires_at":null}]}`, 200)
	bounded := d.do(alice, "POST /v2/users/{user_id}/keys", own, `{"keys":[
		{"type":"personal_access_token","scopes":[],"limits":{"rate":"10/s burst 20","quota":null,"concurrent":5},"addresses":["192.0.2.0/24"],"resources":null,"plan":null}]}`, 200).Keys[0]
	d.Logs.AddSecret(bounded.ID)
	d.do(alice, "PATCH /v2/users/{user_id}/keys", own, `{"keys":[{"id":"`+bounded.KeyID+`","limits":{"rate":null,"quota":"1000/day"},"addresses":["2001:db8::/32"],"resources":{},"plan":""}],"action":"merge"}`, 200)
	d.do(alice, "GET /v2/users/{user_id}/keys/{key_id}/limits", []string{"alice", bounded.KeyID}, "", 200)
	d.do(byOperator, "GET /v2/keys/{key_id}/limits", []string{bounded.KeyID}, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/keys?plan=free", own, "", 200)
	d.do(alice, "DELETE /v2/users/{user_id}/keys/{key_id}", []string{"alice", bounded.KeyID}, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/keys?state=revoked", own, "", 200)
	ids := []string{}
	for _, k := range a.Keys {
		d.Logs.AddSecret(k.ID)
		ids = append(ids, k.KeyID)
	}
	d.do(a.Keys[3].ID, "GET /v2/users/{user_id}/keys?per_page=2", own, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/keys/{key_id}", []string{"alice", ids[3]}, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/apps/{app_id}/keys", shop, "", 200)
	d.do(byOperator, "GET /v2/users/{user_id}/apps/{app_id}/keys", shop, "", 200)
	change := func(fields string) string {
		return `{"keys":[{"id":"` + ids[0] + `",` + fields + `}],"action":"overwrite"}`
	}
	d.do(alice, "PATCH /v2/users/{user_id}/keys", own, change(`"description":"first","scopes":["Inputs:Get"],"endpoints":["/clarifai.api.V2/GetApp"],"disabled":true,"expires_at":"2100-01-01T00:00:00Z","version":1`), 200)
	d.do(alice, "PATCH /v2/users/{user_id}/keys", own, change(`"version":1`), 409)
	d.do(byOperator, "PATCH /v2/keys", nil, change(`"disabled":false,"expires_at":null`), 200)
	d.do(byOperator, "PATCH /v2/keys", nil, change(`"version":1`), 409)
	d.do(byOperator, "GET /v2/keys/{key_id}", ids[:1], "", 200)
	d.do(byOperator, "GET /v2/keys?per_page=2", nil, "", 200)
	d.do(byOperator, "GET /v2/keys?state=revoked&order=newest", nil, "", 200)
	for _, query := range []string{"", "?method=GET&path=%2Fv2%2Fusers%2Fme%2Finputs", "?method=DELETE&path=%2Fhealthz"} {
		d.do(alice, "GET /v2/users/{user_id}/keys/{key_id}/callable"+query, []string{"alice", ids[0]}, "", 200)
		d.do(byOperator, "GET /v2/keys/{key_id}/callable"+query, ids[:1], "", 200)
	}
	for range 2 {
		d.do(a.Keys[2].ID, "GET /v2/users/{user_id}/keys/{key_id}", []string{"alice", ids[0]}, "", 403)
		if err := d.Directory().Flush(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
		d.do(alice, "GET /v2/users/{user_id}/keys/{key_id}/activity", []string{"alice", ids[2]}, "", 200)
		d.do(byOperator, "GET /v2/keys/{key_id}/activity", ids[:1], "", 200)
	}
	for call, vars := range map[string][]string{
		"POST /v2/users/{user_id}/keys/{key_id}/rotate": {"alice", ids[0]}, "POST /v2/keys/{key_id}/rotate": {ids[1]},
	} {
		who, body := alice, `{"grace":"24h"}`
		if len(vars) == 1 {
			who, body = byOperator, ""
		}
		d.Logs.AddSecret(d.do(who, call, vars, body, 200).Key.ID)
	}
	d.do(alice, "DELETE /v2/users/{user_id}/keys/{key_id}", []string{"alice", ids[0]}, "", 200)
	d.do(alice, "DELETE /v2/users/{user_id}/keys", own, `{"ids":["`+a.Keys[2].ID+`"]}`, 200)
	for credential, want := range map[string]string{
		a.Keys[3].ID: "active", a.Keys[2].ID: "revoked", "0123456789abcdef": "unknown", d.sessions["bob"]: "unknown", d.Session("bob"): "active", withTypo(a.Keys[3].ID): "mistyped",
	} {
		got := d.do(byOperator, "POST /v2/keys/verify", nil, fmt.Sprintf(`{"credential":%q}`, credential), 200)
		if want != "unknown" && got.Standing != want {
			d.t.Errorf("a credential is %s, want %s", got.Standing, want)
		}
	}
	d.do(byOperator, "DELETE /v2/keys/{key_id}", ids[3:], "", 200)
	more := d.PAT("alice")
	d.do(byOperator, "DELETE /v2/keys", nil, `{"ids":["`+more[:16]+`"]}`, 200)
	d.do(alice, "POST /v2/users/{user_id}/keys/revoke", own, `{"app_id":"shop","created_before":"2100-01-01T00:00:00Z"}`, 200)
	d.do(alice, "POST /v2/users/{user_id}/keys/revoke", own, `{"all":true}`, 200)
	d.do(alice, "DELETE /v2/users/{user_id}/apps/{app_id}", shop, "", 200)
}

// withTypo is a credential whose last letter is another.
func withTypo(credential string) string {
	last := credential[len(credential)-1]
	return credential[:len(credential)-1] + string(rune('a'+(last+1)%26))
}

func (d *described) collaborators() {
	alice, bob, app := d.Session("alice"), d.Session("bob"), []string{"alice", "alice-app"}
	const call = " /v2/users/{user_id}/apps/{app_id}/collaborators"
	d.do(alice, "POST"+call, app, `{"collaborators":[{"user":{"id":"bob"},"scopes":["Inputs:Get"],"endpoints":["/clarifai.api.V2/GetApp"]},{"id":"*","scopes":[]},{"user_id":"carol","scopes":["All"],"app":{"id":"alice-app","user_id":"alice"}}]}`, 200)
	d.do(alice, "POST"+call, app, `{"collaborators":[{"user":{"id":"bob"},"scopes":[]}]}`, 409)
	d.do(alice, "PATCH"+call, app, `{"collaborators":[{"user":{"id":"bob"},"scopes":["Inputs:Add"],"version":1}],"action":"merge"}`, 200)
	d.do(alice, "PATCH"+call, app, `{"collaborators":[{"user":{"id":"bob"},"version":1}]}`, 409)
	a := d.do(alice, "GET"+call+"?per_page=1", app, "", 200)
	d.do(alice, "GET"+call+"?after="+a.Next, app, "", 200)
	d.do(bob, "GET /v2/users/{user_id}/collaborations", []string{"bob"}, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/apps/{app_id}/myscopes", app, "", 200)
	d.do(alice, "PATCH"+call, app, `{"collaborators":[{"id":"*","endpoints":["/clarifai.api.V2/MyScopes"]},{"id":"bob","endpoints":["/clarifai.api.V2/MyScopes"]}],"action":"overwrite"}`, 200)
	if a := d.do(bob, "GET /v2/users/{user_id}/apps/{app_id}/myscopes", app, "", 200); a.Everyone == nil {
		d.t.Error("the grant to everyone is not shown")
	}
	const leave, mine = "DELETE /v2/users/{user_id}/collaborations", `{"apps":[{"id":"alice-app","user_id":"alice"}]}`
	d.do(bob, leave, []string{"bob"}, mine, 200)
	d.do(bob, leave, []string{"bob"}, mine, 404)
	d.do(alice, "POST"+call, app, `{"collaborators":[{"user":{"id":"bob"},"scopes":[]}]}`, 200)
	d.do(alice, "DELETE"+call, app, `{"ids":["bob"]}`, 200)
	d.do(alice, "DELETE"+call, app, `{"collaborator_ids":["*","carol"]}`, 200)
}

func (d *described) auditAndScopes() {
	alice, own := d.Session("alice"), []string{"alice"}
	d.do(alice, "GET /v2/users/{user_id}/keys?state=revoked&order=newest", own, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/keys?state=active&unused_for=90d", own, "", 200)
	d.do(alice, "POST /v2/users/{user_id}/keys/revoke", own, `{"all":true,"dry_run":true}`, 200)
	a := d.do(alice, "GET /v2/users/{user_id}/audit?per_page=3", own, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/audit?after="+a.Next, own, "", 200)
	d.do(byOperator, "GET /v2/users/{user_id}/audit?action=app.delete&app_id=shop&actor=alice&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z", own, "", 200)
	d.do(byOperator, "GET /v2/audit?user_id=bob&per_page=1000", nil, "", 200)
	d.do(byOperator, "GET /v2/audit?per_page=1000", nil, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/scopes", own, "", 200)
	d.do(byOperator, "GET /v2/users/{user_id}/scopes", own, "", 200)
	d.do(alice, "GET /v2/users/{user_id}/plans", own, "", 200)
	d.do(d.PAT("alice", "Inputs:Get"), "GET /v2/myscopes", nil, "", 200)
	d.do(d.PAT("alice", "Inputs:Get"), "GET /v2/users/{user_id}/myscopes", []string{"me"}, "", 200)
	d.do("", "GET /v2/status_codes", nil, "", 200)
	d.do("", "GET /v2/status_codes/{status_code_id}", []string{"11007"}, "", 200)
}

func (d *described) account() {
	own := []string{"alice"}
	signIn := func(code string) string {
		a := d.do("", "POST /v2/login", nil, login(alicesPassword, code), 200)
		d.Logs.AddSecret(a.SessionToken)
		return a.SessionToken
	}
	d.do("", "POST /v2/login", nil, login("a guess", ""), 401)
	d.do(signIn(""), "POST /v2/logout", nil, "", 200)
	alice, other := signIn(""), signIn("")
	d.do(alice, "GET /v2/users/{user_id}/sessions", own, "", 200)
	d.do(alice, "DELETE /v2/users/{user_id}/sessions", own, `{"ids":["`+other[:16]+`"]}`, 200)
	d.do(alice, "DELETE /v2/users/{user_id}/sessions", own, `{"ids":["`+other[:16]+`"]}`, 404)
	d.do(alice, "DELETE /v2/users/{user_id}/sessions", own, "", 200)

	const two = " /v2/users/{user_id}/two_factor"
	proof := func(code string) string { return fmt.Sprintf(`{"password":%q,"code":%q}`, alicesPassword, code) }
	d.do(alice, "POST"+two+"/enable", own, `{"code":"123456"}`, 404)
	d.do(alice, "POST"+two+"/recovery_codes", own, proof(""), 404)
	d.do(alice, "DELETE"+two, own, proof(""), 404)
	a := d.do(alice, "POST"+two, own, proof(""), 200)
	code, err := totp.GenerateCode(a.TwoFactor.Secret, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	d.do(alice, "POST"+two+"/enable", own, fmt.Sprintf(`{"code":%q}`, code), 200)
	d.do(alice, "POST"+two+"/enable", own, `{"code":"123456"}`, 409)
	d.do("", "POST /v2/login", nil, login(alicesPassword, ""), 401)
	d.do(alice, "POST"+two, own, proof(a.TwoFactor.RecoveryCodes[0]), 409)
	a = d.do(alice, "POST"+two+"/recovery_codes", own, proof(a.TwoFactor.RecoveryCodes[1]), 200)
	d.do(alice, "DELETE"+two, own, proof(a.TwoFactor.RecoveryCodes[0]), 200)
	d.do(byOperator, "DELETE"+two, own, "", 404)
	d.do(alice, "POST /v2/users/{user_id}/password", own, fmt.Sprintf(`{"current_password":%q,"password":%q}`, alicesPassword, nextPassword), 200)
}

func (d *described) operatorsOwn() {
	d.do(byOperator, "GET /health", nil, "", 200)
	d.do(byOperator, "POST /routes/explain", nil, `{"method":"GET","target":"/v2/users/alice/apps/alice-app/inputs","headers":["Origin: https://example.com"],"caller":{"kind":"pat","user_id":"alice","scopes":["Inputs:Get"]}}`, 200)
	d.do(byOperator, "POST /routes/explain", nil, `{"method":"POST","target":"/v2/users/alice/apps/alice-app/inputs"}`, 200)
	one := `{"credential":"0123456789abcdef","user_id":"bob","type":"personal_access_token","scopes":["Inputs:Get"],"disabled":true}`
	d.do(byOperator, "POST /v2/keys/revoke", nil, `{"credentials":["x"]}`, 200)
	d.do(byOperator, "POST /keys/import", nil, `{"keys":[`+one+`,{"sha256":"`+strings.Repeat("0f", 32)+`","user_id":"zoe","apps":[{"id":"new"}],"scopes":["All"]}],"create_missing":true}`, 200)
	d.do(byOperator, "POST /keys/import", nil, `{"keys":[`+one+`]}`, 409)
	d.do(byOperator, "POST /keys/import", nil, `{"keys":[`+one+`,`+strings.Replace(one, "bob", "nobody", 1)+`],"existing":"skip","revoked":"skip","dry_run":true}`, 200)
	d.do(byOperator, "GET /store/backup", nil, "", 200)
	d.do(byOperator, "GET /store/check", nil, "", 200)
	d.do(byOperator, "GET /store/stats", nil, "", 200)
	d.do(byOperator, "POST /store/clock", nil, "", 200)
	d.do(byOperator, "GET /v2/audit/verify", nil, "", 200)
}

// throttled guesses bob's password until it is refused.
func (d *described) throttled() {
	bob := d.Session("bob")
	guess := func(call string, vars []string, body string) {
		d.t.Helper()
		status := 0
		for range 30 {
			if status, _ = d.make(bob, call, vars, body, true); status == 429 {
				return
			}
		}
		d.t.Errorf("%s answers %d however often one guesses", call, status)
	}
	for _, call := range []string{
		"POST /v2/users/{user_id}/password", "POST /v2/users/{user_id}/two_factor", "DELETE /v2/users/{user_id}/two_factor",
		"POST /v2/users/{user_id}/two_factor/enable", "POST /v2/users/{user_id}/two_factor/recovery_codes",
	} {
		guess(call, []string{"bob"}, callBodies[call])
	}
	guess("POST /v2/login", nil, `{"email":"bob@example.com","password":"a guess"}`)
}

// noStore has every call refused for want of one.
func (d *described) noStore() {
	if err := d.Load("{\nadmin " + d.admin + "\npersist_config off\n}\n"); err != nil {
		d.t.Fatal(err)
	}
	d.each(func(call string, _ *openapi3.Operation, _ bool) {
		if status, a := d.make(byOperator, call, pathVars(call, "alice", "alice-app", "cap_000000000000"), "", false); status != 503 {
			d.t.Errorf("%s answered %d %+v", call, status, a.Status)
		}
	})
}
