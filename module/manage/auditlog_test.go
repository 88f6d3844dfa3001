package manage_test

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func TestAudit(t *testing.T) {
	s := friends(t)
	alice := s.signedIn("alice")
	k := s.pat(alice, "alice", `["Predict"]`, `,"description":"for CI"`)
	s.mustAs(alice, "PATCH", "/v2/users/alice/keys", fmt.Sprintf(`{"keys":[{"id":%q,"description":"for tests"}]}`, k.KeyID))
	s.mustAs(s.with(k.ID), "DELETE", "/v2/users/alice/keys/"+k.KeyID, "")
	s.must("POST", shared, `{"collaborators":[{"user_id":"bob","scopes":["Predict"]}]}`)
	s.must("POST", "/v2/users/bob/apps", `{"apps":[{"id":"photos"}]}`)

	actions := func(a response) string {
		var list []string
		for _, e := range a.Entries {
			list = append(list, e.Action)
		}
		return strings.Join(list, " ")
	}
	const mine = "user.create app.create key.create session.create key.create key.change key.revoke collaborator.add"
	mid := s.must("GET", "/v2/users/alice/audit", "").Entries[4].At.Format(time.RFC3339Nano)
	for _, c := range []struct {
		name  string
		as    manage.Caller
		path  string
		query url.Values
		want  string
	}{
		{"one's own", alice, "/v2/users/alice/audit", nil, mine},
		{"me", alice, "/v2/users/me/audit", nil, mine},
		{"one's own, whatever the query says", alice, "/v2/users/alice/audit", url.Values{"user_id": {"bob"}}, mine},
		{"a user's", operator, "/v2/users/alice/audit", nil, mine},
		{"all", operator, "/v2/audit", nil, "user.create app.create key.create user.create user.create session.create key.create key.change key.revoke collaborator.add app.create key.create"},
		{"all of a user", operator, "/v2/audit", url.Values{"user_id": {"bob"}}, "user.create app.create key.create"},
		{"an app", operator, "/v2/audit", url.Values{"app_id": {"photos"}, "user_id": {"alice"}}, "app.create key.create collaborator.add"},
		{"an app of anyone", operator, "/v2/audit", url.Values{"app_id": {"photos"}}, "app.create key.create collaborator.add app.create key.create"},
		{"a key", alice, "/v2/users/alice/audit", url.Values{"key_id": {k.KeyID}}, "key.create key.change key.revoke"},
		{"an action", alice, "/v2/users/alice/audit", url.Values{"action": {"key.create"}}, "key.create key.create"},
		{"a credential's deeds", alice, "/v2/users/alice/audit", url.Values{"actor": {k.KeyID}}, "key.revoke"},
		{"a user's deeds", operator, "/v2/audit", url.Values{"actor": {"alice"}}, "session.create key.create key.change key.revoke"},
		{"the operator's", operator, "/v2/users/alice/audit", url.Values{"actor": {"(operator)"}}, "user.create app.create key.create collaborator.add"},
		{"since", alice, "/v2/users/alice/audit", url.Values{"since": {mid}}, "key.create key.change key.revoke collaborator.add"},
		{"until", alice, "/v2/users/alice/audit", url.Values{"until": {mid}}, "user.create app.create key.create session.create"},
		{"never", alice, "/v2/users/alice/audit", url.Values{"since": {mid}, "until": {mid}}, ""},
		{"after the end", alice, "/v2/users/alice/audit", url.Values{"since": {"2199-01-01T00:00:00Z"}}, ""},
		{"before the beginning", alice, "/v2/users/alice/audit", url.Values{"until": {"2001-01-01T00:00:00Z"}}, ""},
		{"newest first", alice, "/v2/users/alice/audit", url.Values{"order": {"newest"}}, "collaborator.add key.revoke key.change key.create session.create key.create app.create user.create"},
		{"newest first, since and until", alice, "/v2/users/alice/audit", url.Values{"order": {"newest"}, "since": {mid}}, "collaborator.add key.revoke key.change key.create"},
		{"newest first, until", alice, "/v2/users/alice/audit", url.Values{"order": {"newest"}, "until": {mid}}, "session.create key.create app.create user.create"},
		{"newest first, a page", alice, "/v2/users/alice/audit", url.Values{"order": {"newest"}, "page": {"2"}, "per_page": {"3"}}, "key.create session.create key.create"},
		{"all, newest first", operator, "/v2/audit", url.Values{"order": {"newest"}}, "key.create app.create collaborator.add key.revoke key.change key.create session.create user.create user.create key.create app.create user.create"},
		{"a page", alice, "/v2/users/alice/audit", url.Values{"page": {"2"}, "per_page": {"3"}}, "session.create key.create key.change"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := actions(s.mustAs(c.as, "GET", c.path+"?"+c.query.Encode(), "")); got != c.want {
				t.Errorf("answered %s, want %s", got, c.want)
			}
			// Page by page it is the same.
			if c.query.Has("page") {
				return
			}
			query := url.Values{"per_page": {"1"}}
			for name, v := range c.query {
				query[name] = v
			}
			var list []string
			for {
				a := s.mustAs(c.as, "GET", c.path+"?"+query.Encode(), "")
				list = append(list, strings.Fields(actions(a))...)
				if a.Next == "" {
					break
				}
				query.Set("after", a.Next)
			}
			if got := strings.Join(list, " "); got != c.want {
				t.Errorf("page by page it answered %s, want %s", got, c.want)
			}
		})
	}

	a := s.mustAs(alice, "GET", "/v2/users/alice/audit?action=key.change", "")
	e := a.Entries[0]
	if string(e.Before) != `{"description":"for CI"}` || string(e.After) != `{"description":"for tests"}` ||
		e.ActorID != alice.KeyID || e.ActorUserID != "alice" || e.Address != "192.0.2.1" || e.UserID != "alice" || e.KeyID != k.KeyID || e.At.IsZero() {
		t.Errorf("answered %s", a.body)
	}
	if e.Seq != 0 || e.Hash != "" {
		t.Errorf("a user is told how much others do: %s", a.body)
	}
	if e := s.must("GET", "/v2/audit?action=key.change", "").Entries[0]; e.Seq == 0 || len(e.Hash) != 64 {
		t.Errorf("the operator is shown %+v", e)
	}
	if strings.Contains(s.must("GET", "/v2/audit", "").body, k.ID) {
		t.Error("the log holds a whole credential")
	}

	// Entries of a deleted user are kept.
	s.must("DELETE", "/v2/users/bob", "")
	if got := actions(s.must("GET", "/v2/users/bob/audit", "")); !strings.HasSuffix(got, "user.delete") {
		t.Errorf("of a deleted user is left %s", got)
	}
}

func TestAuditRefused(t *testing.T) {
	s := newService(t)
	k := s.alice()
	s.refuses(t, []refusal{
		{"no such user", "GET", "/v2/users/zoe/audit", "", manage.CodeNotFound, "user_id", "no such user"},
		{"no time", "GET", "/v2/audit?since=yesterday", "", manage.CodeInvalid, "since", "RFC 3339"},
		{"an eaten plus", "GET", "/v2/audit?until=2030-01-01T00:00:00+01:00", "", manage.CodeInvalid, "until", "%2B"},
		{"twice", "GET", "/v2/audit?key_id=a&key_id=b", "", manage.CodeInvalid, "key_id", "once"},
		{"empty", "GET", "/v2/audit?app_id=", "", manage.CodeInvalid, "app_id", "not empty"},
		{"no user's id", "GET", "/v2/audit?user_id=a%00", "", manage.CodeInvalid, "user_id", "id"},
		{"a whole credential", "GET", "/v2/audit?key_id=" + k.ID, "", manage.CodeInvalid, "key_id", "logs"},
		{"a bad page", "GET", "/v2/audit?per_page=0", "", manage.CodeInvalid, "per_page", "one number"},
	})
	for _, path := range []string{"/v2/audit", "/v2/audit/verify"} {
		if a := s.callAs(s.signedIn("alice"), "GET", path, ""); a.Status.Code != manage.CodeNotFound {
			t.Errorf("a user gets at %s: %s", path, a.body)
		}
	}
}

// A page looks at so many entries and no more; by next all are found.
func TestAuditPagesAreBounded(t *testing.T) {
	s := newService(t)
	s.alice()
	const n = 21_000
	err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		for i := range n {
			if _, err := tx.ChangeApp(keys.AppRef{OwnerID: "alice", AppID: "photos"}, func(a *keys.App) error {
				a.Name = fmt.Sprint(i)
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.must("POST", "/v2/users/alice/apps", `{"apps":[{"id":"maps"}]}`)
	pages, after := 0, ""
	var found []string
	for {
		a := s.must("GET", "/v2/users/alice/audit?action=app.create"+after, "")
		pages++
		for _, e := range a.Entries {
			found = append(found, e.AppID)
		}
		if a.Next == "" {
			break
		}
		after = "&after=" + a.Next
	}
	if !slices.Equal(found, []string{"photos", "maps"}) || pages != 3 {
		t.Errorf("found %v on %d pages", found, pages)
	}
	s.refuses(t, []refusal{
		{"a deep page", "GET", "/v2/audit?page=2&per_page=1&action=app.create", "", manage.CodeInvalid, "page", "after"},
	})
	last := s.must("GET", "/v2/users/alice/audit?per_page=1000&since="+url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339)), "")
	if len(last.Entries) != 1000 {
		t.Errorf("answered %d", len(last.Entries))
	}
}

func TestVerifyAudit(t *testing.T) {
	s := newService(t)
	if v := s.must("GET", "/v2/audit/verify", "").Verification; !v.Whole || v.Entries != 0 || v.FirstAt != nil {
		t.Errorf("of an empty log: %+v", v)
	}
	s.alice()
	entries := s.must("GET", "/v2/audit", "").Entries
	v := s.must("GET", "/v2/audit/verify", "").Verification
	last := entries[len(entries)-1]
	if !v.Whole || v.Entries != uint64(len(entries)) || v.Last != last.Seq || v.First != 1 || v.Hash != last.Hash ||
		!v.FirstAt.Equal(entries[0].At) || !v.LastAt.Equal(last.At) {
		t.Errorf("verified as %+v", v)
	}
}

// brokenLog shows the log as one who can write the file would leave it.
type brokenLog struct{ keys.Store }

type brokenReader struct{ keys.Reader }

func (s brokenLog) View(ctx context.Context, fn func(keys.Reader) error) error {
	return s.Store.View(ctx, func(r keys.Reader) error { return fn(brokenReader{r}) })
}

func (r brokenReader) AuditEntries(user string, after uint64) iter.Seq2[keys.AuditEntry, error] {
	return func(yield func(keys.AuditEntry, error) bool) {
		for e, err := range r.Reader.AuditEntries(user, after) {
			if e.Seq == 2 {
				e.ActorID, e.After = "cap_somebodyelse", []byte("\x00not JSON")
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestVerifyAlteredAudit(t *testing.T) {
	s := serviceOver(t, brokenLog{openStore(t)})
	s.alice()
	v := s.must("GET", "/v2/audit/verify", "").Verification
	if v.Whole || !strings.Contains(v.Broken, "entry 2 is not as it was written") {
		t.Errorf("verified as %+v", v)
	}
	// It is shown all the same.
	if list := s.must("GET", "/v2/audit", "").Entries; len(list) != 3 || list[1].ActorID != "cap_somebodyelse" {
		t.Errorf("listed %+v", list)
	}
}
