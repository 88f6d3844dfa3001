package manage_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// listed are the descriptions of the keys that a call lists, page by page with
// the given size of a page. It also returns the last page.
func (s *service) listed(as manage.Caller, path, query string, size int) (names []string) {
	s.t.Helper()
	after := ""
	for {
		a := s.mustAs(as, "GET", fmt.Sprintf("%s?per_page=%d&%s%s", path, size, query, after), "")
		for _, k := range a.Keys {
			names = append(names, k.Description)
		}
		if a.Next == "" {
			return names
		}
		after = "&after=" + url.QueryEscape(a.Next)
	}
}

// manyKeys makes alice's keys, one of each sort.
func manyKeys(t *testing.T) (*service, map[string]manage.Key) {
	s := newService(t)
	s.alice()
	maps := s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"maps"}]}`).Keys[0]
	s.must("PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"description":"maps"}]}`, maps.KeyID))
	soon := time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)
	later := time.Now().Add(720 * time.Hour).UTC().Format(time.RFC3339)
	made := s.must("POST", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[
		{"description":"full","type":"personal_access_token","scopes":["All"]},
		{"description":"narrow","type":"personal_access_token","scopes":["All"],"endpoints":["/a.B/C"],"expires_at":%q},
		{"description":"off","scopes":["Predict"],"apps":[{"id":"maps"}],"expires_at":%q},
		{"description":"past","scopes":["Predict"],"apps":[{"id":"maps"}],"expires_at":%q},
		{"description":"gone","scopes":["Predict"],"endpoints":["/a.B/D"],"apps":[{"id":"maps"}],"expires_at":%q},
		{"description":"gone token","type":"personal_access_token","scopes":["All"]}]}`, later, soon, soon, later)).Keys
	all := map[string]manage.Key{}
	for _, k := range made {
		all[k.Description] = k
	}
	s.must("PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"disabled":true},{"id":%q,"expires_at":"2001-01-01T00:00:00Z"}]}`,
		all["off"].KeyID, all["past"].KeyID))
	for _, name := range []string{"gone token", "gone"} {
		s.must("DELETE", "/v2/users/alice/keys/"+all[name].KeyID, "")
	}
	return s, all
}

func TestFilteredKeys(t *testing.T) {
	s, _ := manyKeys(t)
	const keysPath, appPath = "/v2/users/alice/keys", "/v2/users/alice/apps/maps/keys"
	first := s.must("GET", keysPath, "").Keys[0].Description // of the app photos
	for _, c := range []struct{ path, query, want string }{
		{keysPath, "", first + ",maps,full,narrow,off,past"},
		{keysPath, "state=active", first + ",maps,full,narrow"},
		{keysPath, "state=disabled", "off"},
		{keysPath, "state=expired", "past"},
		{keysPath, "state=revoked", "gone token,gone"},
		{keysPath, "state=revoked&order=newest", "gone,gone token"},
		{keysPath, "state=revoked&order=oldest", "gone token,gone"},
		{keysPath, "state=revoked&app_id=maps", "gone"},
		{keysPath, "state=revoked&full_access=true", "gone token"},
		{keysPath, "state=revoked&never_expires=false", "gone"},
		{keysPath, "type=personal_access_token", "full,narrow"},
		{keysPath, "type=app_specific_key&state=revoked", "gone"},
		{keysPath, "app_id=maps", "maps,off,past"},
		{keysPath, "app_id=none", ""},
		{keysPath, "full_access=true", first + ",maps,full"},
		{keysPath, "full_access=false", "narrow,off,past"},
		{keysPath, "never_expires=true&type=personal_access_token", "full"},
		{keysPath, "expires_within=7d", "off"},
		{keysPath, "expires_within=31d", "narrow,off"},
		{keysPath, "expires_within=31d&state=active", "narrow"},
		{keysPath, "unused_for=90d", ""},
		{keysPath, "unused_for=1ns&state=active", first + ",maps,full,narrow"},
		{appPath, "", "maps,off,past"},
		{appPath, "state=expired", "past"},
		{appPath, "state=revoked", "gone"},
	} {
		for _, size := range []int{1, 20} {
			if got := strings.Join(s.listed(operator, c.path, c.query, size), ","); got != c.want {
				t.Errorf("%s?%s by %d: %s, want %s", c.path, c.query, size, got, c.want)
			}
		}
	}
	for _, path := range []string{keysPath, appPath} {
		s.refuses(t, []refusal{
			{"state", "GET", path + "?state=good", "", manage.CodeInvalid, "state", "active, disabled, expired, revoked"},
			{"two states", "GET", path + "?state=active&state=expired", "", manage.CodeInvalid, "state", "one of"},
			{"type", "GET", path + "?type=session_token", "", manage.CodeInvalid, "type", manage.TypePAT},
			{"unused", "GET", path + "?unused_for=long", "", manage.CodeInvalid, "unused_for", "90d"},
			{"unused for no time", "GET", path + "?unused_for=0s", "", manage.CodeInvalid, "unused_for", "90d"},
			{"unused for ages", "GET", path + "?unused_for=99999999999999999999d", "", manage.CodeInvalid, "unused_for", "90d"},
			{"unused and revoked", "GET", path + "?unused_for=1d&state=revoked", "", manage.CodeInvalid, "unused_for", "no last use"},
			{"expiring and expired", "GET", path + "?expires_within=1d&state=expired", "", manage.CodeInvalid, "expires_within", "any more"},
			{"expiring backwards", "GET", path + "?expires_within=-1d", "", manage.CodeInvalid, "expires_within", "90d"},
			{"full access", "GET", path + "?full_access=1", "", manage.CodeInvalid, "full_access", "true or false"},
			{"order", "GET", path + "?order=newest", "", manage.CodeInvalid, "order", "revoked"},
			{"app", "GET", path + "?app_id=a%20b", "", manage.CodeInvalid, "app_id", "the"},
		})
	}
	s.refuses(t, []refusal{{"the app again", "GET", appPath + "?app_id=maps", "", manage.CodeInvalid, "app_id", "path names"}})
}

// A revoked key is shown as it was, with when, by whom and why it was revoked.
// No whole credential is shown, and no key of another user.
func TestRevokedKeysAreListed(t *testing.T) {
	s, all := manyKeys(t)
	list := s.must("GET", "/v2/users/alice/keys?state=revoked", "")
	gone, was := list.Keys[1], all["gone"]
	if gone.KeyID != was.KeyID || gone.ID != was.KeyID || gone.Type != manage.TypeAppKey || gone.UserID != "alice" || gone.AppID() != "maps" ||
		fmt.Sprint(gone.Scopes, gone.Endpoints) != "[Predict] [/a.B/D]" || !gone.CreatedAt.Equal(was.CreatedAt) ||
		gone.CreatedBy != keys.Operator || !gone.ExpiresAt.Equal(*was.ExpiresAt) {
		t.Errorf("revoked %+v,\nis listed as %+v", was, gone)
	}
	if gone.RevokedAt == nil || time.Since(*gone.RevokedAt) > time.Minute || gone.RevokedBy != keys.Operator || gone.RevokedReason != "revoked" {
		t.Errorf("revoked at %v by %q: %q", gone.RevokedAt, gone.RevokedBy, gone.RevokedReason)
	}
	for name, k := range all {
		if strings.Contains(list.body, k.ID) {
			t.Errorf("the whole of %s is listed", name)
		}
	}
	s.must("POST", "/v2/users", `{"users":[{"id":"bob"}]}`)
	if a := s.must("GET", "/v2/users/bob/keys?state=revoked", ""); a.Keys == nil || len(a.Keys) != 0 {
		t.Errorf("bob sees %s", a.body)
	}
	// The keys of a deleted app stay listed, the app doesn't.
	s.must("DELETE", "/v2/users/alice/apps/maps", "")
	if got := strings.Join(s.listed(operator, "/v2/users/alice/keys", "state=revoked&app_id=maps", 20), ","); got != "gone,maps,off,past" {
		t.Errorf("of the deleted app are listed %s", got)
	}
	// A place in one list is none in another.
	next := s.must("GET", "/v2/users/alice/keys?state=revoked&per_page=1", "").Next
	s.must("GET", "/v2/users/alice/keys?state=revoked&after="+next, "")
	for _, query := range []string{"", "state=active&", "state=revoked&order=newest&"} {
		s.refuses(t, []refusal{{"a place of " + query, "GET", "/v2/users/alice/keys?" + query + "after=" + next, "", manage.CodeInvalid, "after", "of this list"}})
	}
}

// Revoked keys are listed no longer than the audit log keeps their entries.
func TestRevokedKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := manyKeys(t)
		s.api.Directory.SetAuditRetention(time.Hour)
		later(2 * time.Hour)
		if err := s.api.Directory.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if a := s.must("GET", "/v2/users/alice/keys?state=revoked", ""); len(a.Keys) > 1 {
			t.Errorf("after the retention %s is listed", a.body)
		}
	})
}

// Keys that weren't used for long are found by their last use, or their creation.
func TestUnusedKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, all := manyKeys(t)
		later(2 * time.Hour)
		s.must("POST", "/v2/users/alice/keys", `{"keys":[{"description":"new","type":"personal_access_token","scopes":["All"]}]}`)
		got := s.listed(operator, "/v2/users/alice/keys", "unused_for=1h&type=personal_access_token", 20)
		if strings.Join(got, ",") != "full,narrow" {
			t.Errorf("unused are %v of %d", got, len(all))
		}
	})
}

// A page reads a bounded number of records, and tells where to go on.
func TestFewAmongManyKeys(t *testing.T) {
	s := newService(t)
	s.alice()
	key := `{"description":"many","type":"personal_access_token","scopes":["Predict"]},`
	for range 11 {
		s.must("POST", "/v2/users/alice/keys", `{"keys":[`+strings.TrimSuffix(strings.Repeat(key, 1000), ",")+`]}`)
	}
	s.must("POST", "/v2/users/alice/keys", `{"keys":[{"description":"last","type":"personal_access_token","scopes":["All"]}]}`)
	first := s.must("GET", "/v2/users/alice/keys?full_access=true&type=personal_access_token", "")
	if len(first.Keys) != 0 || first.Next == "" {
		t.Errorf("the first page has %d keys, and next %q", len(first.Keys), first.Next)
	}
	if got := s.listed(operator, "/v2/users/alice/keys", "full_access=true&type=personal_access_token", 20); strings.Join(got, ",") != "last" {
		t.Errorf("found %v", got)
	}
	s.refuses(t, []refusal{{"a page far away", "GET", "/v2/users/alice/keys?full_access=true&page=5", "", manage.CodeInvalid, "page", "takes too long"}})
}
