//go:build linux

package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// server is the program as it is built, which is killed and started again.
type server struct {
	t                   *testing.T
	program, config     string
	store, gate, socket string
	cmd                 *exec.Cmd
	errOut              bytes.Buffer
	admin               *client
}

func newServer(t *testing.T, program string) *server {
	t.Helper()
	folder := t.TempDir()
	s := &server{
		t: t, program: program, config: filepath.Join(folder, "Caddyfile"),
		store: filepath.Join(folder, "keys.db"), gate: machine.FreeAddress(t), socket: filepath.Join(folder, "admin.sock"),
	}
	_, port, _ := net.SplitHostPort(s.gate)
	config := fmt.Sprintf(`{
	admin unix/%s
	persist_config off
	log {
		level ERROR
	}
	api_keys {
		store bbolt %s
	}
}
http://:%s {
	bind 127.0.0.1
	api_keys {
		route GET /v2/inputs Inputs:Get
	}
	respond "passed"
}
`, s.socket, s.store, port)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.admin, err = dialAdmin("unix/" + s.socket); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() {
		s.kill()
		_ = s.admin.close()
	})
	return s
}

// start starts it, and waits until the gate answers from the store.
func (s *server) start() {
	s.t.Helper()
	s.errOut.Reset()
	// Not with the context of the test, because it is killed after that has ended.
	s.cmd = exec.CommandContext(context.Background(), s.program, "run", "--config", s.config)
	s.cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(s.config), "XDG_DATA_HOME=", "XDG_CONFIG_HOME=")
	s.cmd.Stderr = &s.errOut
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "an answer of the server", func() bool { return s.status("nobody's") == http.StatusUnauthorized })
}

// kill is kill -9.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// eventually waits for what has to happen.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !happened(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it didn't happen", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// status is how the gate answers a credential, 0 where nobody answers.
func (s *server) status(credential string) int {
	r, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://"+s.gate+"/v2/inputs", nil)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	r.Header.Set("Authorization", "Key "+credential)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if (resp.StatusCode == http.StatusOK) != (string(body) == "passed") {
		s.t.Errorf("answered %s with %s", resp.Status, body)
	}
	return resp.StatusCode
}

// change asks the admin endpoint for a change. That it was made is certain
// only if there is no error.
func (s *server) change(method, path string, body any) (manage.Key, error) {
	_, answer, err := s.admin.ask(s.t.Context(), method, strings.Split(path, "/"), nil, body)
	if refused, ok := errors.AsType[refusedError](err); ok && refused.Code != 40031 {
		s.t.Errorf("%s %s: %v", method, path, err)
	}
	if err != nil {
		return manage.Key{}, err
	}
	return append(answer.Keys, orNone(answer.Key))[0], nil
}

// ledger is what one writer knows of the keys that it made, by credential: how
// the gate has to answer.
type ledger struct {
	s    *server
	user string
	// holds is the status after the last acknowledged change.
	holds map[string]int
	// open is what it is, if the change that nobody acknowledged was made.
	open map[string]int
	ids  map[string]string
	// acknowledged counts the changes.
	acknowledged, unacknowledged int
}

// work makes changes until one is not acknowledged.
func (l *ledger) work() {
	for range 1 << 20 {
		if err := l.next(); err != nil {
			l.unacknowledged++
			return
		}
		l.acknowledged++
	}
}

// next makes one change: a new key, or something that befalls one there is.
func (l *ledger) next() error {
	for credential, status := range l.holds {
		id := l.ids[credential]
		if _, open := l.open[credential]; open || id == "" { // it is over
			continue
		}
		switch what := rand.IntN(5); what {
		case 0, 1:
			disabled, becomes := true, http.StatusUnauthorized
			if what == 1 {
				disabled, becomes = false, http.StatusOK
			}
			return l.try(credential, becomes, "PATCH", "keys", map[string]any{"keys": []any{map[string]any{"id": id, "disabled": disabled}}})
		case 2:
			delete(l.ids, credential)
			return l.try(credential, http.StatusUnauthorized, "DELETE", "keys/"+id, nil)
		case 3:
			l.open[credential] = http.StatusUnauthorized
			delete(l.ids, credential)
			k, err := l.s.change("POST", "keys/"+id+"/rotate", map[string]any{})
			if err != nil {
				return err
			}
			l.holds[k.ID], l.ids[k.ID] = status, k.KeyID // disabled as the old one is
			l.settle(credential, http.StatusUnauthorized)
			return nil
		}
		break
	}
	k, err := l.s.change("POST", "users/"+l.user+"/keys", map[string]any{"keys": []any{map[string]any{
		"type": manage.TypePAT, "scopes": []string{"Inputs:Get"},
	}}})
	if err == nil {
		l.holds[k.ID], l.ids[k.ID] = http.StatusOK, k.KeyID
	}
	return err
}

func (l *ledger) try(credential string, becomes int, method, path string, body any) error {
	l.open[credential] = becomes
	_, err := l.s.change(method, path, body)
	if err == nil {
		l.settle(credential, becomes)
	}
	return err
}

func (l *ledger) settle(credential string, status int) {
	l.holds[credential] = status
	delete(l.open, credential)
}

// check asks the gate about every key, and counts what is not as it was
// acknowledged.
func (l *ledger) check() (lost, back int) {
	for credential, status := range l.holds {
		got := l.s.status(credential)
		if open, was := l.open[credential]; was && got == open {
			// Made after all, and from here on it holds. It is over, whatever it
			// was: what a rotation put in its place was never told.
			l.settle(credential, got)
			continue
		}
		delete(l.open, credential)
		switch {
		case got == status:
		case got == http.StatusOK:
			back++
		default:
			lost++
		}
	}
	return lost, back
}

func TestCrashes(t *testing.T) {
	program := filepath.Join(t.TempDir(), "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./caddy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	t.Run("the server is killed", func(t *testing.T) { serverKilled(t, newServer(t, program)) })
	t.Run("the disk fails", func(t *testing.T) { diskFails(t, newServer(t, program)) })
}

// serverKilled is kill -9 of the server while several write, again and again: what was
// acknowledged holds at the gate.
func serverKilled(t *testing.T, s *server) {
	crashes := 12
	if value := os.Getenv("CRASHES"); value != "" {
		var err error
		if crashes, err = strconv.Atoi(value); err != nil {
			t.Fatalf("CRASHES: %v", err)
		}
	}
	writers := make([]*ledger, 4)
	for i := range writers {
		writers[i] = &ledger{s: s, user: fmt.Sprintf("u%d", i), holds: map[string]int{}, open: map[string]int{}, ids: map[string]string{}}
		if _, _, err := s.admin.ask(t.Context(), "POST", []string{"users"}, nil, map[string]any{"users": []any{map[string]string{"id": writers[i].user}}}); err != nil {
			t.Fatal(err)
		}
	}
	var lost, back atomic.Int64
	each := func(do func(*ledger)) {
		var wg sync.WaitGroup
		for _, w := range writers {
			wg.Go(func() { do(w) })
		}
		wg.Wait()
	}
	check := func(w *ledger) {
		l, b := w.check()
		lost.Add(int64(l))
		back.Add(int64(b))
	}
	for range crashes {
		time.AfterFunc(rand.N(300*time.Millisecond), func() { _ = s.cmd.Process.Kill() })
		each((*ledger).work)
		s.kill()
		s.start()
		each(check)
		if lost.Load()+back.Load() > 0 {
			break
		}
		for _, w := range writers {
			w.forget()
		}
	}
	var acknowledged, unacknowledged int
	for _, w := range writers {
		acknowledged += w.acknowledged
		unacknowledged += w.unacknowledged
	}
	t.Logf("%d crashes, %d changes acknowledged, %d not; %d lost, %d came back", crashes, acknowledged, unacknowledged, lost.Load(), back.Load())
	if lost.Load()+back.Load() > 0 || acknowledged < crashes {
		t.Errorf("of %d acknowledged changes %d are lost, and %d keys came back", acknowledged, lost.Load(), back.Load())
	}
	s.kill()
	store, err := boltstore.Open(s.store)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// forget keeps the ledger from growing without end: most keys that are over
// are not asked about for ever.
func (l *ledger) forget() {
	for credential := range l.holds {
		if len(l.holds) < 300 {
			return
		}
		if l.ids[credential] == "" && rand.IntN(4) > 0 {
			delete(l.holds, credential)
		}
	}
}

// diskFails: while the disk fails, the store is not asked, and nothing is written; when it is well
// again, what was acknowledged holds, without a restart.
func diskFails(t *testing.T, s *server) {
	if _, _, err := s.admin.ask(t.Context(), "POST", []string{"users"}, nil, map[string]any{"users": []any{map[string]string{"id": "u"}}}); err != nil {
		t.Fatal(err)
	}
	create := func(t *testing.T) manage.Key {
		t.Helper()
		k, err := s.change("POST", "users/u/keys", map[string]any{"keys": []any{map[string]any{"type": manage.TypePAT, "scopes": []string{"Inputs:Get"}}}})
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for name, inject := range map[string]string{
		"syncs fail":          "fdatasync,fsync:error=EIO",
		"writes fail":         "pwrite64:error=EIO",
		"it is full":          "pwrite64,ftruncate:error=ENOSPC",
		"it can only be read": "pwrite64,ftruncate,fdatasync,fsync:error=EROFS",
	} {
		t.Run(name, func(t *testing.T) {
			good, revoked, leaked, used := create(t), create(t), create(t), create(t)
			if _, err := s.change("DELETE", "keys/"+revoked.KeyID, nil); err != nil {
				t.Fatal(err)
			}
			for _, k := range []manage.Key{leaked, used} { // so that they are in the cache
				if got := s.status(k.ID); got != http.StatusOK {
					t.Fatalf("a good key got %d", got)
				}
			}
			heal := s.failing(t, inject)
			if _, err := s.change("DELETE", "keys/"+leaked.KeyID, nil); err == nil {
				t.Error("a change was acknowledged that could not be written")
			}
			for range 20 {
				for what, credential := range map[string]string{"good": good.ID, "revoked": revoked.ID, "being revoked": leaked.ID} {
					s.refuses(t, what, credential)
				}
				// A key that no change concerned is in its known state.
				if got := s.status(used.ID); got != http.StatusOK && got != http.StatusServiceUnavailable {
					t.Errorf("a key that was used before got %d", got)
				}
				if _, err := s.change("POST", "users/u/keys", map[string]any{"keys": []any{map[string]any{"type": manage.TypePAT, "scopes": []string{"All"}}}}); err == nil {
					t.Error("a change was acknowledged by a store that is broken")
				}
				<-time.After(10 * time.Millisecond)
			}
			heal()
			eventually(t, "the store's return", func() bool { return s.status(good.ID) == http.StatusOK })
			if got := s.status(revoked.ID); got != http.StatusUnauthorized {
				t.Errorf("the revoked key got %d", got)
			}
			// All of it is there or nothing, and it can be made now.
			got := s.status(leaked.ID)
			_, err := s.change("DELETE", "keys/"+leaked.KeyID, nil)
			if (got != http.StatusOK || err != nil) && (got != http.StatusUnauthorized || err == nil) {
				t.Errorf("the key being revoked got %d, and then revoking it %v", got, err)
			}
			if got := s.status(leaked.ID); got != http.StatusUnauthorized {
				t.Errorf("the key revoked at last got %d", got)
			}
		})
	}
}

// refuses wants 503 with the code for it, and when to ask again.
func (s *server) refuses(t *testing.T, what, credential string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.gate+"/v2/inputs", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+credential)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer manage.Answer
	err = json.NewDecoder(resp.Body).Decode(&answer)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || answer.Status.Code != 40031 {
		t.Errorf("while the disk fails, a %s key got %s %v %v (%v)", what, resp.Status, resp.Header, answer.Status, err)
	}
}

// failing makes calls of the server's fail, until heal is called.
func (s *server) failing(t *testing.T, inject string) (heal func()) {
	t.Helper()
	calls, _, _ := strings.Cut(inject, ":")
	program := machine.Program(t, "strace")
	tracer := exec.CommandContext(t.Context(), program, "-f", "-o", filepath.Join(t.TempDir(), "strace.log"),
		"-e", "trace="+calls, "-e", "inject="+inject, "-p", strconv.Itoa(s.cmd.Process.Pid))
	said, err := tracer.StderrPipe()
	if err == nil {
		err = tracer.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	if !lines.Scan() || !strings.Contains(lines.Text(), " attached") {
		t.Fatalf("strace said %q", lines.Text())
	}
	return func() {
		if err := tracer.Process.Signal(syscall.SIGINT); err != nil {
			t.Error(err)
		}
		for lines.Scan() { // to its end
		}
		_ = tracer.Wait() // it ends by the signal
	}
}
