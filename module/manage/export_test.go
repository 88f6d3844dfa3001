package manage

import "github.com/caddy-api-keys/gateway/module/policy"

// OperatorRoutes are the calls that only the operator has.
func OperatorRoutes() []policy.Route { return routesOf(operatorCalls) }
