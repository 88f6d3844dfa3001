package manage_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestKeys(t *testing.T) {
	s := newService(t)
	s.alice()
	made := s.must("POST", "/v2/users/alice/keys", `{"keys":[
		{"description":"reader","scopes":["Inputs:Get","Apps:Get","Inputs:Get"],"endpoints":["/clarifai.api.V2/ListInputs"],
		 "apps":[{"id":"photos","user_id":"alice"}],"expires_at":"2199-12-31T23:59:59+01:00"},
		{"description":"mine","type":"personal_access_token","scopes":["All"],"endpoints":[]},
		{"scopes":[],"type":"app_specific_key","apps":[{"id":"photos"}],"endpoints":null,"expires_at":null}]}`).Keys
	if len(made) != 3 {
		t.Fatalf("made %+v", made)
	}
	reader, mine, bare := made[0], made[1], made[2]
	if reader.Description != "reader" || fmt.Sprint(reader.Scopes) != "[Inputs:Get Apps:Get]" ||
		fmt.Sprint(reader.Endpoints) != "[/clarifai.api.V2/ListInputs]" || reader.Apps[0] != (manage.KeyApp{ID: "photos", UserID: "alice"}) ||
		reader.ExpiresAt.Format(time.RFC3339) != "2199-12-31T22:59:59Z" || reader.CreatedBy != keys.Operator || !strings.HasPrefix(reader.ID, "cak_") {
		t.Errorf("made %+v", reader)
	}
	if mine.Type != manage.TypePAT || len(mine.Apps) != 0 || len(mine.Endpoints) != 0 || mine.ExpiresAt != nil || !strings.HasPrefix(mine.ID, "cap_") {
		t.Errorf("made %+v", mine)
	}
	if bare.Type != manage.TypeAppKey || len(bare.Scopes) != 0 || len(bare.Endpoints) != 0 {
		t.Errorf("made %+v", bare)
	}
	for _, k := range made {
		if credential.FormOf(k.ID) != credential.Genuine || !strings.HasPrefix(k.ID, k.KeyID+"_") {
			t.Errorf("%s: id is not the whole credential", k.KeyID)
		}
		if s.standing(k.ID) != manage.StandingActive {
			t.Errorf("%s is not good", k.KeyID)
		}
	}

	// Everywhere else id is the public one.
	for path, n := range map[string]int{"/v2/users/alice/keys": 4, "/v2/users/alice/apps/photos/keys": 3} {
		list := s.must("GET", path, "")
		if len(list.Keys) != n {
			t.Errorf("%s lists %d keys, want %d", path, len(list.Keys), n)
		}
		for _, k := range list.Keys {
			if k.ID != k.KeyID || credential.FormOf(k.ID) != credential.Foreign {
				t.Errorf("%s shows %+v", path, k)
			}
		}
		if strings.Contains(list.body, made[0].ID) {
			t.Errorf("%s shows a whole credential", path)
		}
	}
	for _, path := range []string{"/v2/users/alice/keys/" + mine.KeyID, "/v2/keys/" + mine.KeyID} {
		if k := s.must("GET", path, "").Key; k.ID != mine.KeyID || k.Description != "mine" {
			t.Errorf("%s shows %+v", path, k)
		}
	}

	// Revoked by path, and by body with key IDs and whole credentials.
	if ids := s.must("DELETE", "/v2/users/alice/keys/"+mine.KeyID, "{}").KeyIDs; fmt.Sprint(ids) != fmt.Sprint([]string{mine.KeyID}) {
		t.Errorf("revoked %v", ids)
	}
	// One that was revoked before is one that is revoked.
	for _, body := range []string{fmt.Sprintf(`{"ids":[%q,%q]}`, reader.ID, bare.KeyID), fmt.Sprintf(`{"ids":[%q,%q]}`, reader.ID, bare.ID)} {
		if ids := s.must("DELETE", "/v2/users/alice/keys", body).KeyIDs; fmt.Sprint(ids) != fmt.Sprint([]string{reader.KeyID, bare.KeyID}) {
			t.Errorf("%s revoked %v", body, ids)
		}
	}
	for _, k := range made {
		if got := s.standing(k.ID); got != manage.StandingRevoked {
			t.Errorf("%s is %s after it was revoked", k.KeyID, got)
		}
	}
	if list := s.must("GET", "/v2/users/alice/keys", "").Keys; len(list) != 1 {
		t.Errorf("listed %+v", list)
	}
}

func TestKeysRefused(t *testing.T) {
	s := newService(t)
	first := s.alice()
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	s.must("POST", "/v2/users/bob/apps", `{"apps":[{"id":"maps"}]}`)
	_, unknown := credential.Mint("ca", policy.PAT)
	const at, pat = "/v2/users/alice/keys", `"type":"personal_access_token"`
	key := func(fields string) string { return `{"keys":[{` + pat + `,"scopes":["All"]},{` + fields + `}]}` }
	s.refuses(t, []refusal{
		{"unknown scope", "POST", at, key(pat + `,"scopes":["Nope"]`), manage.CodeInvalid, "keys[1].scopes", "Nope"},
		{"nothing like it", "POST", at, key(pat + `,"scopes":["Nope"]`), manage.CodeInvalid, "keys[1].scopes", "the catalogue has no Nope; it has the scopes that the configuration declares"},
		{"mistyped scope", "POST", at, key(pat + `,"scopes":["Inputs:Gte"]`), manage.CodeInvalid, "keys[1].scopes", "the catalogue has no Inputs:Gte; did you mean Inputs:Get?"},
		{"scopes in another case", "POST", at, key(pat + `,"scopes":["inputs:add","Nope","all","PREDICTS"]`), manage.CodeInvalid, "keys[1].scopes", "did you mean Inputs:Add, All, Predict?"},
		{"a hidden scope is not offered", "POST", at, key(pat + `,"scopes":["Secret:door"]`), manage.CodeInvalid, "keys[1].scopes", "the catalogue has no Secret:door; it has"},
		{"scope without what it needs", "POST", at, key(pat + `,"scopes":["Inputs:Add"]`), manage.CodeInvalid, "keys[1].scopes", "Apps:Get, Inputs:Get"},
		{"scopes missing", "POST", at, key(pat), manage.CodeInvalid, "keys[1].scopes", "missing"},
		{"scopes null", "POST", at, key(pat + `,"scopes":null`), manage.CodeInvalid, "keys[1].scopes", "missing"},
		{"scopes no list", "POST", at, key(pat + `,"scopes":"All"`), manage.CodeInvalid, "keys[1].scopes", "a list"},
		{"malformed scope", "POST", at, key(pat + `,"scopes":["a b"]`), manage.CodeInvalid, "keys[1].scopes", "letters"},
		{"malformed endpoint", "POST", at, key(pat + `,"scopes":[],"endpoints":["ListInputs"]`), manage.CodeInvalid, "keys[1].endpoints", "/package.Service/Method"},
		{"unknown type", "POST", at, key(`"type":"session_token","scopes":[]`), manage.CodeInvalid, "keys[1].type", manage.TypePAT},
		{"app key without app", "POST", at, key(`"scopes":[]`), manage.CodeInvalid, "keys[1].apps", "one app"},
		{"app key of two apps", "POST", at, key(`"scopes":[],"apps":[{"id":"photos"},{"id":"photos"}]`), manage.CodeInvalid, "keys[1].apps", "one app"},
		{"PAT with an app", "POST", at, key(pat + `,"scopes":[],"apps":[{"id":"photos"}]`), manage.CodeInvalid, "keys[1].apps", "no app"},
		{"no such app", "POST", at, key(`"scopes":[],"apps":[{"id":"nope"}]`), manage.CodeNotFound, "keys[1].apps[0].id", "no such app"},
		{"someone else's app", "POST", at, key(`"scopes":[],"apps":[{"id":"maps","user_id":"bob"}]`), manage.CodeInvalid, "keys[1].apps[0].user_id", "path"},
		{"app with more", "POST", at, key(`"scopes":[],"apps":[{"id":"photos","name":"x"}]`), manage.CodeInvalid, "keys[1].apps[0].name", "no such field"},
		{"expired", "POST", at, key(pat + `,"scopes":[],"expires_at":"2001-01-01T00:00:00Z"`), manage.CodeInvalid, "keys[1].expires_at", "future"},
		{"expiry beyond counting", "POST", at, key(pat + `,"scopes":[],"expires_at":"9999-12-31T00:00:00Z"`), manage.CodeInvalid, "keys[1].expires_at", "null is never"},
		{"expiry before counting", "POST", at, key(pat + `,"scopes":[],"expires_at":"0001-01-01T00:00:00Z"`), manage.CodeInvalid, "keys[1].expires_at", "null is never"},
		{"expiry no time", "POST", at, key(pat + `,"scopes":[],"expires_at":"tomorrow"`), manage.CodeInvalid, "keys[1].expires_at", "RFC 3339"},
		{"expiry empty", "POST", at, key(pat + `,"scopes":[],"expires_at":""`), manage.CodeInvalid, "keys[1].expires_at", "RFC 3339"},
		{"long description", "POST", at, key(pat + `,"scopes":[],"description":"` + strings.Repeat("x", 1025) + `"`), manage.CodeInvalid, "keys[1].description", "1025"},
		{"unknown field", "POST", at, key(pat + `,"scopes":[],"disabled":true`), manage.CodeInvalid, "keys[1].disabled", "no such field"},
		{"no such user", "POST", "/v2/users/zoe/keys", `{"keys":[{` + pat + `,"scopes":[]}]}`, manage.CodeNotFound, "user_id", "no such user"},

		{"change none", "PATCH", at, `{"keys":[{"id":"` + unknown + `"}]}`, manage.CodeNotFound, "keys[0].id", "no such key"},
		{"change without id", "PATCH", at, `{"keys":[{"disabled":true}]}`, manage.CodeInvalid, "keys[0].id", "missing"},
		{"change one twice", "PATCH", at, fmt.Sprintf(`{"keys":[{"id":%q,"disabled":true},{"id":%q,"disabled":false}]}`, first.KeyID, first.ID), manage.CodeInvalid, "keys[1].id", "twice"},
		{"change someone else's", "PATCH", "/v2/users/bob/keys", `{"keys":[{"id":"` + first.KeyID + `"}]}`, manage.CodeNotFound, "keys[0].id", "no such key"},

		{"get none", "GET", at + "/" + unknown, "", manage.CodeNotFound, "key_id", "no such key"},
		{"get someone else's", "GET", "/v2/users/bob/keys/" + first.KeyID, "", manage.CodeNotFound, "key_id", "no such key"},
		{"revoke none", "DELETE", at + "/" + unknown, "", manage.CodeNotFound, "key_id", "no such key"},
		{"revoke someone else's", "DELETE", "/v2/users/bob/keys", `{"ids":["` + first.ID + `"]}`, manage.CodeNotFound, "ids[0]", "no such key"},
		{"revoke one of two", "DELETE", at, fmt.Sprintf(`{"ids":[%q,%q]}`, first.KeyID, unknown), manage.CodeNotFound, "ids[1]", "no such key, or it was revoked; nothing was revoked"},
		{"revoke one twice", "DELETE", at, fmt.Sprintf(`{"ids":[%q,%q]}`, first.KeyID, first.ID), manage.CodeInvalid, "ids[1]", "twice"},
		{"revoke one twice, nothing of both", "DELETE", at, fmt.Sprintf(`{"ids":[%q,%q]}`, first.KeyID, first.ID), manage.CodeInvalid, "ids[1]", "nothing was revoked"},
		{"revoke numbers", "DELETE", at, `{"ids":[1]}`, manage.CodeInvalid, "ids", "a list"},
		{"rotate none", "POST", at + "/" + unknown + "/rotate", "", manage.CodeNotFound, "key_id", "no such key"},
		{"rotate with a malformed time", "POST", at + "/" + first.KeyID + "/rotate", `{"grace":"soon"}`, manage.CodeInvalid, "grace", "24h"},
		{"rotate with less than no time", "POST", at + "/" + first.KeyID + "/rotate", `{"grace":"-1h"}`, manage.CodeInvalid, "grace", "24h"},
		{"rotate with endless time", "POST", at + "/" + first.KeyID + "/rotate", `{"grace":"2000000h"}`, manage.CodeInvalid, "grace", "24h"},

		{"read a whole credential", "GET", at + "/" + first.ID, "", manage.CodeInvalid, "key_id", "revoke it"},
		{"revoke a whole credential by path", "DELETE", at + "/" + first.ID, "", manage.CodeInvalid, "key_id", "revoke it"},
		{"rotate a whole credential", "POST", at + "/" + first.ID + "/rotate", "", manage.CodeInvalid, "key_id", "revoke it"},
		{"a whole credential as user", "GET", "/v2/users/" + first.ID + "/keys", "", manage.CodeInvalid, "user_id", "revoke it"},
	})
	// All or nothing: of every refused list, nothing was done.
	list := s.must("GET", at, "").Keys
	if len(list) != 1 || list[0].Disabled || s.standing(first.ID) != manage.StandingActive {
		t.Errorf("of refused requests remains %+v", list)
	}
}

// A credential that was minted elsewhere can't be told by its form.
func TestForeignCredential(t *testing.T) {
	s := newService(t)
	s.alice()
	const foreign = "0123456789abcdef0123456789abcdef"
	id := credential.NewID("ca", policy.PAT)
	err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		_, err := tx.CreateCredential(keys.Credential{
			Digest: credential.DigestOf(foreign), ID: id, Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.refuses(t, []refusal{
		{"in a path", "DELETE", "/v2/users/alice/keys/" + foreign, "", manage.CodeInvalid, "key_id", "revoke it"},
	})
	if k := s.must("PATCH", "/v2/users/alice/keys", `{"keys":[{"id":"`+foreign+`","disabled":true}]}`).Keys[0]; k.ID != id || !k.Disabled {
		t.Errorf("changed into %+v", k)
	}
	s.must("DELETE", "/v2/users/alice/keys", `{"ids":["`+foreign+`"]}`)
	if got := s.standing(foreign); got != manage.StandingRevoked {
		t.Errorf("it is %s", got)
	}
}

// Sessions are credentials too, and have calls of their own.
func TestSessionsAreNoKeys(t *testing.T) {
	s := newService(t)
	s.alice()
	text, id := credential.Mint("ca", policy.Session)
	err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		_, err := tx.CreateCredential(keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.Session, UserID: "alice"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if list := s.must("GET", "/v2/users/alice/keys?per_page=1", ""); len(list.Keys) != 1 || list.Next != "" {
		t.Errorf("listed %s", list.body)
	}
	s.refuses(t, []refusal{
		{"get", "GET", "/v2/users/alice/keys/" + id, "", manage.CodeNotFound, "key_id", "no such key"},
		{"change", "PATCH", "/v2/users/alice/keys", `{"keys":[{"id":"` + id + `"}]}`, manage.CodeNotFound, "keys[0].id", "no such key"},
		{"revoke", "DELETE", "/v2/keys", `{"ids":["` + text + `"]}`, manage.CodeNotFound, "ids[0]", "no such key"},
	})
	if a := s.must("POST", "/v2/keys/verify", `{"credential":"`+text+`"}`); a.Standing != manage.StandingActive || a.Key.Type != manage.TypeSession {
		t.Errorf("verified as %s", a.body)
	}
}

func TestRotate(t *testing.T) {
	s := newService(t)
	s.alice()
	s.must("POST", "/v2/users/alice/keys", `{"keys":[{"description":"d","scopes":["Predict"],"endpoints":["/a.B/C"],"apps":[{"id":"photos"}]}]}`)
	old := s.must("POST", "/v2/users/alice/keys", `{"keys":[{"description":"d","scopes":["Predict"],"endpoints":["/a.B/C"],"apps":[{"id":"photos"}]}]}`).Keys[0]

	second := *s.must("POST", "/v2/users/alice/keys/"+old.KeyID+"/rotate", "").Key
	if second.KeyID == old.KeyID || credential.FormOf(second.ID) != credential.Genuine || second.Description != "d" ||
		fmt.Sprint(second.Scopes, second.Endpoints, second.Apps, second.Type) != fmt.Sprint(old.Scopes, old.Endpoints, old.Apps, old.Type) {
		t.Errorf("rotated into %+v", second)
	}
	if got := s.standing(old.ID); got != manage.StandingRevoked {
		t.Errorf("without grace the old key is %s", got)
	}
	if gone := s.must("GET", "/v2/users/alice/keys?state=revoked", "").Keys[0]; second.RotatedFrom != old.KeyID || gone.RotatedTo != second.KeyID || second.RotatedTo != "" {
		t.Errorf("%+v and %+v don't name each other", gone, second)
	}
	third := *s.must("POST", "/v2/keys/"+second.KeyID+"/rotate", `{"grace":"24h"}`).Key
	if got := s.standing(second.ID); got != manage.StandingActive {
		t.Errorf("within grace the old key is %s", got)
	}
	left := s.must("GET", "/v2/keys/"+second.KeyID, "").Key
	if left.RotatedTo != third.KeyID || left.RotatedFrom != old.KeyID || third.RotatedFrom != second.KeyID || third.RotatedTo != "" {
		t.Errorf("%+v and %+v don't name each other", left, third)
	}
	s.must("PATCH", "/v2/keys", `{"keys":[{"id":"`+second.KeyID+`","description":"still"}]}`)
	if kept := s.must("GET", "/v2/keys/"+second.KeyID, "").Key; kept.RotatedTo != third.KeyID || kept.RotatedFrom != old.KeyID {
		t.Errorf("a change made it %+v", kept)
	}
	if left.ExpiresAt == nil || left.ExpiresAt.Sub(third.CreatedAt) != 24*time.Hour {
		t.Errorf("the old key ends at %v, a day after %v", left.ExpiresAt, third.CreatedAt)
	}

	s.must("PATCH", "/v2/keys", `{"keys":[{"id":"`+third.KeyID+`","expires_at":"2001-01-01T00:00:00Z"}]}`)
	s.refuses(t, []refusal{
		{"expired", "POST", "/v2/keys/" + third.KeyID + "/rotate", "", manage.CodeInvalid, "expires_at", "create a new key"},
		{"expired by then", "POST", "/v2/keys/" + third.KeyID + "/rotate", `{"expires_at":"2001-01-01T00:00:00Z"}`, manage.CodeInvalid, "expires_at", "create a new key"},
	})
	a := s.must("POST", "/v2/keys/"+third.KeyID+"/rotate", `{"expires_at":null}`)
	if a.Key.ExpiresAt != nil {
		t.Errorf("rotated into one that never expires: %s", a.body)
	}
}

// A token may disable a key that can do more than the token, but not enable it
// again, nor change anything else of it.
func TestLesserTokensMayDisable(t *testing.T) {
	s := newService(t)
	s.alice()
	strong := s.pat(operator, "alice", `["All"]`, "")
	weak := s.with(s.pat(operator, "alice", `["Predict"]`, "").ID)
	patch := func(fields string) response {
		return s.callAs(weak, "PATCH", "/v2/users/alice/keys", `{"keys":[{"id":"`+strong.KeyID+`",`+fields+`}]}`)
	}
	refused(t, patch(`"disabled":true,"description":"mine"`), manage.CodeInsufficientScopes, "keys[0].scopes", "can't grant more than it has")
	if a := patch(`"disabled":true`); a.Status.Code != manage.CodeOK || !a.Keys[0].Disabled {
		t.Errorf("disabling answered %s", a.body)
	}
	if got := s.standing(strong.ID); got != manage.StandingDisabled {
		t.Errorf("the key is %s", got)
	}
	refused(t, patch(`"disabled":false`), manage.CodeInsufficientScopes, "keys[0].scopes", "can't grant more than it has")
}

// The answer says when a key is made that the gate refuses.
func TestKeysOfNoUse(t *testing.T) {
	s := newService(t)
	s.alice()
	table, err := policy.NewTable([]policy.Route{
		{Method: "GET", Pattern: "/models", Scopes: []string{"Predict"}, Endpoint: []string{"/a.B/C"}},
		{Method: "GET", Pattern: "/inputs", Scopes: []string{"Search"}, Accept: []string{"pat"}},
		{Method: "GET", Pattern: "/healthz", Accept: []string{"public"}},
	}, "user_id", "app_id")
	if err != nil {
		t.Fatal(err)
	}
	if s.api.Catalogue, err = policy.CatalogueOf(nil, table.Rules()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, key, says string
	}{
		{"of use", `"scopes":["Predict"],"endpoints":["/a.B/C"],"apps":[{"id":"photos"}]`, ""},
		{"everything", `"scopes":["All"],"type":"personal_access_token"`, ""},
		{"no scope", `"scopes":[],"type":"personal_access_token"`, "can call nothing"},
		{"the scope of a route for other kinds", `"scopes":["Search"],"apps":[{"id":"photos"}]`, "can call nothing"},
		{"the kind of that route", `"scopes":["Search"],"type":"personal_access_token"`, ""},
		{"another endpoint", `"scopes":["Search"],"endpoints":["/a.B/C"],"type":"personal_access_token"`, "can call nothing"},
	} {
		a := s.must("POST", "/v2/users/alice/keys", `{"keys":[{`+c.key+`}]}`)
		if c.says == "" && a.Status.Details != "" || !strings.Contains(a.Status.Details, c.says) {
			t.Errorf("%s: the details are %q, want %q", c.name, a.Status.Details, c.says)
		}
	}
	k := s.must("POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["All"],"type":"personal_access_token"}]}`).Keys[0]
	s.must("PATCH", "/v2/keys", `{"keys":[{"id":"`+k.KeyID+`","disabled":true}]}`)
	if a := s.must("POST", "/v2/keys/"+k.KeyID+"/rotate", ""); !a.Key.Disabled || !strings.Contains(a.Status.Details, "it is disabled") {
		t.Errorf("a disabled key was rotated into %s", a.body)
	}
	s.must("PATCH", "/v2/users/alice", `{"suspended":true}`)
	a := s.must("POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["All"],"type":"personal_access_token"}]}`)
	if !strings.Contains(a.Status.Details, "its user is suspended") {
		t.Errorf("made for a suspended user: %s", a.body)
	}
}

func TestVerify(t *testing.T) {
	s := newService(t)
	k := s.alice()
	patch := func(body string) { s.must("PATCH", "/v2/keys", `{"keys":[{"id":"`+k.KeyID+`",`+body+`}]}`) }
	never, _ := credential.Mint("ca", policy.PAT)
	for _, c := range []struct {
		name       string
		do         func()
		credential string
		want       string
	}{
		{"active", func() {}, k.ID, manage.StandingActive},
		{"disabled", func() { patch(`"disabled":true`) }, k.ID, manage.StandingDisabled},
		{"enabled again", func() { patch(`"disabled":false`) }, k.ID, manage.StandingActive},
		{"expired", func() { patch(`"expires_at":"2001-01-01T00:00:00Z"`) }, k.ID, manage.StandingExpired},
		{"never expires again", func() { patch(`"expires_at":null`) }, k.ID, manage.StandingActive},
		{"suspended", func() { s.must("PATCH", "/v2/users/alice", `{"suspended":true}`) }, k.ID, manage.StandingSuspended},
		{"not suspended", func() { s.must("PATCH", "/v2/users/alice", `{"suspended":false}`) }, k.ID, manage.StandingActive},
		{"revoked", func() { s.must("DELETE", "/v2/keys/"+k.KeyID, "") }, k.ID, manage.StandingRevoked},
		{"mistyped", func() {}, k.ID[:len(k.ID)-1] + flip(k.ID[len(k.ID)-1]), manage.StandingMistyped},
		{"never made", func() {}, never, manage.StandingUnknown},
		{"from elsewhere", func() {}, "0123456789abcdef", manage.StandingUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do()
			a := s.must("POST", "/v2/keys/verify", fmt.Sprintf(`{"credential":%q}`, c.credential))
			if a.Standing != c.want {
				t.Errorf("it is %s, want %s", a.Standing, c.want)
			}
			if strings.Contains(a.body, c.credential) {
				t.Errorf("the answer repeats the credential")
			}
		})
	}
	if a := s.must("POST", "/v2/keys/verify", fmt.Sprintf(`{"credential":%q}`, k.ID)); a.Revocation == nil || a.Revocation.KeyID != k.KeyID || a.Revocation.Reason == "" {
		t.Errorf("verified as %s", a.body)
	}
	s.refuses(t, []refusal{
		{"nothing to verify", "POST", "/v2/keys/verify", `{}`, manage.CodeInvalid, "credential", "missing"},
		{"no body", "POST", "/v2/keys/verify", ``, manage.CodeBadFormat, "", "empty"},
	})
}

// flip is another base62 character.
func flip(c byte) string {
	if c == '0' {
		return "1"
	}
	return "0"
}

// A caller who can't make a key with such a long life is told the remedy.
func TestExpiryBeyondTheCallersOwn(t *testing.T) {
	s := friends(t)
	caller := s.with(s.pat(operator, "alice", `["All"]`, `,"expires_at":"2100-01-01T00:00:00Z"`).ID)
	for expiry, want := range map[string]manage.Code{"null": manage.CodeInsufficientScopes, `"2100-01-01T00:00:01Z"`: manage.CodeInsufficientScopes, `"2100-01-01T00:00:00Z"`: manage.CodeOK} {
		a := s.callAs(caller, "POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["Predict"],"apps":[{"id":"photos"}],"expires_at":`+expiry+`}]}`)
		if a.Status.Code != want {
			t.Errorf("%s: answered %s, want %d", expiry, a.body, want)
		}
		if want != manage.CodeOK && (a.Status.Field != "keys[0].expires_at" || !strings.Contains(a.Status.Details, "give it an expires_at no later")) {
			t.Errorf("%s: answered %s", expiry, a.body)
		}
	}
}
