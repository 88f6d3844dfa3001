package portal

import (
	"encoding/json"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// A change that takes a limit away is in the list, because it grants more.
func TestChangesInWords(t *testing.T) {
	for name, c := range map[string]struct{ action, before, after, want string }{
		"a plan is given":        {"user.change", `{}`, `{"plan":"pro"}`, "plan: pro"},
		"another plan":           {"app.change", `{"plan":"pro"}`, `{"plan":"free"}`, "plan: pro → free"},
		"a plan is taken":        {"user.change", `{"plan":"pro"}`, `{}`, "plan: pro → none"},
		"the role is taken":      {"user.change", `{"operator":true}`, `{}`, "operator: yes → no"},
		"limits are taken":       {"key.change", `{"limits":{"rate":"10/s","concurrent":3}}`, `{}`, "limits: concurrent 3, rate 10/s → none"},
		"resources are changed":  {"key.change", `{"resources":{"model":["a"]}}`, `{"resources":{"model":["a","b"]}}`, "resources: model a → model a, b"},
		"a key is revoked":       {"key.revoke", `{"plan":"pro"}`, `{"reason":"leaked"}`, "reason: leaked"},
		"a record is made":       {"key.create", ``, `{"plan":"pro"}`, ""},
		"a key with no reason":   {"key.revoke", `{"plan":"pro"}`, `{"reason":"revoked"}`, ""},
		"an account is disabled": {"user.change", `{"suspended":false}`, `{"suspended":true}`, "suspended: no → yes"},
	} {
		e := manage.AuditEntry{Action: c.action, Before: json.RawMessage(c.before), After: json.RawMessage(c.after)}
		if got := changes(e); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
