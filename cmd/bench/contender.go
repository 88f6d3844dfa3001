package main

import (
	"fmt"
	"os/exec"
	"slices"
)

// contender is a program in front of the upstream, with the credentials that it
// is sent.
type contender struct {
	name, about string
	// sent are the credentials of its load.
	sent holder
	// checks is true if it checks keys, and isGate if the gate does.
	checks, isGate bool
	// many is true if its store is the large one.
	many bool
	// grpc is true if it serves gRPC.
	grpc bool
	// program has to be on the PATH; empty if it is built. option has to be
	// given; empty if it needs none.
	program, option string
	start           func(b *bench, folder string) (*instance, error)
}

// contenders are all that can be compared.
var contenders = []contender{
	{name: "stock", about: "Caddy without the plug-in", sent: appKeys, grpc: true, start: startStock},
	{name: "none", about: "this binary without a gate", sent: appKeys, grpc: true, start: startWithoutGate},
	gateThat("gate", "allows app keys", appKeys),
	gateThat("pat", "allows personal access tokens", tokens),
	gateThat("collaborator", "allows tokens of collaborators", collaborators),
	gateThat("bad-key", "refuses unknown keys", unknown),
	gateThat("missing-scope", "refuses keys that lack scopes", unscoped),
	{
		name: "before", about: "the gate of another binary, which allows app keys", sent: appKeys, grpc: true,
		checks: true, isGate: true, option: "before", start: startGateBefore,
	},
	{
		name: "many", about: "the gate with another number of keys, which allows app keys", sent: appKeys, grpc: true,
		checks: true, isGate: true, many: true, option: "many", start: startGateOfMany,
	},
	{
		name: "fleet", about: "the gate with its keys in etcd, which allows app keys", sent: appKeys, grpc: true,
		checks: true, isGate: true, program: "etcd", start: startGateOfFleet,
	},
	{
		name: "forward-auth", about: "stock Caddy with forward_auth to a service that looks keys up in a map", sent: appKeys, grpc: true,
		checks: true, start: startForwardAuth,
	},
	{
		name: "nginx-map", about: "nginx with the keys in a map", sent: appKeys,
		checks: true, program: "nginx", start: startNginxMap,
	},
	{
		name: "nginx-auth-request", about: "nginx with auth_request to the service of forward-auth", sent: appKeys,
		checks: true, program: "nginx", start: startNginxAuthRequest,
	},
	{
		name: "haproxy-map", about: "HAProxy with the keys in a map", sent: appKeys,
		checks: true, program: "haproxy", start: startHAProxy,
	},
}

// gateThat returns the contender whose gate does something with credentials.
func gateThat(name, does string, sent holder) contender {
	return contender{name: name, about: "the gate, which " + does, sent: sent, grpc: true, checks: true, isGate: true, start: startGate}
}

// findContender returns the contender with a name.
func findContender(name string) (contender, error) {
	i := slices.IndexFunc(contenders, func(c contender) bool { return c.name == name })
	if i < 0 {
		return contender{}, fmt.Errorf("there is no contender %q; -list shows them", name)
	}
	return contenders[i], nil
}

// missing returns why a contender can't take part in a scenario, empty if it can.
func (c contender) missing(s scenario, o options) string {
	switch {
	case c.option != "" && !o.given[c.option]:
		return c.name + " needs -" + c.option
	case s.request == grpcCall && !c.grpc:
		return c.name + " isn't set up for gRPC"
	case c.program == "":
		return ""
	}
	if _, err := exec.LookPath(c.program); err != nil {
		return c.program + " is not on the PATH"
	}
	return ""
}

// instance is a running contender.
type instance struct {
	// processes are those that work for each request. Together they are the
	// contender.
	processes []*process
	// others are processes that the contender needs, but not for each request.
	others []*process
	ports  *ports
	// socket is that of Caddy's admin endpoint.
	socket string
}

// pids returns the IDs of all processes of the contender.
func (i *instance) pids() (all []int, err error) {
	for _, p := range i.processes {
		tree, err := processTree(p.cmd.Process.Pid)
		if err != nil {
			return nil, err
		}
		all = append(all, tree...)
	}
	return all, nil
}
