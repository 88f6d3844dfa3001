package manage_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const revoke = "/v2/users/alice/keys/revoke"

// left are the key IDs of alice's keys.
func (s *service) left() []string {
	s.t.Helper()
	var ids []string
	for _, k := range s.must("GET", "/v2/users/alice/keys?per_page=1000", "").Keys {
		ids = append(ids, k.KeyID)
	}
	return ids
}

func TestRevokeMany(t *testing.T) {
	for _, c := range []struct {
		name string
		body string
		want string // the names of the keys that are revoked
	}{
		{"all", `{"all":true}`, "first app leaked child mine grandchild other"},
		{"an app's", `{"app_id":"photos"}`, "first app"},
		{"before a time", `{"created_before":"2200-01-01T00:00:00Z"}`, "first app leaked child mine grandchild other"},
		{"before there was any", `{"created_before":"2001-01-01T00:00:00Z"}`, ""},
		{"minted by, through others", `{"minted_by":"LEAKED"}`, "child grandchild"},
		{"minted by, by its whole text", `{"minted_by":"WHOLE"}`, "child grandchild"},
		{"minted by one below", `{"minted_by":"CHILD"}`, "grandchild"},
		{"minted by a session", `{"minted_by":"SESSION"}`, "app leaked child mine grandchild"},
		{"minted by one that minted none", `{"minted_by":"MINE"}`, ""},
		{"minted by one that never was", `{"minted_by":"cap_000000000000"}`, ""},
		{"both", `{"minted_by":"SESSION","app_id":"photos"}`, "app"},
		{"null limits nothing", `{"minted_by":"LEAKED","app_id":null,"created_before":null,"all":false}`, "child grandchild"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			first := s.alice()
			session := s.signedIn("alice")
			names := map[string]string{first.KeyID: "first"}
			pat := func(as manage.Caller, name string) manage.Key {
				k := s.pat(as, "alice", `["All"]`, "")
				names[k.KeyID] = name
				return k
			}
			app := s.mustAs(session, "POST", "/v2/users/alice/keys", `{"keys":[{"scopes":["All"],"apps":[{"id":"photos"}]}]}`).Keys[0]
			names[app.KeyID] = "app"
			leaked := pat(session, "leaked")
			child := pat(s.with(leaked.ID), "child")
			mine := pat(session, "mine")
			pat(s.with(child.ID), "grandchild")
			pat(operator, "other")

			put := strings.NewReplacer("LEAKED", leaked.KeyID, "WHOLE", leaked.ID, "CHILD", child.KeyID, "MINE", mine.KeyID, "SESSION", session.KeyID)
			a := s.mustAs(session, "POST", revoke, put.Replace(c.body))
			var got []string
			for _, id := range a.KeyIDs {
				got = append(got, names[id])
				delete(names, id)
			}
			if strings.Join(got, " ") != c.want || a.Count == nil || *a.Count != len(got) {
				t.Errorf("revoked %v, count %v, want %s", got, a.Count, c.want)
			}
			for _, id := range s.left() {
				if names[id] == "" {
					t.Errorf("%s is still there", id)
				}
				delete(names, id)
			}
			if len(names) != 0 {
				t.Errorf("gone as well are %v", names)
			}
			// Sessions are no keys.
			s.mustAs(session, "GET", "/v2/users/alice/keys", "")
		})
	}
}

// A leaked token covers its traces: what stands between is revoked, or put in
// another's place, before the owner comes.
func TestRevokeWhatTheRevokedMinted(t *testing.T) {
	s := newService(t)
	s.alice()
	session := s.signedIn("alice")
	leaked := s.pat(session, "alice", `["All"]`, "")
	second := s.pat(s.with(leaked.ID), "alice", `["All"]`, "")
	third := s.pat(s.with(second.ID), "alice", `["All"]`, "")
	fourth := s.mustAs(s.with(third.ID), "POST", "/v2/users/alice/keys/"+third.KeyID+"/rotate", "").Key
	s.mustAs(s.with(fourth.ID), "DELETE", "/v2/users/alice/keys", fmt.Sprintf(`{"ids":[%q]}`, second.KeyID))
	s.mustAs(session, "DELETE", "/v2/users/alice/keys/"+leaked.KeyID, "")
	if a := s.mustAs(session, "POST", revoke, fmt.Sprintf(`{"minted_by":%q}`, leaked.ID)); !slices.Equal(a.KeyIDs, []string{fourth.KeyID}) {
		t.Errorf("revoked %v, want %s", a.KeyIDs, fourth.KeyID)
	}
}

// The credential of the call is one of the keys.
func TestRevokeManyWithOneOfThem(t *testing.T) {
	s := newService(t)
	s.alice()
	pat := s.pat(operator, "alice", `["All"]`, "")
	caller := s.with(pat.ID)
	if a := s.mustAs(caller, "POST", revoke, `{"all":true}`); !slices.Contains(a.KeyIDs, pat.KeyID) {
		t.Errorf("revoked %v, without %s", a.KeyIDs, pat.KeyID)
	}
	s.refusesTo(t, caller, []refusal{
		{"again", "POST", revoke, `{"all":true}`, manage.CodeKeyUnknown, "", "revoked during the call"},
	})
}

func TestRevokeManyRefused(t *testing.T) {
	s := friends(t)
	s.must("POST", "/v2/users/bob/apps", `{"apps":[{"id":"maps"}]}`)
	before := s.left()
	unknown, _ := credential.Mint("ca", policy.PAT)
	table := []refusal{
		{"nothing", "POST", revoke, ``, manage.CodeBadFormat, "", "empty"},
		{"an empty object", "POST", revoke, `{}`, manage.CodeInvalid, "", "select keys by"},
		{"all false", "POST", revoke, `{"all":false}`, manage.CodeInvalid, "", "select keys by"},
		{"all null", "POST", revoke, `{"all":null}`, manage.CodeInvalid, "all", "true or false"},
		{"empty texts", "POST", revoke, `{"app_id":"","minted_by":""}`, manage.CodeInvalid, "", "select keys by"},
		{"all, and less", "POST", revoke, `{"all":true,"app_id":"photos"}`, manage.CodeInvalid, "all", "leave out either"},
		{"a slip", "POST", revoke, `{"all":true,"app":"photos"}`, manage.CodeInvalid, "app", "no such field"},
		{"no such app", "POST", revoke, `{"app_id":"nope"}`, manage.CodeNotFound, "app_id", "no such app"},
		{"someone else's app", "POST", revoke, `{"app_id":"maps"}`, manage.CodeNotFound, "app_id", "no such app"},
		{"no time", "POST", revoke, `{"created_before":"yesterday"}`, manage.CodeInvalid, "created_before", "RFC 3339"},
		{"no id", "POST", revoke, `{"minted_by":"somebody"}`, manage.CodeInvalid, "minted_by", "key ID"},
		{"a credential that is not known", "POST", revoke, `{"minted_by":"` + unknown + `"}`, manage.CodeInvalid, "minted_by", "key ID"},
		{"no such user", "POST", "/v2/users/zoe/keys/revoke", `{"all":true}`, manage.CodeNotFound, "user_id", "no such user"},
	}
	s.refuses(t, table)
	if !slices.Equal(s.left(), before) {
		t.Errorf("of %v are left %v", before, s.left())
	}
}

// Another user's keys stay, with any minter.
func TestRevokeManyOfOneUser(t *testing.T) {
	s := friends(t)
	bob := s.pat(operator, "bob", `["All"]`, "")
	s.must("POST", revoke, `{"all":true}`)
	if got := s.standing(bob.ID); got != manage.StandingActive {
		t.Errorf("bob's key is %s", got)
	}
}

// Callers learn of a revoked credential only if it was their own.
func TestRevokeTheRevokedOfAnother(t *testing.T) {
	s := friends(t)
	k := s.pat(operator, "bob", `["All"]`, "")
	s.must("DELETE", "/v2/users/bob/keys", fmt.Sprintf(`{"ids":[%q]}`, k.ID))
	body := fmt.Sprintf(`{"ids":[%q]}`, k.ID)
	table := []refusal{{"alice", "DELETE", "/v2/users/alice/keys", body, manage.CodeNotFound, "ids[0]", "no such key"}}
	s.refuses(t, table)
	s.refusesTo(t, s.signedIn("alice"), table)
	for _, path := range []string{"/v2/users/bob/keys", "/v2/keys"} {
		if a := s.must("DELETE", path, body); !slices.Equal(a.KeyIDs, []string{k.KeyID}) {
			t.Errorf("%s answered %s", path, a.body)
		}
	}
}

func TestRevokeTenThousand(t *testing.T) {
	s := newService(t)
	s.alice()
	const n = 10_050
	var digests []credential.Digest
	err := s.api.Directory.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		for range n {
			text, id := credential.Mint("ca", policy.PAT)
			digests = append(digests, credential.DigestOf(text))
			if _, err := tx.CreateCredential(keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice", Scopes: []string{"All"}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := s.must("POST", revoke, `{"all":true}`)
	if *a.Count != n+1 || len(a.KeyIDs) != 10_000 {
		t.Errorf("revoked %d, and named %d", *a.Count, len(a.KeyIDs))
	}
	for _, digest := range digests {
		e, err := s.api.Directory.Find(t.Context(), digest)
		if err != nil || e.Exists() {
			t.Fatalf("a key is still known (%v)", err)
		}
	}
	if got := s.left(); len(got) != 0 {
		t.Errorf("left are %v", got)
	}
}

// meanwhile is a store in which something happens after every View.
type meanwhile struct {
	keys.Store
	busy sync.Mutex
	then func()
}

func (m *meanwhile) View(ctx context.Context, fn func(keys.Reader) error) error {
	err := m.Store.View(ctx, fn)
	if m.busy.TryLock() {
		defer m.busy.Unlock()
		m.then()
	}
	return err
}

// A leaked token's line makes another key after every look for it. However
// fast it is, none is left when the answer comes.
func TestRevokeWhatIsMadeBetweenLooks(t *testing.T) {
	for name, body := range map[string]string{
		"minted by":         `{"minted_by":"SESSION"}`,
		"all":               `{"all":true}`,
		"until a later day": `{"created_before":"2100-01-01T00:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			store := &meanwhile{Store: openStore(t)}
			store.busy.Lock()
			s := serviceOver(t, store)
			s.must("POST", "/v2/users", `{"users":[{"id":"alice"}]}`)
			session := s.signedIn("alice")
			leaked := s.pat(session, "alice", `["All"]`, "")
			by, made := s.with(leaked.ID), 0
			store.then = func() {
				a := s.callAs(by, "POST", "/v2/users/alice/keys", `{"keys":[{"type":"personal_access_token","scopes":["All"]}]}`)
				if a.http == http.StatusOK {
					by = s.with(a.Keys[0].ID)
					made++
				}
			}
			store.busy.Unlock()
			s.mustAs(session, "POST", revoke, strings.ReplaceAll(body, "SESSION", session.KeyID))
			store.busy.Lock()
			if made == 0 {
				t.Error("nothing was made meanwhile")
			}
			if left := s.left(); len(left) > 0 {
				t.Errorf("left are %v of %d", left, made+1)
			}
		})
	}
}
