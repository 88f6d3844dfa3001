//go:build linux

package fleettest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"reflect"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/etcdstore"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// asGate has the test's program run as a gate. Its value is a setting in JSON.
const asGate = "FLEETTEST_GATE"

// setting is what a gate is started with.
type setting struct {
	Name      string
	Endpoints []string
	Mirror    string
	Socket    string
	Registers string
	Seed      uint64
	// Begun is when the fleet began.
	Begun int64
	// Plain is true if the gate makes and revokes keys, and changes nothing else.
	Plain bool
	// Late is true if changes don't wait for the other gates.
	Late bool
}

// gate is a process of the fleet.
type gate struct {
	setting

	store     *etcdstore.Store
	directory *directory.Owned
	report    *reporter
	registers []register
	work      *work
	// jumped is how far the wall clock was set forward, in nanoseconds.
	jumped atomic.Int64
}

// runGate runs a gate until it is killed.
func runGate(text string) (code int) {
	g := &gate{report: &reporter{pipe: os.NewFile(3, "reports")}}
	if err := g.run(text); err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
		return 1
	}
	return 0
}

func (g *gate) run(text string) (err error) {
	signal.Ignore(syscall.SIGXFSZ) // a write beyond the limit returns an error
	if err := json.Unmarshal([]byte(text), &g.setting); err != nil {
		return err
	}
	if g.registers, err = readRegisters(g.Registers); err != nil {
		return err
	}
	g.store, err = etcdstore.Open(etcdstore.Config{Endpoints: g.Endpoints, Mirror: g.Mirror, MaxStaleness: fence, Name: g.Name, Clock: g.clock, Observer: observer{}})
	if err != nil {
		return err
	}
	if g.directory, err = directory.New(g.store, 1<<20); err != nil {
		return err
	}
	if err := os.Remove(g.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ln, err := net.Listen("unix", g.Socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/state", answer(g.state))
	mux.HandleFunc("/flush", answer(g.flush))
	mux.HandleFunc("/stop", answer(g.stop))
	mux.HandleFunc("/dump", answer(g.dump))
	mux.HandleFunc("/found", answer(g.found))
	mux.HandleFunc("/begin", answer(g.begin))
	mux.HandleFunc("/jump", answer(g.jump))
	mux.HandleFunc("/next", answer(g.next))
	mux.HandleFunc("/revoke", answer(g.revoke))
	mux.HandleFunc("/allot", answer(g.allot))
	mux.HandleFunc("/reconcile", answer(func(r *http.Request) (any, error) { return g.store.Reconcile(r.Context(), false) }))
	return http.Serve(ln, mux) //nolint:gosec // a socket of the test
}

// clock is the clock of a machine whose wall clock was set. The monotonic clock can't
// be set.
func (g *gate) clock() time.Time {
	by := g.jumped.Load()
	now := time.Now().Add(time.Duration(by)) // moves both
	reading := reflect.ValueOf(&now).Elem().FieldByName("ext")
	*(*int64)(unsafe.Pointer(reading.UnsafeAddr())) -= by //nolint:gosec // there is no other way to set a clock in a test
	return now
}

// jump sets the wall clock.
func (g *gate) jump(r *http.Request) (any, error) {
	by, err := time.ParseDuration(r.FormValue("by"))
	g.jumped.Add(int64(by))
	return nil, err
}

// observer prints what the store does by itself, for the log of a test that fails.
type observer struct{}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%d: "+format+"\n", append([]any{now()}, args...)...)
}

func (observer) Upgraded(int, string)   {}
func (observer) CommitFailed(err error) { say("commit failed: %v", err) }
func (observer) ReopenFailed(err error) { say("reopening failed: %v", err) }
func (observer) Reopened()              { say("reopened") }
func (observer) Disconnected(err error) { say("disconnected: %v", err) }
func (observer) Stale(why error)        { say("stale: %v", why) }
func (observer) Fresh()                 { say("fresh") }
func (observer) Held(err error)         { say("held: %v", err) }
func (observer) Listed(why string, n int, _ time.Duration) {
	say("listed %d records, because %s", n, why)
}

// answer answers with what fn returns.
func answer(fn func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := fn(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		if err := json.NewEncoder(w).Encode(v); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// gateState is what a gate says of itself.
type gateState struct {
	Fresh bool
	Fleet keys.Fleet
}

func (g *gate) state(r *http.Request) (any, error) {
	fleet, err := g.directory.Fleet(r.Context())
	return gateState{g.store.Ready(r.Context()) == nil, fleet}, err
}

// found makes the user who owns all keys.
func (g *gate) found(r *http.Request) (any, error) {
	return nil, g.directory.Update(r.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
		_, err := tx.CreateUser(keys.User{ID: someUser})
		return err
	})
}

// begin starts the work.
func (g *gate) begin(*http.Request) (any, error) {
	g.work = startWork(g)
	return nil, nil
}

// flush reports what was not reported yet.
func (g *gate) flush(r *http.Request) (any, error) {
	if g.work != nil {
		g.work.flush()
	}
	g.report.line("flushed %s", r.FormValue("token"))
	return nil, nil
}

// stop ends the work.
func (g *gate) stop(r *http.Request) (any, error) {
	g.work.stop()
	return g.flush(r)
}

// dump is what a mirror has.
type dump struct {
	Findings []string
	Audit    keys.AuditHead
	StoreID  string
	// Versions has those of the registers that exist, and revoked for those that
	// were.
	Versions map[int]int
}

func (g *gate) dump(r *http.Request) (any, error) {
	found, err := g.directory.Examine(r.Context())
	if err != nil {
		return nil, err
	}
	d := dump{Versions: map[int]int{}}
	for _, f := range found.Findings {
		d.Findings = append(d.Findings, fmt.Sprint(f))
	}
	return d, g.directory.View(r.Context(), func(reader keys.Reader) (err error) {
		for i, register := range g.registers {
			c, err := reader.Credential(register.Digest)
			switch {
			case err == nil:
				d.Versions[i] = versionOf(&c)
				continue
			case !errors.Is(err, keys.ErrNotFound):
				return err
			}
			switch _, err = reader.Tombstone(register.Digest); {
			case err == nil:
				d.Versions[i] = revoked
			case !errors.Is(err, keys.ErrNotFound):
				return err
			}
		}
		if d.StoreID, err = reader.StoreID(); err != nil {
			return err
		}
		d.Audit, err = reader.AuditHead()
		return err
	})
}

// next makes the next version of a register, and revoke revokes it. Both answer
// with how long that took.
func (g *gate) next(r *http.Request) (any, error) {
	return g.timed(r, func(tx *keys.Tx, r register) error {
		_, err := next(tx, r)
		return err
	})
}

func (g *gate) revoke(r *http.Request) (any, error) {
	return g.timed(r, func(tx *keys.Tx, r register) error { return tx.Revoke(r.ID, "by the test") })
}

func (g *gate) timed(r *http.Request, do func(*keys.Tx, register) error) (any, error) {
	n, err := strconv.Atoi(r.FormValue("register"))
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	err = g.directory.UpdateFirst(context.Background(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error { return do(tx, g.registers[n]) })
	return time.Since(begin), err
}
