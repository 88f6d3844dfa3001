package manage_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestChangeKeys(t *testing.T) {
	const get, add, pred = "Apps:Get", "Inputs:Get", "Predict"
	for _, c := range []struct {
		name                   string
		scopes, endpoints      string // before, in JSON
		change                 string // the fields of the PATCH, and its action
		wantScopes, wantEnds   []string
		code                   manage.Code
		field                  string
		missing                []string
		wantDisabled, wantDesc bool
	}{
		{name: "nothing", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `}]`, wantScopes: []string{pred}, wantEnds: []string{"/a.B/C"}},
		{name: "other fields, no action", scopes: `["Predict"]`, endpoints: `[]`, change: `,"disabled":true,"description":"two"}]`, wantScopes: []string{pred}, wantDisabled: true, wantDesc: true},
		{name: "other fields are set under remove too", scopes: `["Predict"]`, endpoints: `[]`, change: `,"disabled":true,"description":"two"}],"action":"remove"`, wantScopes: []string{pred}, wantDisabled: true, wantDesc: true},
		{name: "lists without action", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":["Apps:Get"]}]`, code: manage.CodeInvalid, field: "action"},
		{name: "unknown action", scopes: `["Predict"]`, endpoints: `[]`, change: `}],"action":"add"`, code: manage.CodeInvalid, field: "action"},

		{name: "merge", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `,"scopes":["Apps:Get","Predict"],"endpoints":["/a.B/D","/a.B/C"]}],"action":"merge"`, wantScopes: []string{pred, get}, wantEnds: []string{"/a.B/C", "/a.B/D"}},
		{name: "merge nothing", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `,"scopes":[],"endpoints":[]}],"action":"merge"`, wantScopes: []string{pred}, wantEnds: []string{"/a.B/C"}},
		{name: "merge endpoints into no list", scopes: `["Predict"]`, endpoints: `null`, change: `,"endpoints":["/a.B/C"]}],"action":"merge"`, wantScopes: []string{pred}, wantEnds: []string{"/a.B/C"}},
		{name: "merge what needs more", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":["Inputs:Add"]}],"action":"merge"`, code: manage.CodeInvalid, field: "keys[0].scopes", missing: []string{get, add}},
		{name: "merge what needs more, All", scopes: `["All"]`, endpoints: `[]`, change: `,"scopes":["Inputs:Add"]}],"action":"merge"`, wantScopes: []string{"All", "Inputs:Add"}},
		{name: "merge the unknown", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":["Nope"]}],"action":"merge"`, code: manage.CodeInvalid, field: "keys[0].scopes"},

		{name: "overwrite", scopes: `["Predict","Apps:Get"]`, endpoints: `["/a.B/C"]`, change: `,"scopes":["Apps:Get","Inputs:Get"],"endpoints":["/a.B/D"]}],"action":"overwrite"`, wantScopes: []string{get, add}, wantEnds: []string{"/a.B/D"}},
		{name: "overwrite one list, the other stays", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `,"scopes":["Apps:Get"]}],"action":"overwrite"`, wantScopes: []string{get}, wantEnds: []string{"/a.B/C"}},
		{name: "overwrite scopes with none", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":[]}],"action":"overwrite"`},
		{name: "overwrite endpoints with none", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `,"endpoints":[]}],"action":"overwrite"`, code: manage.CodeInvalid, field: "keys[0].endpoints"},
		{name: "overwrite no list with none", scopes: `["Predict"]`, endpoints: `[]`, change: `,"endpoints":[]}],"action":"overwrite"`, wantScopes: []string{pred}},
		{name: "overwrite with null", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":null}],"action":"overwrite"`, code: manage.CodeInvalid, field: "keys[0].scopes"},

		{name: "remove", scopes: `["Predict","Apps:Get","Inputs:Get"]`, endpoints: `["/a.B/C","/a.B/D"]`, change: `,"scopes":["Predict","All"],"endpoints":["/a.B/C","/a.B/E"]}],"action":"remove"`, wantScopes: []string{get, add}, wantEnds: []string{"/a.B/D"}},
		{name: "remove what another needs", scopes: `["Apps:Get","Inputs:Get"]`, endpoints: `[]`, change: `,"scopes":["Apps:Get"]}],"action":"remove"`, code: manage.CodeInvalid, field: "keys[0].scopes", missing: []string{get}},
		{name: "remove every scope", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":["Predict"]}],"action":"remove"`},
		{name: "remove the last endpoint", scopes: `["Predict"]`, endpoints: `["/a.B/C"]`, change: `,"endpoints":["/a.B/C"]}],"action":"remove"`, code: manage.CodeInvalid, field: "keys[0].endpoints"},
		{name: "remove endpoints from no list", scopes: `["Predict"]`, endpoints: `[]`, change: `,"endpoints":["/a.B/C"]}],"action":"remove"`, code: manage.CodeInvalid, field: "keys[0].endpoints"},
		{name: "remove a scope from All", scopes: `["All"]`, endpoints: `[]`, change: `,"scopes":["Predict"]}],"action":"remove"`, code: manage.CodeInvalid, field: "keys[0].scopes"},
		{name: "remove All", scopes: `["All","Predict"]`, endpoints: `[]`, change: `,"scopes":["All"]}],"action":"remove"`, wantScopes: []string{pred}},
		{name: "remove the unknown", scopes: `["Predict"]`, endpoints: `[]`, change: `,"scopes":["Pedict"]}],"action":"remove"`, code: manage.CodeInvalid, field: "keys[0].scopes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			s.alice()
			k := s.key(c.scopes, c.endpoints)
			a := s.call("PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q%s}`, k.KeyID, c.change))
			after := s.must("GET", "/v2/keys/"+k.KeyID, "").Key
			if c.code != 0 {
				if a.Status.Code != c.code || a.Status.Field != c.field || !slices.Equal(a.Status.MissingScopes, c.missing) {
					t.Fatalf("answered %s", a.body)
				}
				k.ID = k.KeyID
				if fmt.Sprint(*after) != fmt.Sprint(k) {
					t.Errorf("though refused, it changed %+v into %+v", k, *after)
				}
				return
			}
			if a.Status.Code != manage.CodeOK {
				t.Fatalf("answered %s", a.body)
			}
			if !slices.Equal(after.Scopes, c.wantScopes) || !slices.Equal(after.Endpoints, c.wantEnds) {
				t.Errorf("scopes %v endpoints %v, want %v %v", after.Scopes, after.Endpoints, c.wantScopes, c.wantEnds)
			}
			if after.Disabled != c.wantDisabled || (after.Description == "two") != c.wantDesc {
				t.Errorf("changed into %+v", *after)
			}
			if shown := a.Keys[0]; fmt.Sprint(shown.Scopes, shown.Endpoints, shown.ID) != fmt.Sprint(after.Scopes, after.Endpoints, k.KeyID) {
				t.Errorf("the answer shows %+v, stored is %+v", shown, *after)
			}
		})
	}
}

func TestChangeKeysAllOrNothing(t *testing.T) {
	s := newService(t)
	s.alice()
	first, second := s.key(`["Predict"]`, `[]`), s.key(`["Predict"]`, `["/a.B/C"]`)
	a := s.call("PATCH", "/v2/users/alice/keys", fmt.Sprintf(
		`{"keys":[{"id":%q,"disabled":true},{"id":%q,"endpoints":["/a.B/C"]}],"action":"remove"}`, first.KeyID, second.KeyID))
	if a.Status.Code != manage.CodeInvalid || a.Status.Field != "keys[1].endpoints" {
		t.Fatalf("answered %s", a.body)
	}
	if s.standing(first.ID) != manage.StandingActive {
		t.Error("the first element took effect, though the second was refused")
	}
}

func TestExpiryIsSetAndCleared(t *testing.T) {
	s := newService(t)
	s.alice()
	k := s.key(`["Predict"]`, `[]`)
	expiry := func(value string) *time.Time {
		return s.must("PATCH", "/v2/keys", fmt.Sprintf(`{"keys":[{"id":%q%s}]}`, k.KeyID, value)).Keys[0].ExpiresAt
	}
	if at := expiry(`,"expires_at":"2100-01-02T03:04:05.006Z"`); at == nil || at.Format(time.RFC3339Nano) != "2100-01-02T03:04:05.006Z" {
		t.Errorf("set to %v", at)
	}
	if at := expiry(``); at == nil {
		t.Error("absent, it was cleared")
	}
	if at := expiry(`,"expires_at":null`); at != nil {
		t.Errorf("null left %v", at)
	}
}
