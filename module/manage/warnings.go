package manage

import (
	"fmt"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// warnings explains why the gate will refuse new keys, with one clause for each
// useless key.
func (r *request) warnings(from keys.Reader, made ...keys.Credential) (string, error) {
	var all []string
	for i := range made {
		c := &made[i]
		u, err := from.User(c.UserID)
		if err != nil {
			return "", err
		}
		switch grant := policy.NewGrant(c.Scopes, c.Endpoints); {
		case u.Suspended:
			all = append(all, fmt.Sprintf("the key %s is refused, because its user is suspended", c.ID))
		case c.Disabled:
			all = append(all, fmt.Sprintf("the key %s is refused, because it is disabled: enable it to use it", c.ID))
		case r.api.Catalogue != nil && r.api.Catalogue.Useless(c.Kind, &grant):
			all = append(all, fmt.Sprintf("the key %s can call nothing: no route needs only the scopes and endpoints that it has", c.ID))
		}
	}
	return strings.Join(all, "; "), nil
}
