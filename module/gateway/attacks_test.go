package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const attackFolder = "../../testdata/attacks/"

// fewestAttacks is how many cases there are at the least: files that aren't
// found, or aren't read, would pass otherwise.
const fewestAttacks = 150

// TestAttacks sends every case of testdata/attacks, as bytes on the wire, over
// every protocol that can carry it, and looks at every byte that the upstream
// is sent.
func TestAttacks(t *testing.T) {
	f := startAttacks(t)
	all := readAttacks(t, f.names)
	if len(all) < fewestAttacks {
		t.Errorf("%d cases, and there are to be %d", len(all), fewestAttacks)
	}
	counts := map[string]map[string]int{}
	for _, a := range all {
		if counts[a.class] == nil {
			counts[a.class] = map[string]int{}
		}
		counts[a.class]["cases"]++
		for _, protocol := range a.on {
			if t.Run(a.name+"/"+protocol, func(t *testing.T) { f.run(t, a, protocol) }) {
				counts[a.class][protocol]++
			}
		}
	}
	logAttacks(t, counts)
}

func readAttacks(t *testing.T, sites []string) (all []*attack) {
	files, err := filepath.Glob(attackFolder + "*.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases, err := parseAttacks(filepath.Base(file), string(text), sites)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range cases {
			if other := names[a.name]; other != "" {
				t.Errorf("%s: %s has a case of this name too", a.place, other)
			}
			names[a.name] = a.place
		}
		all = append(all, cases...)
	}
	return all
}

// logAttacks logs how many cases passed, by class and protocol.
func logAttacks(t *testing.T, counts map[string]map[string]int) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := append([]string{"cases"}, attackProtocols...)
	fmt.Fprintln(w, "class\t"+strings.Join(columns, "\t"))
	sum := map[string]int{}
	row := func(name string, n map[string]int) {
		fmt.Fprint(w, name)
		for _, c := range columns {
			fmt.Fprint(w, "\t", n[c])
			sum[c] += n[c]
		}
		fmt.Fprintln(w)
	}
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		row(class, counts[class])
	}
	row("all", maps.Clone(sum))
	w.Flush()
	t.Log("passed:\n" + b.String())
}

// fortress is a running Caddy with all sites of the corpus, and who lives
// there.
type fortress struct {
	*gatetest.Server
	names    []string
	clear    map[string]string // addresses by site
	secure   map[string]string
	roots    *x509.CertPool
	upstream *recorder
	values   map[string]string // what names in braces stand for
	client   *http.Client
	honest   int
}

var siteName = regexp.MustCompile(`(?m)^\((\w+)\) \{$`)

func startAttacks(t *testing.T) *fortress {
	t.Helper()
	sites, err := os.ReadFile(attackFolder + "sites.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	f := &fortress{
		Server:   gatetest.New(t),
		clear:    map[string]string{},
		secure:   map[string]string{},
		upstream: newRecorder(t),
	}
	certificate, key, roots := gatetest.NewCertificate(t)
	f.roots = roots
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	f.client = &http.Client{Transport: tr, Timeout: gatetest.Deadline}

	var b, servers strings.Builder
	for _, found := range siteName.FindAllStringSubmatch(string(sites), -1) {
		name := found[1]
		if name == "routes" {
			continue
		}
		f.names = append(f.names, name)
		f.clear[name], f.secure[name] = machine.FreeAddress(t), machine.FreeAddress(t)
		_, port, _ := net.SplitHostPort(f.clear[name])
		_, tlsPort, _ := net.SplitHostPort(f.secure[name])
		fmt.Fprintf(&servers, "servers :%s {\nprotocols h1 h2c\n}\nservers :%s {\nprotocols h1 h2 h3\n}\n", port, tlsPort)
		fmt.Fprintf(&b, "http://:%s {\nimport %s\nreverse_proxy %s\n}\nhttps://:%s {\ntls %s %s\nimport %s\nreverse_proxy %s\n}\n",
			port, name, f.upstream.addr, tlsPort, certificate, key, name, f.upstream.addr)
	}
	if err := f.Load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level DEBUG
		output net %s
	}
	%s
	api_keys {
		store bbolt %s
	}
}
%s
%s`, f.Logs.Addr, servers.String(), f.StorePath, sites, b.String())); err != nil {
		t.Fatal(err)
	}
	f.populate()
	return f
}

// populate makes the credentials that cases name in braces.
func (f *fortress) populate() {
	f.AddUsers("alice", "bob")
	f.AddApp("alice", "shop")
	f.AddApp("bob", "barn")
	f.AddApp("bob", "farm")
	f.Update(func(tx *keys.Tx) error {
		_, err := tx.Invite(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "bob", AppID: "farm"}, UserID: "alice"}, Scopes: []string{"Public:Get"}})
		return err
	})
	never, _ := keys.Mint("ca", policy.AppKey)
	f.values = map[string]string{
		"key":     f.AppKey("alice", "shop", "Public:Get"),
		"other":   f.AppKey("bob", "barn", "Public:Get"),
		"pat":     f.PAT("alice", "Public:Get"),
		"session": f.Session("alice"),
		"later":   never,
		// The length of the request that cases hide in a body.
		"smuggled": strconv.Itoa(len("GET /admin HTTP/1.1\r\nHost: a\r\nX-Caller-User-Id: forged\r\n\r\n")),
	}
	for name, change := range map[string]func(*keys.Credential){
		"expired":  func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) },
		"disabled": func(c *keys.Credential) { c.Disabled = true },
	} {
		text, record := f.Server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
		f.ChangeCredential(record.ID, change)
		f.values[name] = text
	}
}

// run sends a case, then honest requests on the same connection and on
// another, and looks at all that the upstream was sent meanwhile: nothing but
// what the case says may have come between.
func (f *fortress) run(t *testing.T, a *attack, protocol string) {
	values := maps.Clone(f.values)
	act := f.fresh(a, values)
	before := f.upstream.count()
	conn, err := f.dial(a.site, protocol, values)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	var expected []reach
	for _, s := range a.steps {
		if s.kind == "do" {
			act(s.text)
			continue
		}
		answers, reached, _ := s.expected(protocol)
		replies, err := conn.send(s, len(answers))
		if err != nil {
			t.Fatalf("%s, line %d: %v", a.place, s.line, err)
		}
		for i, want := range answers {
			if got := replies[i].String(); !slices.Contains(strings.Split(want, " or "), got) {
				t.Errorf("%s, line %d: answer %d is %q, want %q: %+v", a.place, s.line, i+1, got, want, replies[i])
			}
			if i < len(reached) && replies[i].status == 200 && replies[i].header["grpc-status"] == "" && reached[i].method != "HEAD" {
				target, err := unescape(reached[i].target, values)
				if want := "reached " + reached[i].method + " " + target; err != nil || replies[i].body != want {
					t.Errorf("%s, line %d: the answer is another's: %q", a.place, s.line, replies[i].body)
				}
			}
		}
		expected = append(expected, reached...)
	}
	// On the same connection, if it is still one.
	target := f.honestTarget()
	if r, open := conn.honest(target, f.values["key"]); open {
		if r.body != "reached GET "+target {
			t.Errorf("%s: the next request on the connection is answered %+v", a.place, r)
		}
		expected = append(expected, reach{method: "GET", target: target})
	}
	// On the connections that Caddy keeps to the upstream.
	target = f.honestTarget()
	f.sendHonest(t, a, protocol, target)
	expected = append(expected, reach{method: "GET", target: target})

	f.compare(t, a, values, f.upstream.await(before, len(expected)), expected)
}

func (f *fortress) dial(site, protocol string, values map[string]string) (attackConn, error) {
	values["host"] = f.clear[site]
	switch protocol {
	case "h1":
		return dialH1(f.clear[site], values)
	case "h2c":
		return dialH2(f.clear[site], values, nil)
	case "h2":
		values["host"] = f.secure[site]
		return dialH2(f.secure[site], values, f.roots)
	default:
		values["host"] = f.secure[site]
		return dialH3(f.secure[site], values, f.roots)
	}
}

// fresh makes the credentials of a case that does something to them: {once},
// which is there, and {later}, which is not. What it answers does it.
func (f *fortress) fresh(a *attack, values map[string]string) (act func(what string)) {
	if !slices.ContainsFunc(a.steps, func(s *attackStep) bool { return s.kind == "do" }) {
		return nil // an fsync that isn't needed
	}
	template := keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Public:Get"}}
	once, record := f.Server.AddCredential(template)
	later := template
	values["once"] = once
	values["later"], later.ID = keys.Mint("ca", policy.AppKey)
	later.Digest = keys.DigestOf(values["later"])
	f.Logs.AddSecret(values["later"])
	return func(what string) {
		switch what {
		case "create":
			f.Update(func(tx *keys.Tx) error { _, err := tx.CreateCredential(later); return err })
		case "revoke":
			f.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
		case "disable", "enable":
			f.ChangeCredential(record.ID, func(c *keys.Credential) { c.Disabled = what == "disable" })
		case "expire":
			f.ChangeCredential(record.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
		}
	}
}

func (f *fortress) honestTarget() string {
	f.honest++
	return fmt.Sprintf("/honest/%d", f.honest)
}

func (f *fortress) sendHonest(t *testing.T, a *attack, protocol, target string) {
	t.Helper()
	url := "http://" + f.clear[a.site]
	if protocol == "h2" || protocol == "h3" {
		url = "https://" + f.secure[a.site]
	}
	r, err := http.NewRequest("GET", url+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+f.values["key"])
	resp, err := f.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "reached GET "+target {
		t.Errorf("%s: an honest request afterwards is answered %s %q, %v", a.place, resp.Status, body, err)
	}
}

// compare looks at what the upstream was sent.
func (f *fortress) compare(t *testing.T, a *attack, values map[string]string, got []recorded, expected []reach) {
	t.Helper()
	// What breaks off comes on a connection of its own, at any time.
	slices.SortStableFunc(got, func(a, b recorded) int { return first(!a.whole, !b.whole) })
	slices.SortStableFunc(expected, func(a, b reach) int { return first(a.broken, b.broken) })
	for i := range max(len(got), len(expected)) {
		switch {
		case i >= len(expected):
			t.Errorf("%s: this reached the upstream too: %+v", a.place, got[i])
			continue
		case i >= len(got):
			t.Errorf("%s: this did not reach the upstream: %+v", a.place, expected[i])
			continue
		}
		if err := expected[i].check(&got[i], values); err != nil {
			t.Errorf("%s: %v: %+v", a.place, err, got[i])
		}
	}
	for i := range got {
		if err := f.never(a.site, &got[i], values); err != nil {
			t.Errorf("%s: %v: %+v", a.place, err, got[i])
		}
	}
}

func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (want *reach) check(got *recorded, values map[string]string) error {
	target, err := unescape(want.target, values)
	if err != nil {
		return err
	}
	body, err := unescape(want.body, values)
	switch {
	case err != nil:
		return err
	case got.method != want.method || got.target != target:
		return fmt.Errorf("the upstream was to see %s %s", want.method, target)
	case got.whole == want.broken:
		return fmt.Errorf("it is whole: %v, %w", got.whole, got.broken)
	case !want.anyBody && string(got.body) != body:
		return fmt.Errorf("its body was to be %q, and is %q", body, got.body)
	}
	for _, line := range want.has {
		if line, err = unescape(line, values); err != nil {
			return err
		}
		name, value, _ := strings.Cut(line, ": ")
		if !slices.Equal(got.values(name), []string{value}) {
			return fmt.Errorf("it was to have %q, once", line)
		}
	}
	for _, name := range want.lacks {
		if len(got.values(name)) > 0 {
			return fmt.Errorf("it was to have no %s", name)
		}
	}
	return nil
}

var identityHeader = regexp.MustCompile(`^X-Caller-(User-Id|Key-Id|Key-Type|Owner-Id|App-Id): [A-Za-z0-9_]+$`)

// never is what holds for every request, whatever a case says of it.
func (f *fortress) never(site string, got *recorded, values map[string]string) error {
	if strings.HasPrefix(got.target, "/admin") && site != "shadow" || !strings.HasPrefix(got.target, "/") {
		return fmt.Errorf("no credential of the corpus has a right to that")
	}
	if len(got.trailers) > 0 || len(got.values("Trailer")) > 0 {
		return fmt.Errorf("it has trailers: %q", got.trailers)
	}
	if len(got.values("Host")) != 1 {
		return fmt.Errorf("it has not one Host")
	}
	seen := map[string]bool{}
	for _, line := range append(slices.Clone(got.lines), got.target) {
		for _, name := range []string{"key", "other", "pat", "session", "once", "later"} {
			if secret := values[name]; secret != "" && strings.Contains(line, secret) && site != "shadow" {
				return fmt.Errorf("a credential was forwarded")
			}
		}
		if strings.Contains(strings.ToLower(line), "forged") {
			return fmt.Errorf("what a client forged was forwarded")
		}
		name, _, _ := strings.Cut(line, ":")
		folded := strings.ToLower(regexp.MustCompile(`[^A-Za-z0-9]`).ReplaceAllString(name, "-"))
		if strings.HasPrefix(folded, "x-caller-") {
			if !identityHeader.MatchString(line) || seen[folded] {
				return fmt.Errorf("%q is not what the gate says of a caller", line)
			}
			seen[folded] = true
		}
	}
	return nil
}
