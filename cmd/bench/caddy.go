package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// site returns what the Caddy contenders have in common.
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
			return errNoConfig
		}
		return nil
	})
	if err != nil {
		b.stop(i)
		return nil, err
	}
	return i, nil
}

// errNoConfig is returned while a Caddy starts.
var errNoConfig = errors.New("it has no configuration yet")

// environment is that of programs with a folder of their own. What sets the Go
// runtime of all programs is left out: contenders run as shipped.
func (b *bench) environment(folder string) []string {
	ours := []string{"HOME=", "XDG_", "GOGC=", "GOMEMLIMIT=", "GODEBUG=", "CADDY_"}
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc(ours, func(name string) bool { return strings.HasPrefix(v, name) })
	})
	return append(env, "HOME="+folder)
}
