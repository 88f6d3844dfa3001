package manage_test

import (
	"fmt"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// Common passwords, and those made of the user's own names, are refused by every
// call that sets one, with the remedy.
func TestCommonPasswordsAreRefusedEverywhere(t *testing.T) {
	withAccounts(t, func(t *testing.T, s *service) {
		const remedy = "use several unrelated words"
		refused(t, s.call("POST", "/v2/users", `{"users":[{"id":"carla","password":"Welcome2024!"}]}`), manage.CodeInvalid, "users[0].password", remedy)
		refused(t, s.call("POST", "/v2/users", `{"users":[{"id":"carla","email":"lovelace@example.com","password":"lovelace1815"}]}`), manage.CodeInvalid, "users[0].password", remedy)
		refused(t, s.call("PATCH", "/v2/users/alice", `{"user":{"password":"alice!example"}}`), manage.CodeInvalid, "user.password", remedy)
		session := s.session()
		refused(t, s.callAs(session, "POST", "/v2/users/me/password", fmt.Sprintf(`{"current_password":%q,"password":"qwerty123456"}`, password)), manage.CodeInvalid, "password", remedy)
		refused(t, s.callAs(session, "POST", "/v2/users/me/password", fmt.Sprintf(`{"current_password":%q,"password":"alice-2024"}`, password)), manage.CodeInvalid, "password", remedy)
	})
}
