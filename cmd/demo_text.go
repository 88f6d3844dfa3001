package cmd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// demoText returns what the demo prints: where everything is, and commands to
// paste, in the order in which a newcomer would try them. The demo's keys are
// shown nowhere else.
func demoText(p *demoPlaces, k demoKeys) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Caddy API Keys is running on this machine, until Ctrl-C ends it:

    gate      %s, which asks for a key
    portal    %s/portal, where people make their own keys; sign in as
              %s with the password %s
    upstream  http://%s, which echoes what it gets from the gate
    admin     %s, where users, apps and keys are made and revoked
    data      %s
    log       %s, with every decision, and no key

This is the gate's Caddyfile. The table that it includes says which scopes each call needs.

%s
The user demo has two apps, photos and music. Open another terminal in this folder,
and paste these commands one by one. Above each is the expected HTTP status.
`, p.url(), p.url(), k.email, k.password, p.upstream, p.admin, p.folder, p.log(), indented(p.site()))

	for i, step := range demoSteps(p, k) {
		fmt.Fprintf(&b, "\n%2d  %s\n%s", i+1, step.says, indented(step.command))
	}
	b.WriteString("\nCtrl-C ends the demo. What you make is kept for the next run, which prints new keys.\n")
	return b.String()
}

// demoStep is a command to paste, with the status to expect.
type demoStep struct{ says, command string }

// Paths that the demo's keys may call, or may not.
const (
	demoInputs  = "/v2/users/demo/apps/photos/inputs"
	demoOutputs = "/v2/users/demo/apps/photos/models/general/outputs"
)

// demoSteps are the commands of the demo, in their order.
func demoSteps(p *demoPlaces, k demoKeys) []demoStep {
	inputs, outputs := demoInputs, demoOutputs
	return []demoStep{
		{"200  This key may predict in the app photos. The upstream learns who calls, but not the key.", p.curl(k.predicts.ID, outputs, "-X POST")},
		{"401  No key.", p.curl("", outputs, "-X POST")},
		{"401  A key that nobody made.", p.curl("0123456789abcdef0123456789abcdef", outputs, "-X POST")},
		{"400  A path that the upstream might read differently from the gate.", p.curl(k.predicts.ID, inputs+"/../models", "--path-as-is")},
		{"200  This key may read, and nothing else ...", p.curl(k.reads.ID, inputs)},
		{"403  ... so it can't predict. The answer names the scope that it lacks.", p.curl(k.reads.ID, outputs, "-X POST")},
		{"403  This key may do everything, but in the other app, music.", p.curl(k.music.ID, inputs)},
		{"200  A personal access token is good for all apps of its user.", p.curl(k.pat.ID, inputs)},
		{"200  This key may be used once an hour. The header RateLimit shows how much is left ...", p.curl(k.limited.ID, inputs)},
		{"429  ... and the next request has to wait for the seconds in Retry-After.", p.curl(k.limited.ID, inputs)},
		{"404  Paths that the table doesn't name are refused, whatever the key may do ...", p.curl(k.pat.ID, "/v2/anything/else")},
		{"405  ... and so are other methods. The header Allow lists those of the table.", p.curl(k.pat.ID, inputs, "-X PUT")},
		{"ok   Revoke the first key ...", p.manage("key revoke " + k.predicts.KeyID)},
		{"401  ... and its very next request is refused.", p.curl(k.predicts.ID, outputs, "-X POST")},
		{"ok   Make a key of your own. It works at once, and in the next run too.", p.manage("key create --user demo --app photos --scopes All")},
		{"ok   List the keys.", p.manage("key list --user demo")},
	}
}

func indented(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	return "    " + strings.Join(lines, "\n    ") + "\n"
}

// url returns the URL of the gate for this machine.
func (p *demoPlaces) url() string {
	host := p.gate.IP.String()
	if p.gate.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(p.gate.Port))
}

// continued continues a command on a new line.
const continued = " \\\n    "

// curl returns the command for a request. The command shows the status and the
// headers, and adds the line break that the gate's answers lack at their end.
func (p *demoPlaces) curl(key, path string, options ...string) string {
	command := "curl -i "
	if key != "" {
		command += "-H " + quote("Authorization: Key "+key) + continued
	}
	for _, name := range []string{"http_proxy", "all_proxy", "ALL_PROXY"} {
		if os.Getenv(name) != "" {
			options = append(options, "--noproxy '*'") // no proxy finds the way back to this machine
			break
		}
	}
	return command + strings.Join(append(options, quote(p.url()+path), `-w '\n'`), " ")
}

// manage returns the command line of a management command.
func (p *demoPlaces) manage(words string) string {
	return program() + " api-keys " + words + continued + "--address " + quote(p.admin)
}

// goRun matches the places of programs that go run builds: a temporary folder the
// first time, and the build cache afterwards.
var goRun = regexp.MustCompile(`/go-build\d+/b\d+/exe/[^/]+$|/[0-9a-f]{64}-d/[^/]+$`)

// program returns how this program was started, as the beginning of a command.
func program() string {
	executable, err := os.Executable()
	if err == nil && goRun.MatchString(filepath.ToSlash(executable)) {
		if _, err := os.Stat(filepath.Join("cmd", "caddy")); err == nil {
			return "go run ./cmd/caddy"
		}
	}
	return quote(os.Args[0])
}

// bare matches words that a shell leaves unchanged.
var bare = regexp.MustCompile(`^[0-9A-Za-z_./:=@%+,-]+$`)

// quote quotes a word for a shell.
func quote(word string) string {
	if bare.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
