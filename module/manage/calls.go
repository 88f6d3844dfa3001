package manage

import (
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// call is one of the calls that the API answers.
type call struct {
	method, pattern string
	serve           func(*request) (*Answer, error)
	// demand is what a caller on a site needs; the operator needs nothing.
	demand demand
}

// demand is what a call asks of a credential. It is that of Clarifai's own
// description where that has the call.
type demand struct {
	// scopes are those that have to be granted, separated by spaces.
	scopes string
	// endpoint is the call's name among those of [service]; empty where
	// Clarifai has none.
	endpoint string
	// accept are the kinds of credential that may call: [tokens] unless it
	// says otherwise.
	accept []string
	// owner says that collaborators of an app can't call: it is its owner's
	// alone.
	owner bool
}

// service is the prefix of Clarifai's names of endpoints.
const service = "/clarifai.api.V2/"

var (
	tokens   = []string{"pat", "session"}
	anyKey   = []string{"app_key", "pat", "session"}
	sessions = []string{"session"}
	public   = []string{"public"}
)

// calls are those about one user's things.
var calls = []call{
	{"GET", "/v2/users/{user_id}", (*request).getUser, demand{endpoint: "GetUser"}},

	{"GET", "/v2/users/{user_id}/apps", (*request).listApps, demand{scopes: "Apps:Get Workflows:Get", endpoint: "ListApps"}},
	{"POST", "/v2/users/{user_id}/apps", (*request).createApps, demand{scopes: "Apps:Add Apps:Get Models:Get Workflows:Add Workflows:Get", endpoint: "PostApps"}},
	{"GET", "/v2/users/{user_id}/apps/{app_id}", (*request).getApp, demand{scopes: "Apps:Get Workflows:Get", endpoint: "GetApp", accept: anyKey}},
	{"PATCH", "/v2/users/{user_id}/apps/{app_id}", (*request).changeApp, demand{scopes: "Apps:Add Apps:Get", endpoint: "PatchApp", owner: true}},
	{"DELETE", "/v2/users/{user_id}/apps/{app_id}", (*request).deleteApp, demand{scopes: "Apps:Add Apps:Delete Apps:Get Workflows:Get", endpoint: "DeleteApp", owner: true}},

	{"GET", "/v2/users/{user_id}/keys", (*request).listKeys, demand{scopes: "Keys:Get", endpoint: "ListKeys"}},
	{"POST", "/v2/users/{user_id}/keys", (*request).createKeys, demand{scopes: "Apps:Get Keys:Add Keys:Get", endpoint: "PostKeys"}},
	{"PATCH", "/v2/users/{user_id}/keys", (*request).changeKeys, demand{scopes: "Keys:Add Keys:Get", endpoint: "PatchKeys"}},
	{"DELETE", "/v2/users/{user_id}/keys", (*request).revokeKeys, demand{scopes: "Keys:Add Keys:Delete Keys:Get", endpoint: "DeleteKey"}},
	{"GET", "/v2/users/{user_id}/keys/{key_id}", (*request).getKey, demand{scopes: "Keys:Get", endpoint: "GetKey"}},
	{"DELETE", "/v2/users/{user_id}/keys/{key_id}", (*request).revokeKey, demand{scopes: "Keys:Add Keys:Delete Keys:Get", endpoint: "DeleteKey"}},
	{"POST", "/v2/users/{user_id}/keys/{key_id}/rotate", (*request).rotateKey, demand{scopes: "Keys:Add Keys:Delete Keys:Get"}},
	{"GET", "/v2/users/{user_id}/apps/{app_id}/keys", (*request).listAppKeys, demand{scopes: "Apps:Get Keys:Get", endpoint: "ListAppKeys", owner: true}},

	{"POST", "/v2/login", (*request).login, demand{accept: public}},
	{"POST", "/v2/logout", (*request).logout, demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/password", (*request).changePassword, demand{accept: sessions}},
	{"GET", "/v2/users/{user_id}/sessions", (*request).listSessions, demand{accept: sessions}},
	{"DELETE", "/v2/users/{user_id}/sessions", (*request).endSessions, demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/two_factor", (*request).createTwoFactor, demand{accept: sessions}},
	{"DELETE", "/v2/users/{user_id}/two_factor", (*request).deleteTwoFactor, demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/two_factor/enable", (*request).enableTwoFactor, demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/two_factor/recovery_codes", (*request).renewRecoveryCodes, demand{accept: sessions}},

	{"POST", "/v2/users/{user_id}/keys/revoke", (*request).revokeMany, demand{scopes: "Keys:Add Keys:Delete Keys:Get"}},

	{"GET", "/v2/users/{user_id}/apps/{app_id}/collaborators", (*request).listCollaborators, demand{scopes: "Apps:Get Collaborators:Get", endpoint: "ListCollaborators", accept: anyKey}},
	{"POST", "/v2/users/{user_id}/apps/{app_id}/collaborators", (*request).addCollaborators, demand{scopes: "Apps:Get Collaborators:Add Collaborators:Get", endpoint: "PostCollaborators", accept: anyKey, owner: true}},
	{"PATCH", "/v2/users/{user_id}/apps/{app_id}/collaborators", (*request).changeCollaborators, demand{scopes: "Apps:Get Collaborators:Add Collaborators:Delete Collaborators:Get", endpoint: "PatchCollaborators", accept: anyKey, owner: true}},
	{"DELETE", "/v2/users/{user_id}/apps/{app_id}/collaborators", (*request).removeCollaborators, demand{scopes: "Apps:Get Collaborators:Add Collaborators:Delete Collaborators:Get", endpoint: "DeleteCollaborators", accept: anyKey, owner: true}},
	{"GET", "/v2/users/{user_id}/collaborations", (*request).listCollaborations, demand{scopes: "Apps:Get Collaborators:Get", endpoint: "ListCollaborations"}},

	{"GET", "/v2/users/{user_id}/audit", (*request).listAudit, demand{scopes: "AuditLogs:Get"}},

	{"GET", "/v2/myscopes", (*request).getMyScopes, demand{endpoint: "MyScopes", accept: anyKey}},
	{"GET", "/v2/users/{user_id}/myscopes", (*request).getMyScopes, demand{endpoint: "MyScopesUser"}},
	{"GET", "/v2/users/{user_id}/apps/{app_id}/myscopes", (*request).getMyScopes, demand{endpoint: "MyScopes", accept: anyKey}},
	{"GET", "/v2/status_codes", (*request).listStatusCodes, demand{endpoint: "ListStatusCodes", accept: public}},
	{"GET", "/v2/status_codes/{status_code_id}", (*request).getStatusCode, demand{endpoint: "GetStatusCode", accept: public}},
	{"GET", "/v2/users/{user_id}/scopes", (*request).listScopes, demand{endpoint: "ListScopes", accept: sessions}},
}

// operatorCalls are those that only the operator has: about all users, and
// about keys whosever they are.
var operatorCalls = []call{
	{"GET", "/health", (*request).getHealth, demand{}},
	{"POST", "/routes/explain", (*request).explainRoute, demand{}},
	{"POST", "/keys/import", (*request).importKeys, demand{}},

	{"GET", "/store/backup", (*request).backUpStore, demand{}},
	{"GET", "/store/check", (*request).checkStore, demand{}},
	{"GET", "/store/stats", (*request).countStore, demand{}},
	{"POST", "/store/clock", (*request).acceptClock, demand{}},

	{"GET", "/v2/audit", (*request).listAudit, demand{}},
	{"GET", "/v2/audit/verify", (*request).verifyAudit, demand{}},

	{"GET", "/v2/users", (*request).listUsers, demand{}},
	{"POST", "/v2/users", (*request).createUsers, demand{}},
	{"PATCH", "/v2/users", (*request).changeUsers, demand{}},
	{"DELETE", "/v2/users", (*request).deleteUsers, demand{}},
	{"PATCH", "/v2/users/{user_id}", (*request).changeUser, demand{}},
	{"DELETE", "/v2/users/{user_id}", (*request).deleteUser, demand{}},

	{"PATCH", "/v2/keys", (*request).changeKeys, demand{}},
	{"POST", "/v2/keys/revoke", (*request).revokeMany, demand{}},
	{"DELETE", "/v2/keys", (*request).revokeKeys, demand{}},
	{"POST", "/v2/keys/verify", (*request).verifyKey, demand{}},
	{"GET", "/v2/keys/{key_id}", (*request).getKey, demand{}},
	{"DELETE", "/v2/keys/{key_id}", (*request).revokeKey, demand{}},
	{"POST", "/v2/keys/{key_id}/rotate", (*request).rotateKey, demand{}},
}

// siteTable finds the call that a caller on a site addresses, and
// operatorTable the one that the operator does.
var (
	siteTable     = tableOf(calls)
	operatorTable = tableOf(slices.Concat(calls, operatorCalls))
)

// serving is what serves each call, by method and pattern.
var serving = func() map[string]call {
	m := map[string]call{}
	for _, c := range slices.Concat(calls, operatorCalls) {
		m[c.method+" "+c.pattern] = c
	}
	return m
}()

func tableOf(list []call) *policy.Table {
	table, err := policy.NewTable(routesOf(list), "user_id", "app_id")
	if err != nil {
		panic(err) // only of a mistake in the lists above
	}
	return table
}

func routesOf(list []call) []policy.Route {
	routes := make([]policy.Route, len(list))
	for i, c := range list {
		routes[i] = policy.Route{Method: c.method, Pattern: c.pattern, Scopes: strings.Fields(c.demand.scopes), Accept: c.demand.accept}
		if c.demand.accept == nil {
			routes[i].Accept = tokens
		}
		if c.demand.endpoint != "" {
			routes[i].Endpoint = []string{service + c.demand.endpoint}
		}
	}
	return routes
}

// Routes are the calls that a site answers, with what each asks of a
// credential. Their paths begin with /v2.
func Routes() []policy.Route { return routesOf(calls) }

// OwnerOnly says of one of [Routes] that a collaborator can't call it, whatever
// the invitation grants.
func OwnerOnly(r policy.Route) bool { return serving[r.String()].demand.owner }
