package attacks

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
)

// fewestAttacks is the least number of cases: files that aren't read would pass
// otherwise.
const fewestAttacks = 150

// TestAttacks sends every case of testdata/attacks, as bytes on the wire, over
// every protocol that can carry it, and looks at every byte that the upstream
// is sent.
func TestAttacks(t *testing.T) {
	attacks := corpus.Read(t)
	if n := len(attacks.Cases); n < fewestAttacks {
		t.Errorf("%d cases, want at least %d", n, fewestAttacks)
	}
	s := startAttacks(t, attacks)
	counts := map[string]map[string]int{}
	for _, a := range attacks.Cases {
		if counts[a.Class] == nil {
			counts[a.Class] = map[string]int{}
		}
		counts[a.Class]["cases"]++
		for _, protocol := range a.On {
			if t.Run(a.Name+"/"+protocol, func(t *testing.T) { s.run(t, a, protocol) }) {
				counts[a.Class][protocol]++
			}
		}
	}
	logAttacks(t, counts)
}

// logAttacks logs how many cases passed, by class and protocol.
func logAttacks(t *testing.T, counts map[string]map[string]int) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	columns := append([]string{"cases"}, corpus.Protocols...)
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

// run sends a case, then honest requests on the same connection and on
// another, and looks at all that the upstream was sent meanwhile: nothing but
// what the case says may have come between.
func (s *corpusServer) run(t *testing.T, a *corpus.Case, protocol string) {
	values := maps.Clone(s.values)
	act := s.fresh(a, values)
	before := s.upstream.Count()
	conn, err := s.dial(a.Site, protocol, values)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.close()
	var expected []corpus.Reach
	for _, step := range a.Steps {
		if step.Kind == "do" {
			act(step.Text)
			continue
		}
		answers, reached, _ := step.Expected(protocol)
		replies, err := conn.send(step, len(answers))
		if err != nil {
			t.Fatalf("%s, line %d: %v", a.Place, step.Line, err)
		}
		for i, want := range answers {
			if got := replies[i].String(); !slices.Contains(strings.Split(want, " or "), got) {
				t.Errorf("%s, line %d: answer %d is %q, want %q: %+v", a.Place, step.Line, i+1, got, want, replies[i])
			}
			if i < len(reached) && replies[i].status == 200 && replies[i].header["grpc-status"] == "" && reached[i].Method != "HEAD" {
				target, err := corpus.Unescape(reached[i].Target, values)
				if want := "reached " + reached[i].Method + " " + target; err != nil || replies[i].body != want {
					t.Errorf("%s, line %d: the answer is another's: %q", a.Place, step.Line, replies[i].body)
				}
			}
		}
		expected = append(expected, reached...)
	}
	// On the same connection, if it is still one.
	target := s.honestTarget()
	if r, open := conn.honest(target, s.values["key"]); open {
		if r.body != "reached GET "+target {
			t.Errorf("%s: the next request on the connection is answered %+v", a.Place, r)
		}
		expected = append(expected, corpus.Reach{Method: "GET", Target: target})
	}
	// On the connections that Caddy keeps to the upstream.
	target = s.honestTarget()
	s.sendHonest(t, a, protocol, target)
	expected = append(expected, corpus.Reach{Method: "GET", Target: target})

	s.compare(t, a, values, s.upstream.Await(before, len(expected)), expected)
}

func (s *corpusServer) dial(site, protocol string, values map[string]string) (attackConn, error) {
	values["host"] = s.clear[site]
	switch protocol {
	case "h1":
		return dialH1(s.clear[site], values)
	case "h2c":
		return dialH2(s.clear[site], values, nil)
	case "h2":
		values["host"] = s.secure[site]
		return dialH2(s.secure[site], values, s.roots)
	default:
		values["host"] = s.secure[site]
		return dialH3(s.secure[site], values, s.roots)
	}
}

func (s *corpusServer) honestTarget() string {
	s.honest++
	return fmt.Sprintf("/honest/%d", s.honest)
}

func (s *corpusServer) sendHonest(t *testing.T, a *corpus.Case, protocol, target string) {
	t.Helper()
	url := "http://" + s.clear[a.Site]
	if protocol == "h2" || protocol == "h3" {
		url = "https://" + s.secure[a.Site]
	}
	r, err := http.NewRequest("GET", url+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Key "+s.values["key"])
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "reached GET "+target {
		t.Errorf("%s: an honest request afterwards is answered %s %q, %v", a.Place, resp.Status, body, err)
	}
}

// compare looks at what the upstream was sent.
func (s *corpusServer) compare(t *testing.T, a *corpus.Case, values map[string]string, got []corpus.Request, expected []corpus.Reach) {
	t.Helper()
	// Incomplete requests come on a connection of their own, at any time.
	slices.SortStableFunc(got, func(a, b corpus.Request) int { return first(!a.Whole, !b.Whole) })
	slices.SortStableFunc(expected, func(a, b corpus.Reach) int { return first(a.Broken, b.Broken) })
	for i := range max(len(got), len(expected)) {
		switch {
		case i >= len(expected):
			t.Errorf("%s: this reached the upstream too: %+v", a.Place, got[i])
			continue
		case i >= len(got):
			t.Errorf("%s: this did not reach the upstream: %+v", a.Place, expected[i])
			continue
		}
		if err := checkReach(&expected[i], &got[i], values); err != nil {
			t.Errorf("%s: %v: %+v", a.Place, err, got[i])
		}
	}
	for i := range got {
		if err := s.never(a.Site, &got[i], values); err != nil {
			t.Errorf("%s: %v: %+v", a.Place, err, got[i])
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

func checkReach(want *corpus.Reach, got *corpus.Request, values map[string]string) error {
	target, err := corpus.Unescape(want.Target, values)
	if err != nil {
		return err
	}
	body, err := corpus.Unescape(want.Body, values)
	switch {
	case err != nil:
		return err
	case got.Method != want.Method || got.Target != target:
		return fmt.Errorf("the upstream was to see %s %s", want.Method, target)
	case got.Whole == want.Broken:
		return fmt.Errorf("it is whole: %v, %w", got.Whole, got.Broken)
	case !want.AnyBody && string(got.Body) != body:
		return fmt.Errorf("its body was to be %q, and is %q", body, got.Body)
	}
	for _, line := range want.Has {
		if line, err = corpus.Unescape(line, values); err != nil {
			return err
		}
		name, value, _ := strings.Cut(line, ": ")
		if !slices.Equal(got.Values(name), []string{value}) {
			return fmt.Errorf("it was to have %q, once", line)
		}
	}
	for _, name := range want.Lacks {
		if len(got.Values(name)) > 0 {
			return fmt.Errorf("it was to have no %s", name)
		}
	}
	return nil
}

var identityHeader = regexp.MustCompile(`^X-Caller-(User-Id|Key-Id|Key-Type|Owner-Id|App-Id): [A-Za-z0-9_]+$`)

// never is what holds for every request, whatever a case says of it.
func (s *corpusServer) never(site string, got *corpus.Request, values map[string]string) error {
	if strings.HasPrefix(got.Target, "/admin") && site != "shadow" || !strings.HasPrefix(got.Target, "/") {
		return fmt.Errorf("no credential of the corpus has a right to that")
	}
	if len(got.Trailers) > 0 || len(got.Values("Trailer")) > 0 {
		return fmt.Errorf("it has trailers: %q", got.Trailers)
	}
	if len(got.Values("Host")) != 1 {
		return fmt.Errorf("it has not one Host")
	}
	seen := map[string]bool{}
	for _, line := range append(slices.Clone(got.Lines), got.Target) {
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
