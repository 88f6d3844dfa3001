package manage_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Credentials as others mint them.
const (
	foreign      = "9f86d081884c7d659a2feaa0c55ad015"
	otherForeign = "Zq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtA"
	weak         = "production-password-2024"
)

func sum(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// outcomes of an import, in a word each.
func outcomes(a response) string {
	var list []string
	for _, one := range a.Imported {
		list = append(list, one.Outcome)
	}
	return strings.Join(list, " ")
}

const importPath = "/keys/import"

func TestImport(t *testing.T) {
	s := newService(t)
	s.alice()
	body := fmt.Sprintf(`{"keys":[
		{"credential":%q,"user_id":"alice","apps":[{"id":"photos","user_id":"alice"}],"scopes":["Predict"],"description":"from elsewhere"},
		{"sha256":%q,"user_id":"alice","type":"personal_access_token","scopes":["All"],"endpoints":["/a.B/C"],"expires_at":"2100-01-01T00:00:00Z"},
		{"credential":%q,"user_id":"alice","type":"personal_access_token","scopes":[],"disabled":true}]}`,
		foreign, strings.ToUpper(sum(otherForeign)), weak)
	made := s.must("POST", importPath, body)
	if outcomes(made) != "imported imported imported" {
		t.Fatalf("answered %s", made.body)
	}
	if made.Imported[0].Warning != "" || made.Imported[1].Warning != "" || !strings.Contains(made.Imported[2].Warning, "guessed") {
		t.Errorf("warned %s", made.body)
	}
	for _, secret := range []string{foreign, otherForeign, weak, sum(otherForeign)} {
		if strings.Contains(made.body, secret) {
			t.Errorf("the answer repeats %s: %s", secret, made.body)
		}
	}
	for credential, want := range map[string]string{foreign: manage.StandingActive, otherForeign: manage.StandingActive, weak: manage.StandingDisabled} {
		if got := s.standing(credential); got != want {
			t.Errorf("%s is %s, want %s", credential, got, want)
		}
	}
	k := s.must("GET", "/v2/keys/"+made.Imported[0].KeyID, "").Key
	if !strings.HasPrefix(k.KeyID, "cak_") || k.Description != "from elsewhere" || k.Apps[0].ID != "photos" || !strings.HasPrefix(k.CreatedBy, "(import ") {
		t.Errorf("it is %+v", k)
	}
	k = s.must("GET", "/v2/keys/"+made.Imported[1].KeyID, "").Key
	if !strings.HasPrefix(k.KeyID, "cap_") || fmt.Sprint(k.Scopes, k.Endpoints) != "[All] [/a.B/C]" || k.ExpiresAt == nil || k.ExpiresAt.Year() != 2100 {
		t.Errorf("it is %+v", k)
	}
	entries := s.must("GET", "/v2/users/alice/audit?action=key.import", "").Entries
	if len(entries) != 1 || entries[0].KeyID != "" || entries[0].AppID != "" || string(entries[0].After) != `{"created_by":"`+k.CreatedBy+`","keys":3}` {
		t.Errorf("the audit log has %+v", entries)
	}

	// Again: nothing that is there is changed.
	if a := s.call("POST", importPath, body); a.Status.Code != manage.CodeExists || a.Status.Field != "keys[0]" {
		t.Errorf("answered %s", a.body)
	}
	again := s.must("POST", importPath, strings.Replace(body, `{"keys"`, `{"existing":"skip","keys"`, 1))
	if outcomes(again) != "existing existing existing" || again.Imported[1].KeyID != made.Imported[1].KeyID || again.Imported[2].Warning == "" {
		t.Errorf("answered %s", again.body)
	}
}

// A request has one audit entry, which is about what all of its keys have in
// common, and names the file.
func TestImportIsRecordedOnce(t *testing.T) {
	s := newService(t)
	key := func(text, user, app string) string {
		return fmt.Sprintf(`{"credential":%q,"user_id":%q,"apps":[{"id":%q}],"scopes":["Predict"]}`, text, user, app)
	}
	text := func(n int) string { return fmt.Sprintf("%s%02d", foreign, n) }
	file := `"create_missing":true,"file":{"sha256":"` + strings.ToUpper(sum("the file")) + `","first_line":2,"last_line":9}`
	inFile := `"created_by":"(import ` + sum("the file")[:16] + `)"`
	lines := `"file_sha256":"` + sum("the file") + `","first_line":2,"keys":`
	for _, c := range []struct {
		name, keys string
		subject    keys.Subject
		after      []string
	}{
		{"one key", key(text(1), "alice", "photos"), keys.Subject{UserID: "alice", AppID: "photos"}, []string{inFile, lines + `1,"last_line":9`, `"scopes":["Predict"]`}},
		{"of one app", key(text(2), "alice", "photos") + "," + key(text(3), "alice", "photos"), keys.Subject{UserID: "alice", AppID: "photos"}, []string{inFile, lines + `2,"last_line":9`}},
		{"of one user", key(text(4), "alice", "photos") + "," + key(text(5), "alice", "shop"), keys.Subject{UserID: "alice"}, []string{inFile, lines + `2,"last_line":9`}},
		{"of two users", key(text(6), "alice", "photos") + "," + key(text(7), "bob", "photos") + "," + key(text(8), "alice", "photos"), keys.Subject{}, []string{inFile, lines + `3,"last_line":9`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := s.must("POST", importPath, `{"keys":[`+c.keys+`],`+file+`}`)
			if len(made.Imported) == 1 {
				c.subject.KeyID = made.Imported[0].KeyID
			}
			e := s.must("GET", "/v2/audit?order=newest&action=key.import", "").Entries[0]
			if got := (keys.Subject{UserID: e.UserID, AppID: e.AppID, KeyID: e.KeyID}); got != c.subject {
				t.Errorf("it is about %+v", got)
			}
			for _, part := range c.after {
				if !strings.Contains(string(e.After), part) {
					t.Errorf("%s is not in %s", part, e.After)
				}
			}
			for _, one := range made.Imported {
				if k := s.must("GET", "/v2/keys/"+one.KeyID, "").Key; k.CreatedBy != "(import "+sum("the file")[:16]+")" {
					t.Errorf("it was created by %s", k.CreatedBy)
				}
			}
		})
	}
	if v := s.must("GET", "/v2/audit/verify", "").Verification; !v.Whole {
		t.Errorf("the audit log is %+v", v)
	}
	one := key(text(9), "alice", "photos")
	s.refuses(t, []refusal{
		{"no digest", "POST", importPath, `{"keys":[` + one + `],"file":{"first_line":1,"last_line":1}}`, manage.CodeInvalid, "file.sha256", "64"},
		{"no lines", "POST", importPath, `{"keys":[` + one + `],"file":{"sha256":"` + sum("") + `"}}`, manage.CodeInvalid, "file.first_line", "from 1"},
		{"lines backwards", "POST", importPath, `{"keys":[` + one + `],"file":{"sha256":"` + sum("") + `","first_line":3,"last_line":2}}`, manage.CodeInvalid, "file.first_line", "not before"},
		{"a field of the file", "POST", importPath, `{"keys":[` + one + `],"file":{"sha256":"` + sum("") + `","first_line":1,"last_line":1,"` + foreign + `":1}}`, manage.CodeInvalid, "file", "known are sha256, first_line, last_line"},
	})
}

// A credential that stands in another field too would be kept in clear text: as
// a user's id for good, and in the audit log.
func TestImportKeepsNoClearText(t *testing.T) {
	s := newService(t)
	key := func(more string) string {
		return `{"keys":[{` + more + `,"type":"personal_access_token","scopes":[]}],"create_missing":true}`
	}
	text, digest := `"credential":"`+foreign+`"`, `"sha256":"`+sum(foreign)+`"`
	s.refuses(t, []refusal{
		{"the user", "POST", importPath, key(text + `,"user_id":"` + foreign + `"`), manage.CodeInvalid, "keys[0].user_id", "stands here too"},
		{"the user, by digest", "POST", importPath, key(digest + `,"user_id":"` + foreign + `"`), manage.CodeInvalid, "keys[0].user_id", "stands here too"},
		{"in the description", "POST", importPath, key(text + `,"user_id":"bob","description":"was ` + foreign + `!"`), manage.CodeInvalid, "keys[0].description", "stands here too"},
		{"an endpoint", "POST", importPath, key(text + `,"user_id":"bob","endpoints":["/a.B/` + foreign + `"]`), manage.CodeInvalid, "keys[0].endpoints", "stands here too"},
		{"a scope", "POST", importPath, strings.Replace(key(text+`,"user_id":"bob"`), `"scopes":[]`, `"scopes":["`+foreign+`"]`, 1), manage.CodeInvalid, "keys[0].scopes", "stands here too"},
		{
			"the app", "POST", importPath, `{"keys":[{` + text + `,"user_id":"bob","scopes":[],"apps":[{"id":"` + foreign + `"}]}],"create_missing":true}`,
			manage.CodeInvalid, "keys[0].apps", "stands here too",
		},
	})
	if a := s.must("GET", "/v2/audit", ""); len(a.Entries) != 0 {
		t.Errorf("recorded %s", a.body)
	}
}

// A key that stands twice in a request is not named by a key ID that there is
// not.
func TestImportOfTheSameTwice(t *testing.T) {
	s := newService(t)
	s.alice()
	one := func(more string) string {
		return `{"credential":"` + foreign + `","user_id":"alice","scopes":[],` + more + `}`
	}
	app, token := one(`"apps":[{"id":"photos"}]`), one(`"type":"personal_access_token"`)
	for _, body := range []string{
		`{"keys":[` + app + `,` + app + `]}`,
		`{"keys":[` + app + `,` + token + `],"existing":"skip"}`,
	} {
		if a := s.call("POST", importPath, body); a.http != 409 || a.Status.Field != "keys[1]" || !strings.Contains(a.Status.Details, manage.EarlierKey) {
			t.Errorf("answered %s", a.body)
		}
	}
	a := s.must("POST", importPath, `{"keys":[`+app+`,`+token+`],"existing":"skip","dry_run":true}`)
	if outcomes(a) != "imported refused" || !strings.Contains(a.Imported[1].Refusal.Details, manage.EarlierKey) {
		t.Errorf("answered %s", a.body)
	}
}

// A credential that lacks less than one bit is not reported as having enough
// bits.
func TestImportWarnsOfTooFewBits(t *testing.T) {
	s := newService(t)
	s.alice()
	a := s.must("POST", importPath, `{"keys":[{"credential":"qwertzuiopasdfghjk","user_id":"alice","type":"personal_access_token","scopes":[]}],"dry_run":true}`)
	if !strings.Contains(a.Imported[0].Warning, "about 79 bits, less than 80") {
		t.Errorf("warned %q", a.Imported[0].Warning)
	}
}

func TestImportOfRevoked(t *testing.T) {
	s := newService(t)
	s.alice()
	one := fmt.Sprintf(`{"credential":%q,"user_id":"alice","apps":[{"id":"photos"}],"scopes":[]}`, foreign)
	id := s.must("POST", importPath, `{"keys":[`+one+`]}`).Imported[0].KeyID
	s.must("DELETE", "/v2/keys", fmt.Sprintf(`{"ids":[%q]}`, foreign))
	for _, credential := range []string{one, strings.Replace(one, `"credential":"`+foreign, `"sha256":"`+sum(foreign), 1)} {
		a := s.call("POST", importPath, `{"keys":[`+credential+`],"existing":"skip"}`)
		if a.http != 409 || a.Status.Field != "keys[0]" || !strings.Contains(a.Status.Details, "revoked") {
			t.Errorf("answered %s", a.body)
		}
	}
	// Not even by way of an app that has to be made.
	s.must("DELETE", "/v2/users/alice/apps/photos", "")
	a := s.must("POST", importPath, `{"keys":[`+one+`],"revoked":"skip","create_missing":true}`)
	if outcomes(a) != "revoked" || a.Imported[0].KeyID != id {
		t.Errorf("answered %s", a.body)
	}
	if got := s.standing(foreign); got != manage.StandingRevoked {
		t.Errorf("it is %s", got)
	}
	if apps := s.must("GET", "/v2/users/alice/apps", "").Apps; len(apps) != 0 {
		t.Errorf("for a revoked key %v was made", apps)
	}
}

func TestImportMakesWhatIsMissing(t *testing.T) {
	s := newService(t)
	s.must("POST", "/v2/users", `{"users":[{"id":"gone"}]}`)
	s.must("DELETE", "/v2/users/gone", "")
	one := func(user string) string {
		return fmt.Sprintf(`{"credential":%q,"user_id":%q,"apps":[{"id":"photos"}],"scopes":[]}`, foreign, user)
	}
	two := fmt.Sprintf(`{"credential":%q,"user_id":"bob","apps":[{"id":"photos"}],"scopes":[]}`, otherForeign)
	s.refuses(t, []refusal{
		{"no user", "POST", importPath, `{"keys":[` + one("bob") + `]}`, manage.CodeNotFound, "keys[0].user_id", "create_missing"},
		{"a deleted user", "POST", importPath, `{"keys":[` + one("gone") + `],"create_missing":true}`, manage.CodeExists, "keys[0].user_id", "never used again"},
	})
	s.must("POST", importPath, `{"keys":[`+one("bob")+`,`+two+`],"create_missing":true}`)
	if apps := s.must("GET", "/v2/users/bob/apps", "").Apps; len(apps) != 1 || apps[0].ID != "photos" {
		t.Errorf("made %v", apps)
	}
	if list := s.must("GET", "/v2/users/bob/apps/photos/keys", "").Keys; len(list) != 2 {
		t.Errorf("listed %v", list)
	}
	other := strings.Replace(one("bob"), foreign, strings.ToUpper(foreign), 1)
	s.refuses(t, []refusal{
		{"no app", "POST", importPath, `{"keys":[` + strings.Replace(other, "photos", "videos", 1) + `]}`, manage.CodeNotFound, "keys[0].apps[0].id", "create_missing"},
		{"another user's", "POST", importPath, `{"keys":[` + one("carol") + `],"create_missing":true,"existing":"skip"}`, manage.CodeExists, "keys[0]", "another user"},
	})
}

func TestImportRefuses(t *testing.T) {
	s := newService(t)
	s.alice()
	genuine, _ := credential.Mint("ca", policy.AppKey)
	forged := genuine[:54] + "~"
	if forged = genuine[:54] + "0"; forged == genuine {
		forged = genuine[:54] + "1"
	}
	key := func(replaced, by string) string {
		text := `{"credential":"` + otherForeign + `","user_id":"alice","apps":[{"id":"photos"}],"scopes":["Predict"]}`
		if !strings.Contains(text, replaced) {
			t.Fatalf("%s is not in it", replaced)
		}
		return `{"keys":[{"credential":"` + foreign + `","user_id":"alice","apps":[{"id":"photos"}],"scopes":[]},` + strings.Replace(text, replaced, by, 1) + `]}`
	}
	secret := "Xy7pQm2Wv9Tz4Rk8Lc3Nb6Hd"
	cases := []refusal{
		{"no keys", "POST", importPath, `{"keys":[]}`, manage.CodeInvalid, "keys", "at least one"},
		{"more than 10000", "POST", importPath, `{"keys":[` + strings.Repeat("{},", 10_000) + `{}]}`, manage.CodeInvalid, "keys", "another request"},
		{"unknown option", "POST", importPath, `{"keys":[{}],"existing":"replace"}`, manage.CodeInvalid, "existing", "skip"},
		{"unknown field", "POST", importPath, `{"keys":[{}],"` + secret + `":1}`, manage.CodeInvalid, "", "known are"},
		{"unknown field of a key", "POST", importPath, key(`"user_id"`, `"`+secret+`":"x","user_id"`), manage.CodeInvalid, "keys[1]", "known are"},
		{"unknown field of an app", "POST", importPath, key(`[{"id"`, `[{"`+secret+`":"x","id"`), manage.CodeInvalid, "keys[1].apps[0]", "known are"},
		{"a field twice", "POST", importPath, key(`"user_id"`, `"`+secret+`":"x","`+secret+`":"x","user_id"`), manage.CodeBadFormat, "keys[1]", "known are"},
		{"neither", "POST", importPath, key(`"credential":"`+otherForeign+`",`, ""), manage.CodeInvalid, "keys[1].credential", "either"},
		{"both", "POST", importPath, key(`"user_id"`, `"sha256":"`+sum(secret)+`","user_id"`), manage.CodeInvalid, "keys[1].credential", "either"},
		{"too short", "POST", importPath, key(otherForeign, secret[:15]), manage.CodeInvalid, "keys[1].credential", "15 bytes"},
		{"a space", "POST", importPath, key(otherForeign, secret+" "), manage.CodeInvalid, "keys[1].credential", "space"},
		{"wrong checksum", "POST", importPath, key(otherForeign, forged), manage.CodeInvalid, "keys[1].credential", "checksum"},
		{"no SHA-256", "POST", importPath, key(`"credential":"`+otherForeign, `"sha256":"`+sum(secret)[:62]), manage.CodeInvalid, "keys[1].sha256", "64"},
		{"no hexadecimal", "POST", importPath, key(`"credential":"`+otherForeign, `"sha256":"`+strings.Repeat("x", 64)), manage.CodeInvalid, "keys[1].sha256", "64"},
		{"no user", "POST", importPath, key(`"user_id":"alice",`, ""), manage.CodeInvalid, "keys[1].user_id", "1 to 48"},
		{"me", "POST", importPath, key(`"user_id":"alice"`, `"user_id":"me"`), manage.CodeInvalid, "keys[1].user_id", "me"},
		{"a credential for a user", "POST", importPath, key(`"user_id":"alice"`, `"user_id":"`+secret+`!"`), manage.CodeInvalid, "keys[1].user_id", "1 to 48"},
		{"a credential for a user's id", "POST", importPath, key(`"user_id":"alice"`, `"user_id":"`+secret+`"`), manage.CodeNotFound, "keys[1].user_id", "no such user"},
		{"a credential for an app", "POST", importPath, key(`[{"id":"photos"`, `[{"id":"`+secret+`!"`), manage.CodeInvalid, "keys[1].apps[0].id", "1 to 48"},
		{"another's app", "POST", importPath, key(`[{"id"`, `[{"user_id":"bob","id"`), manage.CodeInvalid, "keys[1].apps[0].user_id", "own the app"},
		{"a credential for a type", "POST", importPath, key(`"user_id"`, `"type":"`+secret+`","user_id"`), manage.CodeInvalid, "keys[1].type", "personal_access_token"},
		{"a session", "POST", importPath, key(`"user_id"`, `"type":"session_token","user_id"`), manage.CodeInvalid, "keys[1].type", "personal_access_token"},
		{"a credential for a scope", "POST", importPath, key("Predict", secret), manage.CodeInvalid, "keys[1].scopes", "catalogue"},
		{"a credential for a scope's name", "POST", importPath, key("Predict", secret+"!"), manage.CodeInvalid, "keys[1].scopes", "name of a scope"},
		{"an unknown scope", "POST", importPath, key("Predict", "Predcit"), manage.CodeInvalid, "keys[1].scopes", "Predict?"},
		{"a scope that needs another", "POST", importPath, key("Predict", "Inputs:Get"), manage.CodeInvalid, "keys[1].scopes", "Apps:Get"},
		{"no scopes", "POST", importPath, key(`,"scopes":["Predict"]`, ""), manage.CodeInvalid, "keys[1].scopes", "missing"},
		{"a credential for an endpoint", "POST", importPath, key(`"user_id"`, `"endpoints":["`+secret+`"],"user_id"`), manage.CodeInvalid, "keys[1].endpoints", "/package.Service/Method"},
		{"an unknown endpoint", "POST", importPath, key(`"user_id"`, `"endpoints":["/no.Such/Endpoint"],"user_id"`), manage.CodeInvalid, "keys[1].endpoints", "/no.Such/Endpoint"},
		{"a credential for an expiry", "POST", importPath, key(`"user_id"`, `"expires_at":"`+secret+`","user_id"`), manage.CodeInvalid, "keys[1].expires_at", "RFC 3339"},
		{"expired", "POST", importPath, key(`"user_id"`, `"expires_at":"2020-01-01T00:00:00Z","user_id"`), manage.CodeInvalid, "keys[1].expires_at", "past"},
		{"a long description", "POST", importPath, key(`"user_id"`, `"description":"`+strings.Repeat("x", 1025)+`","user_id"`), manage.CodeInvalid, "keys[1].description", "1025"},
		{"twice in one request", "POST", importPath, key(otherForeign, foreign), manage.CodeExists, "keys[1]", "there already"},
	}
	s.refuses(t, cases)
	for _, c := range cases {
		// A dry run finds the same, of one key after another.
		body := strings.Replace(c.body, `{"keys"`, `{"dry_run":true,"keys"`, 1)
		a := s.call(c.method, c.path, body)
		if strings.HasPrefix(c.field, "keys[1]") && !(c.name == "a field twice") {
			if outcomes(a) != "imported refused" {
				t.Errorf("%s: a dry run answered %s", c.name, a.body)
				continue
			}
			got := a.Imported[1].Refusal
			if want := strings.TrimPrefix(strings.TrimPrefix(c.field, "keys[1]"), "."); got.Code != c.code || got.Field != want || !strings.Contains(got.Details, c.says) {
				t.Errorf("%s: a dry run says %+v", c.name, got)
			}
		}
		for _, a := range []response{a, s.call(c.method, c.path, c.body)} {
			for _, text := range []string{secret, secret[:15], otherForeign, forged, genuine, sum(secret)[:62]} {
				if strings.Contains(a.body, text) {
					t.Errorf("%s: the answer repeats a credential: %s", c.name, a.body)
				}
			}
		}
	}
	if got := s.standing(foreign); got != manage.StandingUnknown {
		t.Errorf("of the refused requests, a key remains that is %s", got)
	}
	if len(s.failures) > 0 {
		t.Errorf("failures of our own: %v", s.failures)
	}
}

func TestImportDryRun(t *testing.T) {
	s := newService(t)
	body := fmt.Sprintf(`{"create_missing":true,"existing":"skip","keys":[
		{"credential":%q,"user_id":"bob","apps":[{"id":"photos"}],"scopes":[]},
		{"credential":"short","user_id":"bob","apps":[{"id":"photos"}],"scopes":[]},
		{"sha256":%q,"user_id":"bob","apps":[{"id":"photos"}],"scopes":[]},
		{"credential":%q,"user_id":"bob","type":"personal_access_token","scopes":[]}],"dry_run":true}`, foreign, sum(foreign), weak)
	a := s.must("POST", importPath, body)
	if outcomes(a) != "imported refused existing imported" || a.Imported[3].Warning == "" {
		t.Errorf("answered %s", a.body)
	}
	for _, one := range a.Imported {
		if one.KeyID != "" {
			t.Errorf("a dry run answers the id %s", one.KeyID)
		}
	}
	if list := s.must("GET", "/v2/users", "").Users; len(list) != 0 {
		t.Errorf("a dry run made %v", list)
	}
	if got := s.standing(foreign); got != manage.StandingUnknown {
		t.Errorf("a dry run made a key that is %s", got)
	}
	err := s.api.Directory.View(t.Context(), func(r keys.Reader) error {
		head, err := r.AuditHead()
		if head.Last != 0 {
			t.Errorf("a dry run wrote %d entries of the audit log", head.Last)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A thousand keys with long descriptions are more than a request has otherwise.
func TestImportOfManyBytes(t *testing.T) {
	s := newService(t)
	s.alice()
	var list []map[string]any
	for i := range 1000 {
		list = append(list, map[string]any{
			"sha256": sum(fmt.Sprint(i)), "user_id": "alice", "type": "personal_access_token", "scopes": []string{"All"},
			"description": strings.Repeat("long ", 200), "expires_at": time.Now().Add(time.Hour),
		})
	}
	body, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		t.Fatal(err)
	}
	if len(body) < manage.DefaultMaxBody {
		t.Fatalf("only %d bytes", len(body))
	}
	if a := s.call("POST", importPath, string(body)); len(a.Imported) != 1000 {
		t.Errorf("%d keys: %+v", len(a.Imported), a.Status)
	}
	if a := s.call("POST", importPath, `{"keys":[{"description":"`+strings.Repeat("x", 16<<20)+`"}]}`); a.Status.Code != manage.CodeTooLarge {
		t.Errorf("answered %s", a.body)
	}
}

func TestOnlyTheOperatorImports(t *testing.T) {
	s := newService(t)
	s.alice()
	a := s.callAs(manage.Caller{Caller: policy.Caller{UserID: "alice"}}, "POST", importPath, `{"keys":[{}]}`)
	if a.Status.Code != manage.CodeNotFound {
		t.Errorf("answered %s", a.body)
	}
}
