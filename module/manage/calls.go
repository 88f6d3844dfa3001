package manage

// call is one of the calls that the API answers.
type call struct {
	method, pattern string
	// frame answers the call.
	frame frame
	// demand is what a caller on a site needs; the operator needs nothing.
	demand demand
}

// demand is what a call requires of a credential. For Clarifai's calls it follows
// Clarifai's own description.
type demand struct {
	// scopes are the required scopes, separated by spaces.
	scopes string
	// endpoint is the call's name within [service], or empty if Clarifai has no
	// such call.
	endpoint string
	// accept are the kinds of credential that may call; nil is [tokens].
	accept []string
	// owner is true if only the owner of the app may call, and no collaborator.
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

// calls are the calls of users. Each concerns one user. The operator has them too.
var calls = []call{
	{"GET", "/v2/users/{user_id}", reads((*request).getUser), demand{endpoint: "GetUser"}},

	{"GET", "/v2/users/{user_id}/apps", lists((*request).listApps), demand{scopes: "Apps:Get Workflows:Get", endpoint: "ListApps"}},
	{
		"POST", "/v2/users/{user_id}/apps",
		changes(bodyOf(listOf("apps", readApp)), (*request).createApps),
		demand{scopes: "Apps:Add Apps:Get Models:Get Workflows:Add Workflows:Get", endpoint: "PostApps"},
	},
	{"GET", "/v2/users/{user_id}/apps/{app_id}", reads((*request).getApp), demand{scopes: "Apps:Get Workflows:Get", endpoint: "GetApp", accept: anyKey}},
	{
		"PATCH", "/v2/users/{user_id}/apps/{app_id}",
		changes(bodyOf(readAppChange).then((*request).checkAppChange), (*request).changeApp),
		demand{scopes: "Apps:Add Apps:Get", endpoint: "PatchApp", owner: true},
	},
	{
		"DELETE", "/v2/users/{user_id}/apps/{app_id}",
		removes((*request).deleteApp),
		demand{scopes: "Apps:Add Apps:Delete Apps:Get Workflows:Get", endpoint: "DeleteApp", owner: true},
	},

	{
		"GET", "/v2/users/{user_id}/keys",
		readsBy(input[keySearch]{}.then((*request).readKeySearch), (*request).listKeys),
		demand{scopes: "Keys:Get", endpoint: "ListKeys"},
	},
	{
		"POST", "/v2/users/{user_id}/keys",
		changes(bodyOf(listOf("keys", readNewKey)), (*request).createKeys),
		demand{scopes: "Apps:Get Keys:Add Keys:Get", endpoint: "PostKeys"},
	},
	{
		"PATCH", "/v2/users/{user_id}/keys",
		changesBy(bodyOf(readKeyChanges), (*request).narrowsKeys, (*request).changeKeys),
		demand{scopes: "Keys:Add Keys:Get", endpoint: "PatchKeys"},
	},
	{
		"DELETE", "/v2/users/{user_id}/keys",
		changesFirst(bodyOf(readIDs), (*request).revokeKeys),
		demand{scopes: "Keys:Add Keys:Delete Keys:Get", endpoint: "DeleteKey"},
	},
	{"GET", "/v2/users/{user_id}/keys/{key_id}", reads((*request).getKey), demand{scopes: "Keys:Get", endpoint: "GetKey"}},
	{
		"GET", "/v2/users/{user_id}/keys/{key_id}/callable",
		does(input[callableQuery]{}.then((*request).readCallableQuery), (*request).listCallable),
		demand{scopes: "Keys:Get", endpoint: "GetKey"},
	},
	{
		"GET", "/v2/users/{user_id}/keys/{key_id}/activity", readsBy(input[int]{}.then((*request).readDays), (*request).getActivity),
		demand{scopes: "Keys:Get", endpoint: "GetKey"},
	},
	{"GET", "/v2/users/{user_id}/keys/{key_id}/limits", answers((*request).listLimits), demand{scopes: "Keys:Get", endpoint: "GetKey"}},
	{
		"DELETE", "/v2/users/{user_id}/keys/{key_id}",
		removes((*request).revokeKey),
		demand{scopes: "Keys:Add Keys:Delete Keys:Get", endpoint: "DeleteKey"},
	},
	{
		"POST", "/v2/users/{user_id}/keys/{key_id}/rotate",
		changesBy(optionalBodyOf(readRotation), endsNow, (*request).rotateKey),
		demand{scopes: "Keys:Add Keys:Delete Keys:Get"},
	},
	{
		"GET", "/v2/users/{user_id}/apps/{app_id}/keys",
		readsBy(input[keySearch]{}.then((*request).readKeySearch), (*request).listAppKeys),
		demand{scopes: "Apps:Get Keys:Get", endpoint: "ListAppKeys", owner: true},
	},

	{"POST", "/v2/login", usersOnly(does(bodyOf(readLogin), (*request).login)), demand{accept: public}},
	{"POST", "/v2/logout", usersOnly(removes((*request).logout)), demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/password", usersOnly(does(bodyOf(readPasswordChange), (*request).changePassword)), demand{accept: sessions}},
	{"GET", "/v2/users/{user_id}/sessions", lists((*request).listSessions), demand{accept: sessions}},
	{"DELETE", "/v2/users/{user_id}/sessions", changesFirst(optionalBodyOf(readSessionIDs), (*request).endSessions), demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/two_factor", proves((*request).createTwoFactor), demand{accept: sessions}},
	{
		"DELETE", "/v2/users/{user_id}/two_factor",
		byCaller(changes(input[nothing]{}, alone((*request).deleteTwoFactor)), proves((*request).deleteTwoFactor)),
		demand{accept: sessions},
	},
	{"POST", "/v2/users/{user_id}/two_factor/enable", usersOnly(does(bodyOf(readCode), (*request).enableTwoFactor)), demand{accept: sessions}},
	{"POST", "/v2/users/{user_id}/two_factor/recovery_codes", proves((*request).renewRecoveryCodes), demand{accept: sessions}},

	{"POST", "/v2/users/{user_id}/keys/revoke", does(bodyOf(readRevocation), (*request).revokeMany), demand{scopes: "Keys:Add Keys:Delete Keys:Get"}},

	{
		"GET", "/v2/users/{user_id}/apps/{app_id}/collaborators",
		lists((*request).listCollaborators),
		demand{scopes: "Apps:Get Collaborators:Get", endpoint: "ListCollaborators", accept: anyKey},
	},
	{
		"POST", "/v2/users/{user_id}/apps/{app_id}/collaborators",
		changes(bodyOf(listOf("collaborators", readNewCollaborator)), (*request).addCollaborators),
		demand{scopes: "Apps:Get Collaborators:Add Collaborators:Get", endpoint: "PostCollaborators", accept: anyKey, owner: true},
	},
	{
		"PATCH", "/v2/users/{user_id}/apps/{app_id}/collaborators",
		changesBy(bodyOf(readCollaboratorChanges), (*request).narrowsCollaborators, (*request).changeCollaborators),
		demand{scopes: "Apps:Get Collaborators:Add Collaborators:Delete Collaborators:Get", endpoint: "PatchCollaborators", accept: anyKey, owner: true},
	},
	{
		"DELETE", "/v2/users/{user_id}/apps/{app_id}/collaborators",
		changesFirst(bodyOf(readCollaboratorIDs), (*request).removeCollaborators),
		demand{scopes: "Apps:Get Collaborators:Add Collaborators:Delete Collaborators:Get", endpoint: "DeleteCollaborators", accept: anyKey, owner: true},
	},
	{
		"GET", "/v2/users/{user_id}/collaborations",
		lists((*request).listCollaborations),
		demand{scopes: "Apps:Get Collaborators:Get", endpoint: "ListCollaborations"},
	},
	{
		"DELETE", "/v2/users/{user_id}/collaborations",
		changesFirst(bodyOf(readLeave), (*request).leaveApps),
		demand{scopes: "Apps:Get Collaborators:Add Collaborators:Delete Collaborators:Get"},
	},

	{
		"GET", "/v2/users/{user_id}/audit",
		readsBy(input[auditSearch]{}.then((*request).readAuditSearch), (*request).listAudit),
		demand{scopes: "AuditLogs:Get"},
	},

	{"GET", "/v2/myscopes", reads((*request).getMyScopes), demand{endpoint: "MyScopes", accept: anyKey}},
	{"GET", "/v2/users/{user_id}/myscopes", reads((*request).getMyScopes), demand{endpoint: "MyScopesUser"}},
	{"GET", "/v2/users/{user_id}/apps/{app_id}/myscopes", reads((*request).getMyScopes), demand{endpoint: "MyScopes", accept: anyKey}},
	{"GET", "/v2/status_codes", answers((*request).listStatusCodes), demand{endpoint: "ListStatusCodes", accept: public}},
	{"GET", "/v2/status_codes/{status_code_id}", answers((*request).getStatusCode), demand{endpoint: "GetStatusCode", accept: public}},
	{"GET", "/v2/users/{user_id}/scopes", reads((*request).listScopes), demand{endpoint: "ListScopes", accept: sessions}},
	{"GET", "/v2/users/{user_id}/plans", reads((*request).listPlans), demand{accept: sessions}},
}

// operatorCalls are the calls that only the operator has. They concern all users.
var operatorCalls = []call{
	{"GET", "/health", answers((*request).getHealth), demand{}},
	{"POST", "/routes/explain", does(bodyOf(readExplainQuery), (*request).explainRoute), demand{}},
	{"POST", "/keys/import", does(bodyOf(readImports).upTo(importMaxBody), (*request).importKeys), demand{}},

	{"GET", "/store/backup", answers((*request).backUpStore), demand{}},
	{"GET", "/store/check", answers((*request).checkStore), demand{}},
	{"GET", "/store/stats", answers((*request).countStore), demand{}},
	{"POST", "/store/clock", answers((*request).acceptClock), demand{}},
	{"GET", "/fleet/nodes", answers((*request).listNodes), demand{}},
	{"POST", "/fleet/reconcile", does(optionalBodyOf(readAcceptLost), (*request).reconcile), demand{}},

	{"GET", "/v2/audit", readsBy(input[auditSearch]{}.then((*request).readAuditSearch), (*request).listAudit), demand{}},
	{"GET", "/v2/audit/verify", reads((*request).verifyAudit), demand{}},

	{"GET", "/v2/users", lists((*request).listUsers), demand{}},
	{"POST", "/v2/users", changes(bodyOf(listOf("users", readUser)).then((*request).hashPasswords), (*request).createUsers), demand{}},
	{
		"PATCH", "/v2/users",
		changesBy(bodyOf(readUserChanges).then((*request).changedOnce).then((*request).hashPasswords), suspends, (*request).changeUsers),
		demand{},
	},
	{"DELETE", "/v2/users", changesFirst(bodyOf(readIDs).then(namedOnce), (*request).deleteUsers), demand{}},
	{
		"PATCH", "/v2/users/{user_id}",
		changesBy(bodyOf(readUserChange).then((*request).checkUserChange).then((*request).hashPasswords), suspends, (*request).changeUser),
		demand{},
	},
	{"DELETE", "/v2/users/{user_id}", removes((*request).deleteUser), demand{}},
	{"POST", "/v2/users/{user_id}/reset_link", changes(optionalBodyOf(readPortal), (*request).createResetLink), demand{}},

	{"GET", "/v2/keys", readsBy(input[keySearch]{}.then((*request).readKeySearch), (*request).listAllKeys), demand{}},
	{"PATCH", "/v2/keys", changesBy(bodyOf(readKeyChanges), (*request).narrowsKeys, (*request).changeKeys), demand{}},
	{"POST", "/v2/keys/revoke", does(bodyOf(readRevocation), (*request).revokeMany), demand{}},
	{"DELETE", "/v2/keys", changesFirst(bodyOf(readIDs), (*request).revokeKeys), demand{}},
	{"POST", "/v2/keys/verify", does(bodyOf(readCredential), (*request).verifyKey), demand{}},
	{"GET", "/v2/keys/{key_id}", reads((*request).getKey), demand{}},
	{
		"GET", "/v2/keys/{key_id}/callable",
		does(input[callableQuery]{}.then((*request).readCallableQuery), (*request).listCallable),
		demand{},
	},
	{"GET", "/v2/keys/{key_id}/activity", readsBy(input[int]{}.then((*request).readDays), (*request).getActivity), demand{}},
	{"GET", "/v2/keys/{key_id}/limits", answers((*request).listLimits), demand{}},
	{"DELETE", "/v2/keys/{key_id}", removes((*request).revokeKey), demand{}},
	{"POST", "/v2/keys/{key_id}/rotate", changesBy(optionalBodyOf(readRotation), endsNow, (*request).rotateKey), demand{}},
}
