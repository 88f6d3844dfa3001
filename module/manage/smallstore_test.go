package manage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// A store that writes little at once takes long revocations in steps, and
// refuses what would have to be done at once.
func TestSmallStore(t *testing.T) {
	s := serviceOver(t, keystest.Small(openStore(t)))
	s.alice()
	var leaked []string
	for range 6 {
		one := `{"type":"personal_access_token","scopes":["All"],"endpoints":[]}`
		for _, k := range s.must("POST", "/v2/users/alice/keys", `{"keys":[`+strings.Repeat(one+",", 4)+one+`]}`).Keys {
			leaked = append(leaked, k.KeyID)
		}
	}
	keys := `{"sha256":"` + sum("0") + `","user_id":"alice","type":"personal_access_token","scopes":[]}`
	for n := range 40 {
		keys += `,{"sha256":"` + sum(fmt.Sprint("key ", n)) + `","user_id":"alice","type":"personal_access_token","scopes":[]}`
	}
	if a := s.call("POST", importPath, `{"keys":[`+keys+`]}`); a.Status.Code != manage.CodeTooLarge {
		t.Errorf("to import more keys than one change can write answered %s", a.body)
	}
	kept := s.left()
	refused := s.call("DELETE", "/v2/users/alice/keys", `{"ids":["`+strings.Join(leaked, `","`)+`"]}`)
	if refused.Status.Code != manage.CodeTooLarge || !strings.Contains(refused.Status.Details, "several requests") {
		t.Errorf("to revoke %d keys at once answered %s", len(leaked), refused.body)
	}
	if got := s.left(); !slices.Equal(got, kept) {
		t.Errorf("a refused call left %d keys of %d", len(got), len(kept))
	}
	if done := s.must("POST", revoke, `{"all":true}`); *done.Count != len(kept) || len(s.left()) != 0 {
		t.Errorf("of %d keys %d were revoked, and %d are left", len(kept), *done.Count, len(s.left()))
	}

	var signedIn []string
	for range 20 {
		signedIn = append(signedIn, s.signedIn("alice").KeyID)
	}
	slices.Sort(signedIn)
	ended := s.must("DELETE", "/v2/users/alice/sessions", "").SessionIDs
	if slices.Sort(ended); !slices.Equal(ended, signedIn) {
		t.Errorf("ended %d sessions of %d: %s", len(ended), len(signedIn), fmt.Sprint(ended))
	}
	if len(s.failures) > 0 {
		t.Errorf("the log was told %v", s.failures)
	}
}
