package manage

import "github.com/caddy-api-keys/gateway/module/policy"

// OperatorRoutes are the calls that only the operator has.
func OperatorRoutes() []policy.Route { return operator.Routes()[len(calls):] }

// TakesBody reports whether a call takes a body, and whether it requires one.
func TakesBody(r policy.Route) (takes, required bool) {
	kind := operator.calls[r.String()].frame.body
	return kind != noBody, kind == requiredBody
}
