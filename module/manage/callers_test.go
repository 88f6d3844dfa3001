package manage_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// with is the caller that holds a credential, as a site hands it over.
func (s *service) with(text string) manage.Caller {
	s.t.Helper()
	digest := credential.DigestOf(text)
	e, err := s.api.Directory.Find(s.t.Context(), digest)
	if err != nil || !e.Exists() {
		s.t.Fatalf("a credential that was just made is not known: %v", err)
	}
	return manage.Caller{Caller: *e.Caller(), Digest: digest, Address: "192.0.2.1"}
}

// signedIn is a user with a session.
func (s *service) signedIn(user string) manage.Caller {
	s.t.Helper()
	text, id := credential.Mint("ca", policy.Session)
	err := s.api.Directory.Update(s.t.Context(), keys.Actor{ID: id, UserID: user}, func(tx *keys.Tx) error {
		_, err := tx.CreateCredential(keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.Session, UserID: user})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.with(text)
}

// mustAs is must for a caller on a site.
func (s *service) mustAs(c manage.Caller, method, path, body string) response {
	s.t.Helper()
	a := s.callAs(c, method, path, body)
	if a.http != http.StatusOK || a.Status.Code != manage.CodeOK {
		s.t.Fatalf("%s %s %s answered %d %s", method, path, body, a.http, a.body)
	}
	return a
}

// pat makes a personal access token of a user's, by a caller. more are further
// fields, after a comma.
func (s *service) pat(c manage.Caller, user, scopes, more string) manage.Key {
	s.t.Helper()
	return s.mustAs(c, "POST", "/v2/users/"+user+"/keys", fmt.Sprintf(`{"keys":[{"type":"personal_access_token","scopes":%s%s}]}`, scopes, more)).Keys[0]
}

// refusesTo is refuses for a caller on a site.
func (s *service) refusesTo(t *testing.T, c manage.Caller, table []refusal) {
	t.Helper()
	for _, r := range table {
		t.Run(r.name, func(t *testing.T) {
			a := s.callAs(c, r.method, r.path, r.body)
			if a.Status.Code != r.code || a.Status.Field != r.field {
				t.Fatalf("answered %s\nwant code %d for field %q", a.body, r.code, r.field)
			}
			if !strings.Contains(a.Status.Details, r.says) || a.Status.Details == "" {
				t.Errorf("the details %q don't say %q", a.Status.Details, r.says)
			}
		})
	}
}

var operator = manage.Caller{Operator: true}
