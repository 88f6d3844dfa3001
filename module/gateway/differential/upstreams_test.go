package differential

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// reading is what the parsers of an upstream made of a request.
type reading struct {
	// Tag is what the probe behind the gate wrote on the request. One that has
	// none was never allowed.
	Tag       string            `json:"tag"`
	Method    string            `json:"method"`
	Target    string            `json:"target"`
	Path      string            `json:"path"` // decoded as a whole
	Operation string            `json:"operation"`
	Variables map[string]string `json:"variables"`
	Query     [][2]string       `json:"query"`
	Headers   [][2]string       `json:"headers"`
	Trailers  []string          `json:"trailers"`
	Body      string            `json:"body"`
	// Fields are what a body of JSON or of a form holds.
	Fields [][2]string `json:"fields"`
	Whole  bool        `json:"whole"`
	// Error is why it is none; Refused, why the parser took nothing.
	Error   string `json:"error"`
	Refused string `json:"refused"`
	Echo    string `json:"echo"`
}

// upstream is a server of another parser, and gathers what it reads.
type upstream struct {
	name string
	addr string
	mu   sync.Mutex
	all  []*reading
	news chan struct{}
	// sync is called to have all that came so far reported.
	sync func() error
}

func newUpstream(name string) *upstream {
	return &upstream{name: name, news: make(chan struct{}, 1), sync: func() error { return nil }}
}

func (e *upstream) add(h *reading) {
	e.mu.Lock()
	e.all = append(e.all, h)
	e.mu.Unlock()
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// take returns what was read since the last call, once enough returns true.
func (e *upstream) take(enough func([]*reading) bool) []*reading {
	late := time.After(patience)
	for {
		e.mu.Lock()
		all := e.all
		if enough(all) {
			e.all = nil
			e.mu.Unlock()
			return all
		}
		e.mu.Unlock()
		select {
		case <-e.news:
		case <-late:
			enough = func([]*reading) bool { return true }
		}
	}
}

// patience is how long a request that was sent may take to come, or to end.
const patience = 10 * time.Second

type reportKey struct{}

// newGoUpstream is net/http's server, with its own router.
func newGoUpstream(tb testing.TB, operations []string) *upstream {
	e := newUpstream("net/http")
	rest, grpc := http.NewServeMux(), http.NewServeMux()
	for _, name := range operations {
		method, pattern, _ := strings.Cut(name, " ")
		mux := rest
		switch method {
		case "grpc":
			mux, method = grpc, "POST"
		case "*":
			method = ""
		}
		handle := func(_ http.ResponseWriter, r *http.Request) {
			h := r.Context().Value(reportKey{}).(*reading)
			h.Operation = name
			for _, v := range []string{"user_id", "app_id"} {
				if value := r.PathValue(v); value != "" {
					h.Variables[v] = value
				}
			}
		}
		if base, found := strings.CutSuffix(pattern, "/{rest=**}"); found {
			mux.HandleFunc(strings.TrimSpace(method+" "+base), handle)
			pattern = base + "/{rest...}"
		}
		mux.HandleFunc(strings.TrimSpace(method+" "+pattern), handle)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &reading{
			Tag: r.Header.Get("X-Forwarded-Tag"), Method: r.Method, Target: r.RequestURI, Path: r.URL.Path, Variables: map[string]string{},
			Headers: [][2]string{{"Host", r.Host}},
		}
		// Query leaves out what it can't decode, and takes the rest.
		for name, list := range r.URL.Query() {
			for _, value := range list {
				h.Query = append(h.Query, [2]string{name, value})
			}
		}
		for name, list := range r.Header {
			for _, value := range list {
				h.Headers = append(h.Headers, [2]string{name, value})
			}
		}
		body, err := io.ReadAll(r.Body)
		h.Body, h.Whole = string(body), err == nil
		h.Fields = goFields(body, r.Header.Get("Content-Type"))
		for name := range r.Trailer {
			h.Trailers = append(h.Trailers, name)
		}
		mux := rest
		if strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/grpc") {
			if _, found := grpc.Handler(r); found != "" {
				mux = grpc
			}
		}
		// The router's own answers don't count as operations or answers.
		mux.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), reportKey{}, h)))
		e.add(h)
		w.Header().Set("X-Upstream-Tag", h.Tag)
		fmt.Fprint(w, "reached")
	}))
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	e.addr = s.Listener.Addr().String()
	return e
}

// goFields are the fields that encoding/json finds, in an object and in a
// struct, for which the case of names doesn't matter, and net/url in a form.
func goFields(body []byte, contentType string) (list [][2]string) {
	var walk func(name string, value any)
	walk = func(name string, value any) {
		switch v := value.(type) {
		case string:
			list = append(list, [2]string{name, v})
		case []any:
			for _, one := range v {
				walk(name, one)
			}
		case map[string]any:
			for k, one := range v {
				walk(strings.TrimPrefix(name+"."+k, "."), one)
			}
		}
	}
	var object any
	if json.NewDecoder(bytes.NewReader(body)).Decode(&object) == nil {
		walk("", object)
	}
	var message struct {
		UserAppID struct {
			UserID string `json:"user_id"`
			AppID  string `json:"app_id"`
		} `json:"user_app_id"`
	}
	if json.NewDecoder(bytes.NewReader(body)).Decode(&message) == nil {
		list = append(list, [2]string{"user_app_id.user_id", message.UserAppID.UserID}, [2]string{"user_app_id.app_id", message.UserAppID.AppID})
	}
	if strings.Contains(strings.ToLower(contentType), "x-www-form-urlencoded") {
		form, _ := url.ParseQuery(string(body)) // what can be decoded
		for name, values := range form {
			for _, value := range values {
				list = append(list, [2]string{name, value})
			}
		}
	}
	return list
}

// newNodeUpstream is Node's server, with the router of testdata/upstream.
func newNodeUpstream(tb testing.TB, operations []string) *upstream {
	e := newUpstream("node")
	node := machine.Program(tb, "node") // the second parser that the gate is compared with
	list, err := json.Marshal(operations)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(node, "../../../testdata/upstream/upstream.mjs", string(list))
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	lines := bufio.NewReader(out)
	port, err := lines.ReadString('\n')
	if err != nil {
		_ = in.Close()
		_ = cmd.Wait()
		tb.Fatalf("node said no port: %v\n%s", err, complaints.String())
	}
	e.addr = net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))

	echoes := make(chan string, 1)
	var running sync.WaitGroup
	running.Go(func() {
		defer close(echoes)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			h := new(reading)
			if err := json.Unmarshal(line, h); err != nil {
				h = &reading{Error: fmt.Sprintf("%v in %q", err, line)}
			}
			if h.Echo != "" {
				echoes <- h.Echo
				continue
			}
			h.unpack()
			e.add(h)
		}
	})
	e.sync = func() error {
		if _, err := io.WriteString(in, "so far\n"); err != nil {
			return err
		}
		select {
		case _, ok := <-echoes:
			if !ok {
				return fmt.Errorf("node has ended: %s", complaints.String())
			}
			return nil
		case <-time.After(patience):
			return fmt.Errorf("node doesn't answer")
		}
	}
	// It ends with its input, of a fuzzer's process that is killed too.
	tb.Cleanup(func() {
		_ = in.Close()
		running.Wait()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("node ended with %v\n%s", err, complaints.String())
		}
	})
	return e
}

// unpack makes bytes of what Node hands out as characters, one for each.
func (h *reading) unpack() {
	h.Method, h.Target, h.Body = latin1(h.Method), latin1(h.Target), latin1(h.Body)
	for i := range h.Headers {
		h.Headers[i] = [2]string{latin1(h.Headers[i][0]), latin1(h.Headers[i][1])}
	}
}

func latin1(text string) string {
	b := make([]byte, 0, len(text))
	for _, c := range text {
		b = append(b, byte(c))
	}
	return string(b)
}
