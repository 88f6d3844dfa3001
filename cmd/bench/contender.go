package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// contender is a program in front of the upstream, with the credentials that it
// is sent.
type contender struct {
	name, about string
	// sent are the credentials of its load.
	sent holder
	// many is true if it has the large store.
	many bool
	// program has to be on the PATH; empty if it is built.
	program string
	// checks is true if it checks keys, and isGate if the gate does.
	checks, isGate bool
	// grpc is true if it serves gRPC.
	grpc  bool
	start func(b *bench, folder string) (*instance, error)
}

// contenders are all that can be compared.
var contenders = []contender{
	{name: "stock", about: "Caddy without the plug-in", sent: appKeys, grpc: true, start: startStock},
	{name: "none", about: "this binary without a gate", sent: appKeys, grpc: true, start: startWithoutGate},
	{name: "gate", about: "the gate, which allows app keys", sent: appKeys, grpc: true, isGate: true, checks: true, start: startGate},
	{name: "pat", about: "the gate, which allows personal access tokens", sent: tokens, grpc: true, isGate: true, checks: true, start: startGate},
	{name: "collaborator", about: "the gate, which allows tokens of collaborators", sent: collaborators, grpc: true, isGate: true, checks: true, start: startGate},
	{name: "bad-key", about: "the gate, which refuses unknown keys", sent: unknown, grpc: true, isGate: true, checks: true, start: startGate},
	{name: "missing-scope", about: "the gate, which refuses keys that lack scopes", sent: unscoped, grpc: true, isGate: true, checks: true, start: startGate},
	{name: "before", about: "the gate of another binary, -before, which allows app keys", sent: appKeys, grpc: true, isGate: true, checks: true, start: startGateBefore},
	{name: "many", about: "the gate with -many keys, which allows app keys", sent: appKeys, grpc: true, isGate: true, checks: true, many: true, start: startGateOfMany},
	{name: "forward-auth", about: "stock Caddy with forward_auth to a service that looks keys up in a map", sent: appKeys, grpc: true, checks: true, start: startForwardAuth},
	{name: "nginx-map", about: "nginx with the keys in a map", sent: appKeys, program: "nginx", checks: true, start: startNginxMap},
	{name: "nginx-auth-request", about: "nginx with auth_request to the service of forward-auth", sent: appKeys, program: "nginx", checks: true, start: startNginxAuthRequest},
	{name: "haproxy-map", about: "HAProxy with the keys in a map", sent: appKeys, program: "haproxy", checks: true, start: startHAProxy},
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
	if c.many && o.many == 0 {
		return c.name + " needs -many"
	}
	if s.request == grpcCall && !c.grpc {
		return c.name + " isn't set up for gRPC"
	}
	if c.name == "before" && o.before == "" {
		return c.name + " needs -before"
	}
	if c.program == "" {
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
	ports     *ports
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

func (b *bench) site(folder string) (caddySite, error) {
	ports, err := freePorts()
	if err != nil {
		return caddySite{}, err
	}
	ports.plain2 = 0 // Caddy serves both versions at the same port
	return caddySite{folder: folder, upstream: b.upstream, ports: ports, certificate: b.certificate.cert, key: b.certificate.key}, nil
}

func startStock(b *bench, folder string) (*instance, error) {
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	return b.startCaddy("stock", b.stock, site)
}

func startWithoutGate(b *bench, folder string) (*instance, error) {
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	return b.startCaddy("none", b.caddy, site)
}

func startGate(b *bench, folder string) (*instance, error) {
	return b.startGateOfFew(b.caddy, folder)
}

func startGateBefore(b *bench, folder string) (*instance, error) {
	return b.startGateOfFew(b.options.before, folder)
}

// startGateOfFew starts a gate with a copy of the small store.
func (b *bench) startGateOfFew(binary, folder string) (*instance, error) {
	store := filepath.Join(folder, "keys.db")
	if err := copyFile(store, b.few.file); err != nil {
		return nil, err
	}
	return b.startGate(binary, folder, store)
}

// startGateOfMany starts the gate that has the large store to itself: the file
// may be too large for a copy.
func startGateOfMany(b *bench, folder string) (*instance, error) {
	return b.startGate(b.caddy, folder, b.many.file)
}

func (b *bench) startGate(binary, folder, store string) (*instance, error) {
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	site.gate, site.store = true, store
	return b.startCaddy("gate", binary, site)
}

func startForwardAuth(b *bench, folder string) (*instance, error) {
	site, err := b.site(folder)
	if err != nil {
		return nil, err
	}
	service, address, err := b.startService()
	if err != nil {
		return nil, err
	}
	site.service = address
	return b.join(service)(b.startCaddy("forward-auth", b.stock, site))
}

// startService starts the service that knows all keys.
func (b *bench) startService() (*process, string, error) {
	return b.helper(authCommand, b.few.known)
}

// join returns a function that adds a process to a contender, and ends it if the
// contender didn't start.
func (b *bench) join(p *process) func(*instance, error) (*instance, error) {
	return func(i *instance, err error) (*instance, error) {
		if err != nil {
			b.end(p)
			return nil, err
		}
		i.processes = append(i.processes, p)
		return i, nil
	}
}

// startCaddy starts a Caddy and waits until it serves.
func (b *bench) startCaddy(name, binary string, site caddySite) (*instance, error) {
	if err := site.write(); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", "--config", site.file(), "--adapter", "caddyfile")
	cmd.Env = b.environment(site.folder)
	p, err := b.run(name, cmd)
	if err != nil {
		return nil, err
	}
	i := &instance{processes: []*process{p}, ports: site.ports, socket: site.socket()}
	err = p.waitFor(func() error {
		resp, err := adminClient(i.socket).Get("http://127.0.0.1/config/apps")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.ContentLength == int64(len("null\n")) {
			return fmt.Errorf("it has no configuration yet")
		}
		return nil
	})
	if err != nil {
		b.stop(i)
		return nil, err
	}
	return i, nil
}

// environment is that of programs with a folder of their own. What sets the Go
// runtime of all programs is left out: contenders run as shipped.
func (b *bench) environment(folder string) []string {
	ours := []string{"HOME=", "XDG_", "GOGC=", "GOMEMLIMIT=", "GODEBUG=", "CADDY_"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(ours, func(name string) bool { return strings.HasPrefix(v, name) })
	})
	return append(env, "HOME="+folder)
}
