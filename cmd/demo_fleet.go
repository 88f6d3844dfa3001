package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// demoFleet is a demo of two gates that share their keys.
type demoFleet struct {
	folder string
	// gates are two, of which this process runs the first.
	gates  [2]*demoPlaces
	etcd   *demoChild
	second *demoChild
	http   http.Client
}

// runFleetDemo runs until it is interrupted. stop has the next Ctrl-C end the
// program at once.
func runFleetDemo(c *call, interrupted context.Context, stop func()) error {
	etcd, err := exec.LookPath("etcd")
	if err != nil {
		return errors.New("demo --fleet needs etcd 3.5 or newer: get it from https://github.com/etcd-io/etcd/releases, and put it on the PATH")
	}
	f := &demoFleet{http: http.Client{Transport: new(http.Transport), Timeout: childPatience}}
	if f.folder, err = demoFolder(c.flag("data"), "demo-fleet"); err != nil {
		return err
	}
	upstream, err := startEcho()
	if err != nil {
		return err
	}
	defer upstream.Close()
	err = f.start(c, interrupted, etcd, upstream.Addr)
	if err == nil {
		<-interrupted.Done()
	}
	stop()
	if err = errors.Join(err, f.end()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "\nThe demo has ended. What you made is kept in %s.\n", f.folder)
	return err
}

// start starts everything, revokes a key, and prints what there is.
func (f *demoFleet) start(c *call, interrupted context.Context, etcd, upstream string) error {
	free, err := f.find(c.flag("listen"), upstream)
	if err != nil {
		return err
	}
	c.PrintErrln("Starting etcd in " + f.folder + " ...")
	endpoint, err := f.startEtcd(etcd, interrupted)
	if err != nil {
		free()
		return err
	}
	for _, gate := range f.gates {
		gate.etcd = endpoint
	}
	free()
	c.PrintErrln("Loading two gates with the table of Clarifai's API ...")
	if err := f.startGates(interrupted); err != nil {
		return err
	}
	c.PrintErrln("Making a user, apps and keys ...")
	if c.api, err = dialAdmin(f.gates[0].admin); err != nil {
		return err
	}
	made, err := prepareDemo(c)
	if err != nil {
		return fmt.Errorf("preparing the demo's data: %w; to start over, delete the folder %s, or name another with --data", err, f.folder)
	}
	shown, err := f.show(c)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.OutOrStdout(), demoFleetText(f, made, shown))
	return err
}

// find finds free addresses for the gates, and holds them until free is called.
func (f *demoFleet) find(listen, upstream string) (free func(), err error) {
	var held []func()
	free = func() {
		for _, free := range held {
			free()
		}
	}
	for i, listen := range []string{listen, "127.0.0.1:0"} {
		gate := &demoPlaces{folder: filepath.Join(f.folder, fmt.Sprintf("gate%d", i+1)), upstream: upstream}
		if err := os.MkdirAll(gate.folder, 0o700); err != nil {
			free()
			return nil, fmt.Errorf("making the demo's folder: %w", err)
		}
		one, err := gate.find(listen)
		if err != nil {
			free()
			return nil, err
		}
		held, f.gates[i] = append(held, one), gate
	}
	return free, nil
}

// startEtcd starts an etcd of one member, and returns its URL.
func (f *demoFleet) startEtcd(program string, interrupted context.Context) (endpoint string, err error) {
	client, peer, err := twoURLs()
	if err != nil {
		return "", fmt.Errorf("finding addresses for etcd: %w", err)
	}
	f.etcd, err = startChild("etcd", filepath.Join(f.folder, "etcd.log"), exec.Command(program, //nolint:gosec // the etcd on the PATH
		"--name=demo", "--data-dir="+filepath.Join(f.folder, "etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=demo="+peer))
	if err != nil {
		return "", err
	}
	return client, f.etcd.wait(interrupted.Done(), func() error { return f.healthy(client + "/health") })
}

// twoURLs returns URLs of this machine at which nobody listens.
func twoURLs() (first, second string, err error) {
	one, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer one.Close() //nolint:errcheck // nobody has connected
	two, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	defer two.Close() //nolint:errcheck // nobody has connected
	return "http://" + one.Addr().String(), "http://" + two.Addr().String(), nil
}

// startGates starts the first gate in this process, and the second in another.
func (f *demoFleet) startGates(interrupted context.Context) error {
	config, err := f.gates[0].config()
	if err != nil {
		return err
	}
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("starting the first gate: %w", err)
	}
	if config, err = f.gates[1].config(); err != nil {
		return err
	}
	folder := f.gates[1].folder
	file := filepath.Join(folder, "caddy.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return fmt.Errorf("writing the second gate's configuration: %w", err)
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	f.second, err = startChild("the second gate", filepath.Join(folder, "output.log"), exec.Command(executable, "run", "--config", file)) //nolint:gosec // this program
	if err != nil {
		return err
	}
	return f.second.wait(interrupted.Done(), func() error { return f.healthy("http://" + f.gates[1].admin + "/api_keys/health") })
}

// healthy returns nil if a server answers that it is well.
func (f *demoFleet) healthy(url string) error {
	status, err := f.get(url, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s answers %d", url, status)
	}
	return err
}

// get asks with a key, or without one if it is empty, and returns the status.
func (f *demoFleet) get(url, key string) (status int, err error) {
	r, err := http.NewRequest(http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	if key != "" {
		r.Header.Set("Authorization", "Key "+key)
	}
	resp, err := f.http.Do(r) //nolint:gosec // an address of the demo
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// demoShown is how long it took to revoke a key on one gate, and then to be
// refused by the other.
type demoShown struct{ revoked, refused time.Duration }

// show revokes a key on the first gate between two requests to the second.
func (f *demoFleet) show(c *call) (shown demoShown, err error) {
	_, answer, err := c.ask("POST", []string{"users", demoUser, "keys"}, nil, map[string]any{"keys": []any{
		demoKey("revoked by the demo itself", []string{"All"}, "photos"),
	}})
	if err != nil {
		return shown, err
	}
	key := answer.Keys[0]
	if err := f.expect(key, http.StatusOK); err != nil {
		return shown, err
	}
	began := time.Now()
	if err := revokeAll(c, []string{key.KeyID}); err != nil {
		return shown, err
	}
	shown.revoked = time.Since(began)
	err = f.expect(key, http.StatusUnauthorized)
	shown.refused = time.Since(began) - shown.revoked
	return shown, err
}

// expect asks the second gate with a key.
func (f *demoFleet) expect(key manage.Key, want int) error {
	status, err := f.get(f.gates[1].url()+demoInputs, key.ID)
	if err != nil {
		return fmt.Errorf("asking the second gate: %w", err)
	}
	if status != want {
		return fmt.Errorf("the second gate answered the key %s with %d, want %d", key.KeyID, status, want)
	}
	return nil
}

// end ends the gates before etcd, so that they take their registrations back.
func (f *demoFleet) end() error {
	return errors.Join(caddy.Stop(), f.second.end(), f.etcd.end())
}
