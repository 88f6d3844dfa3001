package manage_test

import (
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// A user who has as many keys or apps as they may is told so, and goes on once
// one is gone. The operator isn't bounded.
func TestMaximumsOfAUser(t *testing.T) {
	s := newService(t)
	s.alice() // an app and its key
	alice := s.signedIn("alice")
	s.api.Directory.SetMaximums(keys.Maximums{Keys: 3, Apps: 2})
	const pat = `{"keys":[{"type":"personal_access_token","scopes":[]}]}`
	made := s.mustAs(alice, "POST", "/v2/users/alice/keys", pat).Keys[0]
	refused := func(name, path, field, body, says string) {
		t.Helper()
		s.refusesTo(t, alice, []refusal{{name, "POST", path, body, manage.CodeLimit, field, says}})
	}
	refused("two, and room for one", "/v2/users/alice/keys", "keys[1]", `{"keys":[{"type":"personal_access_token","scopes":[]},{"type":"personal_access_token","scopes":[]}]}`, "has 3 keys, which is the most; revoke or delete")
	s.mustAs(alice, "POST", "/v2/users/alice/keys", pat)
	refused("one too many", "/v2/users/alice/keys", "keys[0]", pat, "has 3 keys")
	rotate := "/v2/users/alice/keys/" + made.KeyID + "/rotate"
	s.refusesTo(t, alice, []refusal{
		{"one more by rotating", "POST", rotate, `{"grace":"1h"}`, manage.CodeLimit, "", "has 3 keys"},
		{"the key of an app", "POST", "/v2/users/alice/apps", `{"apps":[{"id":"second"}]}`, manage.CodeLimit, "apps[0]", "has 3 keys"},
	})
	next := s.mustAs(alice, "POST", rotate, ``).Key // in the place of the other
	for range 3 {
		s.must("POST", "/v2/users/alice/keys", pat)
	}
	s.mustAs(alice, "POST", revoke, `{"all":true}`)
	s.mustAs(alice, "POST", "/v2/users/alice/apps", `{"apps":[{"id":"second"}]}`)
	s.refusesTo(t, alice, []refusal{
		{"an app too many", "POST", "/v2/users/alice/apps", `{"apps":[{"id":"third"}]}`, manage.CodeLimit, "apps[0]", "has 2 apps, which is the most"},
	})
	s.mustAs(alice, "DELETE", "/v2/users/alice/apps/second", "")
	s.mustAs(alice, "POST", "/v2/users/alice/apps", `{"apps":[{"id":"third"}]}`)
	s.api.Directory.SetMaximums(keys.Maximums{})
	for i := range 5 {
		s.mustAs(alice, "POST", "/v2/users/alice/apps", fmt.Sprintf(`{"apps":[{"id":"more-%d"}]}`, i))
	}
	if next.KeyID == made.KeyID {
		t.Error("rotated to itself")
	}
}
