package exhaustion

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// asSlow makes the test binary the other process of TestSlowConnections, which
// has the clients that are slow, and the upstream that they reach: so the
// process that is measured has the gate alone, and the descriptors are shared
// between two.
const asSlow = "CADDY_API_KEYS_TEST_AS_SLOW"

func init() {
	if os.Getenv(asSlow) == "" {
		return
	}
	if err := runSlowClients(); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// slowUpstream counts the requests that have come to it.
type slowUpstream struct{ begun atomic.Int64 }

func (u *slowUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.begun.Add(1)
	if r.Method == http.MethodPut {
		_, _ = io.Copy(io.Discard, r.Body)
		return
	}
	for chunk := make([]byte, 64<<10); ; {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

// beSlow tells where its upstream is, is told the gate's address, a key and how
// many connections to open, tells that they are where they stay, and ends with
// its input.
func runSlowClients() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	u := new(slowUpstream)
	go func() { _ = (&http.Server{Handler: u, ReadHeaderTimeout: gatetest.Deadline}).Serve(ln) }()
	fmt.Println("upstream", ln.Addr())
	var address, key string
	var n int
	in := bufio.NewReader(os.Stdin)
	if _, err := fmt.Fscanln(in, &address, &key, &n); err != nil {
		return err
	}
	head := " /v2/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Key " + key + "\r\n"
	texts := []string{
		"GET /v2/slow HTTP/1.1\r\nHost: a\r\nX-Slow: ", // its headers
		"PUT" + head + "Content-Length: 1000000\r\n\r\nbegun",
		"POST" + head + "Content-Length: 0\r\n\r\n", // reads nothing of the answer
	}
	inside := int64(0)
	for i := range n {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if i%3 > 0 {
			inside++
		}
		if i%3 == 2 {
			// So that the kernel keeps little of what nobody reads.
			err = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		}
		if _, errWrite := io.WriteString(conn, texts[i%3]); errors.Join(err, errWrite) != nil {
			return errors.Join(err, errWrite)
		}
		// As many as there can be wait to be accepted.
		if err := eventually(func() bool { return u.begun.Load() > inside-100 }); err != nil {
			return err
		}
	}
	if err := eventually(func() bool { return u.begun.Load() == inside }); err != nil {
		return fmt.Errorf("%d of %d are at the upstream: %w", u.begun.Load(), inside, err)
	}
	fmt.Println("open", n)
	_, err = io.Copy(io.Discard, in)
	return err
}

// happens waits for a condition where there is no test.
func eventually(condition func() bool) error {
	for end := time.Now().Add(gatetest.Deadline); !condition(); {
		if time.Now().After(end) {
			return errors.New("it didn't happen")
		}
		<-time.After(time.Millisecond)
	}
	return nil
}

// slow is that process, as the test has it.
type slowClients struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startSlowClients(t *testing.T) *slowClients {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &slowClients{t: t, cmd: exec.CommandContext(t.Context(), self)}
	s.cmd.Env = append(os.Environ(), asSlow+"=1")
	s.cmd.Stderr = os.Stderr
	in, errIn := s.cmd.StdinPipe()
	out, errOut := s.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.in, s.out = in, bufio.NewScanner(out)
	return s
}

// told is what the process tells behind a word.
func (s *slowClients) told(word string) string {
	s.t.Helper()
	if !s.out.Scan() {
		s.t.Fatalf("the slow clients ended, before %s", word)
	}
	got, rest, _ := strings.Cut(s.out.Text(), " ")
	if got != word {
		s.t.Fatalf("the slow clients tell %q, want %s", s.out.Text(), word)
	}
	return rest
}

// end has the process end, and its connections.
func (s *slowClients) end() {
	s.t.Helper()
	if err := errors.Join(s.in.Close(), s.cmd.Wait()); err != nil {
		s.t.Error(err)
	}
}

// peak is the most memory that this process ever had, where the system tells.
func peak() string {
	text, _ := os.ReadFile("/proc/self/status")
	if m := regexp.MustCompile(`VmHWM:\s*(.*)`).FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return "unknown"
}

// Connections that send slowly, or read slowly, cost what they cost and no
// more, hold nobody up, and leave nothing behind. EXHAUST_CONNECTIONS says how
// many there are.
func TestSlowConnections(t *testing.T) {
	others := startSlowClients(t)
	server := gatetest.Start(t, exhaustSite+"\n\troute * /v2/slow Inputs:Get",
		"@slow path /v2/slow", "reverse_proxy @slow "+others.told("upstream"))
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop", "Inputs:Get")
	n := gatetest.Repetitions(t, "EXHAUST_CONNECTIONS", 90)
	good, asks := gatetest.Client(t, "HTTP/1.1"), max(n/5, 100)
	latency(server, good, key, 50)
	quiet := latency(server, good, key, asks)
	server.Forget()
	memory, goroutines, first := inUse(), runtime.NumGoroutine(), peak()

	if _, err := fmt.Fprintln(others.in, server.Addr, key, n); err != nil {
		t.Fatal(err)
	}
	others.told("open")
	busy := latency(server, good, key, asks)
	server.Forget()
	grown, more := inUse()-memory, runtime.NumGoroutine()-goroutines
	q50, q99, _ := gatetest.Quantiles(quiet)
	b50, b99, _ := gatetest.Quantiles(busy)
	t.Logf("%d connections: %d KiB of heap each, %.1f goroutines each; the most memory this process ever had: %s, before them %s; "+
		"good requests, quiet: p50 %v, p99 %v; next to the slow: p50 %v, p99 %v (%.2f and %.2f times)",
		n, grown>>10/int64(n), float64(more)/float64(n), peak(), first, q50, q99, b50, b99, float64(b50)/float64(q50), float64(b99)/float64(q99))
	if grown > int64(n)*256<<10 {
		t.Errorf("%d connections grew the heap by %d bytes", n, grown)
	}
	if more > n*8 {
		t.Errorf("%d connections have %d goroutines", n, more)
	}
	others.end()
	gatetest.Until(t, "the end of all of them", func() bool { return server.Directory().Live() == 0 && runtime.NumGoroutine() <= goroutines+10 })
	server.Forget()
	runtime.GC() // what pools keep is let go by the second
	left := inUse() - memory
	t.Logf("afterwards: %d goroutines and %d KiB of heap more than before", runtime.NumGoroutine()-goroutines, left>>10)
	if left > 8<<20+int64(n)*8<<10 {
		t.Errorf("%d connections left %d bytes behind", n, left)
	}
}
