package manage

import (
	"slices"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// call is one of the calls that the API answers.
type call struct {
	method, pattern string
	serve           func(*request) (*Answer, error)
}

// calls are those about one user's things.
var calls = []call{
	{"GET", "/v2/users/{user_id}", (*request).getUser},

	{"GET", "/v2/users/{user_id}/apps", (*request).listApps},
	{"POST", "/v2/users/{user_id}/apps", (*request).createApps},
	{"GET", "/v2/users/{user_id}/apps/{app_id}", (*request).getApp},
	{"PATCH", "/v2/users/{user_id}/apps/{app_id}", (*request).changeApp},
	{"DELETE", "/v2/users/{user_id}/apps/{app_id}", (*request).deleteApp},

	{"GET", "/v2/users/{user_id}/keys", (*request).listKeys},
	{"POST", "/v2/users/{user_id}/keys", (*request).createKeys},
	{"PATCH", "/v2/users/{user_id}/keys", (*request).changeKeys},
	{"DELETE", "/v2/users/{user_id}/keys", (*request).revokeKeys},
	{"GET", "/v2/users/{user_id}/keys/{key_id}", (*request).getKey},
	{"DELETE", "/v2/users/{user_id}/keys/{key_id}", (*request).revokeKey},
	{"POST", "/v2/users/{user_id}/keys/{key_id}/rotate", (*request).rotateKey},
	{"GET", "/v2/users/{user_id}/apps/{app_id}/keys", (*request).listAppKeys},

	{"GET", "/v2/users/{user_id}/scopes", (*request).listScopes},
}

// operatorCalls are those that only the operator has: about all users, and
// about keys whosever they are.
var operatorCalls = []call{
	{"GET", "/health", (*request).getHealth},
	{"POST", "/routes/explain", (*request).explainRoute},

	{"GET", "/v2/users", (*request).listUsers},
	{"POST", "/v2/users", (*request).createUsers},
	{"PATCH", "/v2/users", (*request).changeUsers},
	{"DELETE", "/v2/users", (*request).deleteUsers},
	{"PATCH", "/v2/users/{user_id}", (*request).changeUser},
	{"DELETE", "/v2/users/{user_id}", (*request).deleteUser},

	{"PATCH", "/v2/keys", (*request).changeKeys},
	{"DELETE", "/v2/keys", (*request).revokeKeys},
	{"POST", "/v2/keys/verify", (*request).verifyKey},
	{"GET", "/v2/keys/{key_id}", (*request).getKey},
	{"DELETE", "/v2/keys/{key_id}", (*request).revokeKey},
	{"POST", "/v2/keys/{key_id}/rotate", (*request).rotateKey},
}

// operatorTable finds the call that the operator addresses.
var operatorTable = tableOf(slices.Concat(calls, operatorCalls))

// serving is what serves each call, by method and pattern.
var serving = func() map[string]func(*request) (*Answer, error) {
	m := map[string]func(*request) (*Answer, error){}
	for _, c := range slices.Concat(calls, operatorCalls) {
		m[c.method+" "+c.pattern] = c.serve
	}
	return m
}()

func tableOf(list []call) *policy.Table {
	routes := make([]policy.Route, len(list))
	for i, c := range list {
		routes[i] = policy.Route{Method: c.method, Pattern: c.pattern}
	}
	table, err := policy.NewTable(routes, "user_id", "app_id")
	if err != nil {
		panic(err) // only of a mistake in the lists above
	}
	return table
}
