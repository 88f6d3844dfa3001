package cmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// flaky is the API behind something that can be made to fail.
type flaky struct {
	api    http.Handler
	before func(n int, w http.ResponseWriter, r *http.Request) (answered bool)
	calls  int
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls++
	if !f.before(f.calls, w, r) {
		f.api.ServeHTTP(w, r)
	}
}

// flakyEndpoint is an admin endpoint with alice and photos, before whose calls
// something happens.
func flakyEndpoint(t *testing.T, before func(n int, w http.ResponseWriter, r *http.Request) bool) *shell {
	t.Helper()
	pause := firstPause
	firstPause = time.Millisecond
	t.Cleanup(func() { firstPause = pause })
	s := &shell{t: t, where: []string{"--address", adminEndpoint(t)}}
	s.must("", "user", "create", "alice")
	s.answer("", "app", "create", "photos", "--user", "alice")
	behind := "http://" + s.where[1]
	server := httptest.NewServer(&flaky{before: before, api: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next, err := http.NewRequestWithContext(r.Context(), r.Method, behind+r.URL.RequestURI(), r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		next.Header.Set("Origin", behind)
		resp, err := http.DefaultClient.Do(next)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})})
	t.Cleanup(server.Close)
	s.where[1] = server.Listener.Addr().String()
	return s
}

// The import retries while the API can't answer. It finds keys that were
// imported without an answer.
func TestKeyImportIsPatient(t *testing.T) {
	s := flakyEndpoint(t, func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1, 2, 5: // the store can't answer
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintf(w, `{"status":{"code":%d,"description":"Service unavailable"}}`, manage.CodeUnavailable)
			return true
		case 7: // the connection breaks
			panic(http.ErrAbortHandler)
		}
		return false
	})
	file := dump(t, "keys.csv", manyKeys(2500))
	contains(t, s.must("", "key", "import", file), "2500 keys read: 2500 imported")
	if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 2501 {
		t.Errorf("%d keys", n)
	}
}

func TestKeyImportGivesUp(t *testing.T) {
	calls := 0
	s := flakyEndpoint(t, func(n int, w http.ResponseWriter, r *http.Request) bool {
		calls = n
		if n <= 4 || r.Method == http.MethodGet { // three checks, and the first batch
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, `{"status":{"code":%d,"description":"Service unavailable","details":"the key store can't answer now; try again"}}`, manage.CodeUnavailable)
		return true
	})
	r := s.run("", "key", "import", dump(t, "keys.csv", manyKeys(2500)))
	if r.err == nil || !strings.Contains(r.err.Error(), "the key store can't answer now; try again; until then 1000 keys were imported") {
		t.Errorf("ended with %v", r.err)
	}
	if calls != 4+1+maxPauses {
		t.Errorf("it asked %d times", calls)
	}
	if n := len(s.answer("", "key", "list", "--user", "alice").Keys); n != 1001 {
		t.Errorf("%d keys", n)
	}
}

// An import that is interrupted finishes its batch, and goes on when it is run
// again.
func TestKeyImportInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s := flakyEndpoint(t, func(n int, _ http.ResponseWriter, _ *http.Request) bool {
		if n == 5 { // the second batch, after three checks
			interrupt()
		}
		return false
	})
	file := dump(t, "keys.csv", manyKeys(2500))
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(append([]string{"api-keys", "key", "import", file}, s.where...))
	err := root.ExecuteContext(ctx)
	if err == nil || !strings.Contains(err.Error(), "interrupted: until then 2000 keys were imported") || !strings.Contains(err.Error(), "run this again") {
		t.Errorf("ended with %v\n%s", err, out.String())
	}
	contains(t, s.must("", "key", "import", file), "500 imported, 2000 there already")
}

func TestKeyImportProgress(t *testing.T) {
	var b bytes.Buffer
	plain := newBar(&b)
	plain.begin("Checked", 1000)
	plain.at(1000, 10)
	plain.at(barStep, 500)
	plain.at(barStep+1000, 510)
	plain.clear()
	if b.String() != "Checked 100000 keys (50%)\n" {
		t.Errorf("printed %q", b.String())
	}
	if b.Reset(); newBar(&b).terminal {
		t.Error("a buffer is taken for a terminal")
	}
	terminal := &bar{out: &b, terminal: true}
	terminal.begin("Imported", 1000)
	terminal.at(1000, 500)
	shown := b.String()
	if last := shown[strings.LastIndexByte(shown, '\r')+1:]; !strings.HasPrefix(last, "Imported 1000 keys  50% [==============>...............]") {
		t.Errorf("the line is %q", last)
	}
	terminal.clear()
	terminal.clear()
	if cleared := strings.TrimPrefix(b.String(), shown); cleared != "\x1b[2K\r" {
		t.Errorf("removing the line printed %q", cleared)
	}
	b.Reset()
	terminal.begin("Read", 0)
	terminal.at(2000, 700)
	if !strings.Contains(b.String(), "Read 2000 keys") || strings.ContainsAny(b.String(), "%\n") {
		t.Errorf("of a size that is not known it printed %q", b.String())
	}
}

// A copy shows nothing where there is no terminal, and goes on where there is
// none any more.
func TestCopyProgress(t *testing.T) {
	var b bytes.Buffer
	elsewhere := newCopied(&b, 10)
	if n, err := elsewhere.Write(make([]byte, 5)); n != 5 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	elsewhere.clear()
	if b.Len() > 0 {
		t.Errorf("printed %q", b.String())
	}
	gone, w := io.Pipe()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	terminal := copied{newLine(w, 10)}
	if n, err := terminal.Write(make([]byte, 5)); n != 5 || err != nil {
		t.Errorf("of a terminal that has gone: %d, %v", n, err)
	}
	terminal.clear()
}
