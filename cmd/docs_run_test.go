package cmd

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The rules for commands in the pages:
//   - Each line of a sh block is run by bash and has to succeed, unless it is
//     listed in notRun with the reason.
//   - The commands of a page are run in their order, in a folder with
//     pageFiles, next to a Caddy that serves the page's first Caddyfile with
//     api_keys_manage, or else that of caddyfile/README.md. Caddy is stopped
//     while a command with --db runs.
//   - The user alice and the app shop exist, unless the page makes them.
//   - cak_4fQ… and cap_4fQ… stand for the key ID, and cak_… for the text, of a
//     key or token that the test makes right before the command. The text is
//     on standard input, and in credential.txt, too.

// notRun are the commands that are not run, by how they begin.
var notRun = map[string]string{
	"go run ./cmd/caddy api-keys demo": "TestDemo starts the demo",
	"caddy api-keys fleet":             "it needs a store in etcd",
	"caddy api-keys store migrate":     "it needs a store in etcd",
	"go build ./cmd/caddy":             "building again takes minutes",
	"go run ./cmd/bench":               "it measures for minutes, and needs a machine that does nothing else",
	"SCALE_STORE=":                     "it measures for minutes, and needs a store of millions of keys",
	"xcaddy build":                     "it needs xcaddy and the module proxy",
	"go test ./...":                    "it would run this test",
	"bash .ci/":                        "it would run this test",
	"NIGHTLY=1 bash .ci/":              "it would run this test",
	"curl https://api.example.com":     "TestCallsOfPages runs the calls of the management API",
	`curl -H "Authorization: Bearer $`: "TestCallsOfPages runs the calls of the management API",
	"curl -X DELETE":                   "TestCallsOfPages runs the calls of the management API",
	"curl -X PATCH":                    "TestCallsOfPages runs the calls of the management API",
}

// pageFiles are the files that the commands of pages read.
var pageFiles = map[string]string{
	"password.txt": "correct horse battery\n",
	"keys.csv":     "credential,user,app,scopes\n9f86d081884c7d659a2feaa0c55ad015,ada,photos,Inputs:Get\n",
	"keys.jsonl":   `{"credential":"8e86d081884c7d659a2feaa0c55ad015","user":"ada","app":"photos","scopes":["Inputs:Get"]}`,
	"kong.yaml":    "_format_version: \"3.0\"\nconsumers:\n- username: ada\n  keyauth_credentials:\n  - key: Hq8wZr2nVt6yLc4pXb9mKd3sJf7gTa5e\n",
	"tyk.json":     `{"api_model": {}, "key_id": "54b53d3aeba6db5c35000002ec9a2b1aca7b495771273a0895cb3627", "data": {"alias": "ada"}}`,
	"apisix.yaml":  "consumers:\n  - username: ada\n    plugins:\n      key-auth:\n        key: Cc6kQd1xRw8uPb3vNh7tYc2jSf5gLa9e\n#END\n",
	"aws.json":     `{"items": [{"id": "3zobz9qfu2", "value": "Dd6kQd1xRw8uPb3vNh7tYc2jSf5gLa9eHq8wZr2n", "name": "shop", "enabled": true}]}`,
	"openapi.yaml": "openapi: 3.0.3\ninfo: {title: Shop, version: \"1\"}\ncomponents:\n  securitySchemes:\n    oauth:\n      type: oauth2\n" +
		"      flows:\n        clientCredentials: {tokenUrl: /token, scopes: {\"Items:Get\": Read items}}\n" +
		"paths:\n  /items:\n    get: {security: [{oauth: [\"Items:Get\"]}], responses: {\"200\": {description: OK}}}\n",
	"protos/service.proto": "syntax = \"proto3\";\npackage shop;\nmessage Item { string id = 1; }\nservice Shop { rpc Get(Item) returns (Item); }\n",
	"caddy.log":            shadowLog,
}

// Every command in the pages can be run as it is printed.
func TestCommandsOfPagesRun(t *testing.T) {
	list := pages(t)
	shared := slices.IndexFunc(list, func(p page) bool { return p.path == filepath.Join("..", "caddyfile", "README.md") })
	for _, p := range list {
		commands := p.commands()
		if len(commands) == 0 {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, slices.Concat(p.blocks("caddyfile"), list[shared].blocks("caddyfile")))
			defer d.stop()
			if !strings.Contains(p.text, "user create alice") {
				d.own("user", "create", "alice")
				d.own("app", "create", "shop", "--user", "alice")
			}
			for _, command := range commands {
				d.try(command)
			}
		})
	}
}

// commands returns the commands of a page that are run.
func (p page) commands() (list []string) {
	for _, block := range p.blocks("sh") {
		for command := range strings.Lines(block) {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(notRun)), func(start string) bool { return strings.HasPrefix(command, start) }) {
				list = append(list, strings.TrimSpace(command))
			}
		}
	}
	return list
}

// desk is a terminal next to a Caddy, at which the commands of a page are run.
type desk struct {
	*terminal
	admin, site string
	caddy       *exec.Cmd // nil while it is stopped
	log         *caddyLog
}

func newDesk(t *testing.T, caddyfiles []string) *desk {
	t.Helper()
	d := &desk{terminal: newTerminal(t), admin: freeAddress(t), site: freeAddress(t)}
	d.env = append(d.env, "CADDY_ADMIN="+d.admin, "PATH="+d.folder+":"+os.Getenv("PATH"))
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	i := slices.IndexFunc(caddyfiles, func(text string) bool { return strings.Contains(text, "api_keys_manage") })
	text := regexp.MustCompile(`^\S+ \{`).ReplaceAllString(caddyfiles[i], "http://"+d.site+" {")
	d.write("Caddyfile", strings.ReplaceAll(text, "127.0.0.1:9000", upstream.Listener.Addr().String()))
	for name, text := range pageFiles {
		d.write(name, text)
	}
	d.start()
	return d
}

// freeAddress returns an address at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func (d *desk) write(name, text string) {
	d.t.Helper()
	name = filepath.Join(d.folder, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) start() {
	d.t.Helper()
	d.caddy = d.command("./caddy", "run")
	d.log = &caddyLog{serving: make(chan struct{})}
	d.caddy.Stderr = d.log
	if err := d.caddy.Start(); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.log.serving:
	case <-time.After(time.Minute):
		d.stop()
		d.t.Fatalf("Caddy didn't start: %s", d.log)
	}
}

// caddyLog keeps what Caddy logs, and tells when it serves its configuration.
type caddyLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	once    sync.Once
	serving chan struct{}
}

// Write implements [io.Writer].
func (l *caddyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(p)
	if bytes.Contains(l.text.Bytes(), []byte("serving initial configuration")) {
		l.once.Do(func() { close(l.serving) })
	}
	return n, err
}

// String returns what was logged so far.
func (l *caddyLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (d *desk) stop() {
	if d.caddy == nil {
		return
	}
	if err := d.caddy.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Error(err)
	}
	if err := d.caddy.Wait(); err != nil {
		d.t.Errorf("Caddy ended with %v: %s", err, d.log)
	}
	d.caddy = nil
}

// own runs a command of ours that no page has.
func (d *desk) own(args ...string) string {
	d.t.Helper()
	r := run(d.t, "", append(args, "--address", d.admin)...)
	if r.err != nil {
		d.t.Fatalf("%v: %v %s", args, r.err, r.errOut)
	}
	return r.out
}

// try runs a command as it is printed, with what stands for something else
// replaced.
func (d *desk) try(command string) {
	d.t.Helper()
	offline := strings.Contains(command, "--db ")
	switch {
	case offline && d.caddy != nil:
		d.stop()
	case !offline && d.caddy == nil:
		d.start()
	}
	replace := []string{
		"http://localhost:8080", "http://" + d.site,
		"/var/lib/caddy", filepath.Join(d.folder, "home", "caddy"),
		"aws apigateway get-api-keys --include-values", "cat aws.json",
		"curl ", "curl --fail --silent --noproxy '*' ",
	}
	input := ""
	if regexp.MustCompile(`ca[kp]_|credential\.txt|key revoke -`).MatchString(command) {
		args := []string{"key", "create", "--user", "alice", "--scopes", "Inputs:Get"}
		if strings.Contains(command, "cap_") {
			args = append(args, "--pat")
		} else {
			args = append(args, "--app", "shop")
		}
		input = wholeCredential.FindString(d.own(args...))
		d.write("credential.txt", input+"\n")
		id := input[:strings.LastIndex(input, "_")]
		replace = append(replace, "cak_4fQ…", id, "cap_4fQ…", id, "cak_…", input)
	}
	cmd := d.command("bash", "-c", "set -o pipefail; "+strings.NewReplacer(replace...).Replace(command))
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Errorf("%s: %v\n%s", command, err, out)
	}
}

// Every Caddyfile in the pages is valid: its modules can be provisioned.
// my-api.binpb describes the service of testdata/proto.
func TestCaddyfilesOfPages(t *testing.T) {
	descriptors, err := os.ReadFile("../testdata/proto/service.binpb")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		for i, text := range p.blocks("caddyfile") {
			t.Run(fmt.Sprint(p.path, " ", i+1), func(t *testing.T) {
				t.Parallel()
				d := &desk{terminal: newTerminal(t)}
				d.write("Caddyfile", strings.ReplaceAll(inSite(text), "/var/lib/caddy", d.folder))
				d.write("my-api.binpb", string(descriptors))
				if out, err := d.command("./caddy", "validate").CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s", text, err, out)
				}
			})
		}
	}
}
