package cmd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// asProgram makes the test binary the program, so that tests can start it, and
// run the commands that it prints.
const asProgram = "CADDY_API_KEYS_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		caddycmd.Main()
		return
	}
	os.Exit(m.Run())
}

// terminal is where the demo is started, and its commands are run.
type terminal struct {
	t      *testing.T
	folder string
	env    []string
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.Symlink(executable, filepath.Join(folder, "caddy")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bash", "curl"} { // which the printed commands need
		machine.Program(t, name)
	}
	home := filepath.Join(folder, "home")
	return &terminal{t: t, folder: folder, env: append(os.Environ(), asProgram+"=yes", "GOCOVERDIR="+t.TempDir(),
		"HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "CADDY_ADMIN=127.0.0.1:0")}
}

func (term *terminal) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(term.t.Context(), name, args...)
	cmd.Dir, cmd.Env = term.folder, term.env
	return cmd
}

// demo is one that is running.
type demo struct {
	term   *terminal
	cmd    *exec.Cmd
	out    *bufio.Reader
	errOut bytes.Buffer
	// began is how the lines about its start begin.
	began []string
	// stale is true if a gate may log that it doesn't know the newest changes.
	stale bool
	// text is what it printed.
	text string
}

func (term *terminal) start(args ...string) *demo {
	t := term.t
	t.Helper()
	d := &demo{term: term, cmd: term.command("./caddy", append([]string{"api-keys", "demo", "--listen", "127.0.0.1:0"}, args...)...)}
	d.began = []string{"Opening ", "Making ", "Loading "}
	d.cmd.Stderr = &d.errOut
	out, err := d.cmd.StdoutPipe()
	if err == nil {
		err = d.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewReader(out)
	for !strings.Contains(d.text, "\nCtrl-C ends the demo.") {
		line, err := d.out.ReadString('\n')
		if d.text += line; err != nil {
			t.Fatalf("it ended with %v, having printed:\n%s%s", d.cmd.Wait(), d.text, d.errOut.String())
		}
	}
	return d
}

// interrupt ends the demo by a signal, which is no failure.
func (d *demo) interrupt(sig os.Signal) {
	t := d.term.t
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(d.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v: %s", err, d.errOut.String())
	}
	contains(t, string(rest), "The demo has ended", "is kept in")
	lines := strings.Split(strings.TrimSuffix(d.errOut.String(), "\n"), "\n")
	if d.stale {
		lines = slices.DeleteFunc(lines, func(line string) bool {
			return strings.Contains(line, "may not know the newest changes") || strings.Contains(line, `"reason": "stale"`)
		})
	}
	if !slices.EqualFunc(lines, d.began, strings.HasPrefix) {
		t.Errorf("in addition to its text and the steps of its start it printed %s", d.errOut.String())
	}
}

// step is a command that the demo prints, and what it says to expect: a status,
// or ok.
type step struct{ expect, command string }

var stepForm = regexp.MustCompile(`(?m)^ ?\d+  (\d{3}|ok) .+\n((?: {4}.*\\\n)* {4}.*\n)`)

func (d *demo) steps() (list []step) {
	for _, m := range stepForm.FindAllStringSubmatch(d.text, -1) {
		list = append(list, step{m[1], m[2]})
	}
	return list
}

// try runs a command as it is printed.
func (d *demo) try(s step) string {
	t := d.term.t
	t.Helper()
	cmd := d.term.command("bash", "-c", s.command)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	got := "ok"
	if status := regexp.MustCompile(`^HTTP/1.1 (\d{3}) `).FindSubmatch(out); status != nil {
		got = string(status[1])
	}
	if err != nil || got != s.expect {
		t.Errorf("%s\nis said to give %s, and gave %s (%v)\n%s%s", s.command, s.expect, got, err, out, errOut.String())
	}
	return string(out)
}

// where is an address that the demo prints.
func (d *demo) where(name string) string {
	d.term.t.Helper()
	m := regexp.MustCompile(`(?m)^    ` + name + ` +([^ ,]+)`).FindStringSubmatch(d.text)
	if m == nil {
		d.term.t.Fatalf("there is no %s in:\n%s", name, d.text)
	}
	return m[1]
}

// admin asks the demo's admin endpoint.
func (d *demo) admin(method, path string, body any) *manage.Answer {
	t := d.term.t
	t.Helper()
	api, err := dialAdmin(d.where("admin"))
	if err != nil {
		t.Fatal(err)
	}
	_, answer, err := api.ask(t.Context(), method, strings.Split(path, "/"), nil, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer
}

// status is how the gate answers a request for inputs with a credential.
func (d *demo) status(header, value string) int {
	t := d.term.t
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", d.where("gate")+"/v2/users/demo/apps/photos/inputs", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(header, value)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

var wholeCredential = regexp.MustCompile(`\bca[kps]_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}\b`)

func TestDemo(t *testing.T) {
	term := newTerminal(t)
	d := term.start()
	data := filepath.Join(term.folder, "home", "caddy", "api_keys", "demo")
	contains(t, d.text, data)
	seen := tryAll(t, d)

	// A user makes a key, and changes existing ones.
	own := wholeCredential.FindString(seen)
	if own == "" {
		t.Fatal("no key was made")
	}
	d.admin("POST", "users", map[string]any{"users": []any{map[string]string{"id": "mine"}}})
	d.admin("POST", "users/demo/apps", map[string]any{"apps": []any{map[string]string{"id": "mine"}}})
	printed := d.admin("GET", "users/demo/keys", nil).Keys
	d.admin("PATCH", "keys", map[string]any{"keys": []any{map[string]any{"id": printed[0].ID, "disabled": true}}})
	d.admin("PATCH", "keys", map[string]any{"action": "overwrite", "keys": []any{map[string]any{"id": printed[1].ID, "scopes": []string{"Predict"}}}})
	d.admin("DELETE", "users/demo/apps/music", nil)
	d.admin("PATCH", "users/demo", map[string]any{"suspended": true})
	if got := d.status("Authorization", "Key "+own); got != http.StatusUnauthorized {
		t.Errorf("a suspended user's key got %d", got)
	}
	if got := d.status("X-Clarifai-Session-Token", own); got != http.StatusUnauthorized {
		t.Errorf("a key for a session got %d", got)
	}
	d.interrupt(os.Interrupt)
	first := wholeCredential.FindAllString(d.text, -1)

	// The usual place of the admin endpoint is taken.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	term.env = append(term.env, "CADDY_ADMIN="+taken.Addr().String())
	d = term.start()
	tryAll(t, d)
	if got := d.status("Authorization", "Key "+own); got != http.StatusOK {
		t.Errorf("in the second run, the own key got %d", got)
	}
	for _, credential := range first {
		if got := d.status("Authorization", "Key "+credential); got != http.StatusUnauthorized {
			t.Errorf("in the second run, a key of the first got %d", got)
		}
	}
	d.admin("GET", "users/mine", nil)
	d.admin("GET", "users/demo/apps/mine", nil)
	d.interrupt(syscall.SIGTERM)

	log, err := os.ReadFile(filepath.Join(data, "caddy.log"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(log), "handled request", `"app_id":"photos"`, `"code":11007`)
	for _, credential := range append(first, append(wholeCredential.FindAllString(d.text, -1), own)...) {
		if bytes.Contains(log, []byte(credential)) {
			t.Errorf("the log shows %s", credential)
		}
	}
	if info, err := os.Stat(data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of the data is %v (%v)", info.Mode(), err)
	}
	list, err := os.ReadDir(filepath.Join(term.folder, "home", "caddy"))
	if err != nil || len(list) != 1 {
		t.Errorf("apart from its own data, the demo left %v (%v)", list, err)
	}
}

// tryAll runs every command in the order in which they are printed.
func tryAll(t *testing.T, d *demo) (answers string) {
	t.Helper()
	for line := range strings.Lines(d.text) {
		if columns := len(line) - 1; columns > 100 && !strings.Contains(line, d.term.folder) {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
	expected := map[string]int{}
	for _, s := range d.steps() {
		expected[s.expect]++
		answers += d.try(s)
	}
	if want := "map[200:4 400:1 401:3 403:2 404:1 405:1 429:1 ok:3]"; fmt.Sprint(expected) != want {
		t.Errorf("the commands are %v, want %s", expected, want)
	}
	contains(t, answers,
		`"X-Caller-User-Id": "demo"`, `"X-Caller-App-Id": "photos"`, `"path": "/v2/users/demo/apps/photos/inputs"`,
		`"missing_scopes":["Predict"]`, `Ratelimit: "rate";r=0;t=3600`, "Retry-After: ",
		"Allow: DELETE, GET, HEAD, PATCH, POST", "Revoked cak_", "Created app key cak_")
	for _, credential := range wholeCredential.FindAllString(d.text, -1) {
		if strings.Contains(answers, credential) {
			t.Errorf("an answer repeats %s", credential)
		}
	}
	return answers
}

func TestDemoNextToAnother(t *testing.T) {
	term := newTerminal(t)
	first := term.start("--data", "a {strange} folder's name")
	refused := func(wants string, args ...string) {
		t.Helper()
		out, err := term.command("./caddy", append([]string{"api-keys", "demo"}, args...)...).CombinedOutput()
		if err == nil || err.Error() != "exit status 1" || !strings.Contains(string(out), wants) {
			t.Errorf("%v ended with %v, want %s: %s", args, err, wants, out)
		}
	}
	taken := strings.TrimPrefix(first.where("gate"), "http://")
	refused("a demo is running already", "--listen", "127.0.0.1:0", "--data", "a {strange} folder's name")
	refused("choose another address, such as --listen", "--listen", taken, "--data", "another")

	second := term.start("--data", "another", "--listen", ":0")
	tryAll(t, second)
	tryAll(t, first)
	second.admin("DELETE", "users/demo", nil)
	second.interrupt(os.Interrupt)
	first.interrupt(os.Interrupt)
	refused("delete the folder "+filepath.Join(term.folder, "another"), "--listen", "127.0.0.1:0", "--data", "another")
}

func TestDemoUsageMistakes(t *testing.T) {
	for says, args := range map[string][]string{
		"no --db":                                {"--db", "keys.db"},
		"no --address":                           {"--address", "localhost:2019"},
		"it takes no arguments, and 1 was given": {"twice"},
		"with a port":                            {"--listen", "localhost"},
	} {
		r := run(t, "", append([]string{"demo", "--data", t.TempDir()}, args...)...)
		if r.err == nil || r.err.Error() != "exiting with status 2" {
			t.Errorf("%v ended with %v, want the exit status 2", args, r.err)
		}
		contains(t, r.errOut, says)
	}
}

func TestCommandsAreQuoted(t *testing.T) {
	for word, want := range map[string]string{
		"./caddy":          "./caddy",
		"http://[::1]:80/": "'http://[::1]:80/'",
		"it's":             `'it'\''s'`,
		"":                 "''",
	} {
		if got := quote(word); got != want {
			t.Errorf("%q became %s, want %s", word, got, want)
		}
	}
}

func TestProgramByGoRun(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for path, want := range map[string]bool{
		"/tmp/go-build1531938961/b001/exe/caddy":              true,
		"/root/.cache/go-build/0a/" + hash + "-d/caddy":       true,
		"C:/Users/a/AppData/Local/Temp/go-build1/b001/exe/c.": true,
		"/tmp/go-build1531938961/b001/cmd.test":               false,
		"/usr/bin/caddy":                                      false,
		"/home/go-build/caddy":                                false,
	} {
		if got := goRun.MatchString(path); got != want {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}
