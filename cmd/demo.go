package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func demoCommand() *cobra.Command {
	cmd := command("demo [--fleet] [--listen ADDR] [--data DIR]", "Runs everything on this machine, and prints commands to try", 0, 0, runDemo, func(f *pflag.FlagSet) {
		f.String("listen", "127.0.0.1:8080", "Address that the gate listens on")
		f.String("data", "", "Folder of the demo's data (default api_keys/demo in Caddy's data directory, or api_keys/demo-fleet)")
		f.Bool("fleet", false, "Run two gates that share their keys in an etcd, which must be on the PATH")
	})
	cmd.Long = `
Runs a gate with a key store on this machine, and an upstream that echoes its
requests. It prints commands to paste, one for each kind of answer.

The users, apps and keys that you make are kept for the next run. The keys that
the demo prints are new each time, because their text is not stored.

With --fleet there are two gates, in two processes, and an etcd that they share.
The demo revokes a key on one, and shows how the other answers.`
	cmd.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		for _, name := range refusedByDemo {
			cmd.InheritedFlags().Lookup(name).Hidden = true
		}
		cmd.Parent().HelpFunc()(cmd, args)
	})
	return cmd
}

// refusedByDemo are the shared flags that the demo refuses, because it has a
// Caddy, a configuration and a store of its own.
var refusedByDemo = []string{"address", "config", "adapter", "db", "output", "wait"}

// demoPlaces are the folder and the addresses of the demo.
type demoPlaces struct {
	// folder holds the data.
	folder string
	// gate, admin and upstream are addresses; admin is that of the admin
	// endpoint.
	gate            *net.TCPAddr
	admin, upstream string
	// etcd is the URL of the etcd that the gate shares with others. It is empty if
	// the gate has a store of its own.
	etcd string
}

func (p *demoPlaces) store() string  { return filepath.Join(p.folder, "keys.db") }
func (p *demoPlaces) mirror() string { return filepath.Join(p.folder, "mirror.db") }
func (p *demoPlaces) log() string    { return filepath.Join(p.folder, "caddy.log") }

// runDemo runs until it is interrupted.
func runDemo(c *call) error {
	for _, name := range refusedByDemo {
		if c.Flags().Changed(name) {
			return usagef("the demo has a Caddy, a configuration and a store of its own, and takes no --%s", name)
		}
	}
	interrupted, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if fleet, _ := c.Flags().GetBool("fleet"); fleet { // declared as such
		return runFleetDemo(c, interrupted, stop)
	}

	// Open the store first: if another demo is running, its lock gives the best
	// error. Change nothing before everything is known to work.
	places := &demoPlaces{}
	var err error
	c.PrintErrln("Opening the demo's key store ...")
	if places.folder, err = demoFolder(c.flag("data"), "demo"); err != nil {
		return err
	}
	if c.api, err = openDemoStore(c, places.store()); err != nil {
		return err
	}
	free, err := places.find(c.flag("listen"))
	if err != nil {
		return err
	}
	c.PrintErrln("Making its user, apps and keys in " + places.folder + " ...")
	made, err := prepareDemo(c)
	if err != nil {
		return fmt.Errorf("preparing the demo's data: %w; to start over, delete the folder %s, or name another with --data", err, places.folder)
	}
	if err := c.api.close(); err != nil {
		return err
	}
	c.api = nil

	upstream, err := startEcho()
	if err != nil {
		return err
	}
	defer upstream.Close()
	places.upstream = upstream.Addr
	config, err := places.config()
	if err != nil {
		return err
	}
	free()
	c.PrintErrln("Loading the gate with the table of Clarifai's API ...")
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("starting the demo: %w", err)
	}
	if _, err = fmt.Fprint(c.OutOrStdout(), demoText(places, made)); err == nil {
		<-interrupted.Done()
	}
	stop() // from now on, a second Ctrl-C ends the program at once
	if err = errors.Join(err, caddy.Stop()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "\nThe demo has ended. What you made is kept in %s.\n", places.folder)
	return err
}

// demoFolder returns the folder of the data: the one that was asked for, or else
// the one with this name.
func demoFolder(folder, name string) (string, error) {
	if folder == "" {
		folder = filepath.Join(caddy.AppDataDir(), "api_keys", name)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", fmt.Errorf("finding the folder of the demo's data: %w", err)
	}
	return folder, nil
}

// find finds free addresses, and holds them until free is called. Caddy itself
// wouldn't notice a taken address: it shares its addresses with other Caddys of
// this user, which would get half of the requests.
func (p *demoPlaces) find(listen string) (free func(), err error) {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return nil, usagef("--listen takes an address with a port, such as 127.0.0.1:8080")
	}
	gate, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("the gate can't listen on %s (%w); choose another address, such as --listen 127.0.0.1:8081", listen, reason(err))
	}
	admin, err := net.Listen("tcp", caddy.DefaultAdminListen)
	if err != nil {
		admin, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("finding an address for the admin endpoint: %w", err), gate.Close())
	}
	p.gate, p.admin = gate.Addr().(*net.TCPAddr), admin.Addr().String()
	return func() {
		_ = gate.Close()
		_ = admin.Close()
	}, nil
}

// reason returns why listening failed, without the address.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// startEcho starts an upstream that echoes its requests.
func startEcho() (*http.Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the demo's upstream: %w", err)
	}
	server := &http.Server{Addr: ln.Addr().String(), Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }() // until it is closed
	return server, nil
}

// echo answers with the method, the path and the identity headers of a request,
// as an upstream sees them.
func echo(w http.ResponseWriter, r *http.Request) {
	told := map[string]string{}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Caller-") {
			told[name] = r.Header.Get(name)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	answer := json.NewEncoder(w)
	answer.SetIndent("", "  ")
	// An error means that the client has gone away.
	_ = answer.Encode(struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
	}{r.Method, r.URL.EscapedPath(), told})
}
