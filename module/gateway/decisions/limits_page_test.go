package decisions

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

var (
	plansOfPage = regexp.MustCompile(`(?m)^\t\tplan (?s:.*?)^\t\t\}`)
	gateOfPage  = regexp.MustCompile(`(?ms)^:8080 \{\n\tapi_keys \{\n(.*?)^\t\}`)
)

// exampleOf returns the example of the Caddyfile reference that has a line.
func exampleOf(t *testing.T, language, line string) string {
	t.Helper()
	page, err := os.ReadFile("../../../caddyfile/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if block[1] == language && strings.Contains(block[2], line) {
			return block[2]
		}
	}
	t.Fatalf("no example has %s", line)
	return ""
}

// With the plan of the page, the headers are those of the page.
func TestHeadersOfThePage(t *testing.T) {
	plans := plansOfPage.FindAllString(exampleOf(t, "caddyfile", "plan pro"), -1)
	s := startLimits(t, limitSite, strings.Join(plans, "\n"))
	a := s.Ask(gatetest.Client(t, "HTTP/1.1"), "GET", "/items", "Authorization: Key "+s.PAT("alice", "All"))
	for line := range strings.Lines(exampleOf(t, "http", "RateLimit-Policy")) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), ": ")
		// The rest of the day varies.
		pattern := regexp.MustCompile(`t=\d+$`).ReplaceAllString(regexp.QuoteMeta(want), `t=\d+`)
		if got := a.Header.Get(name); !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// The gate in front of an upstream like OpenAI's counts tokens.
func TestTokensOfThePage(t *testing.T) {
	example := exampleOf(t, "caddyfile", "usage.total_tokens")
	gate := gateOfPage.FindStringSubmatch(example)
	if gate == nil {
		t.Fatalf("no gate in %s", example)
	}
	s := startLimits(t, gate[1], strings.Join(plansOfPage.FindAllString(example, -1), "\n"))
	s.Upstream.AnswerWith(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			_, _ = io.WriteString(w, `{"choices":[],"usage":{"prompt_tokens":59000,"completion_tokens":1000,"total_tokens":60000}}`)
			return
		}
		_, _ = io.WriteString(w, `{"data":[]}`)
	})
	token := "Authorization: Bearer " + s.PAT("alice", "Predict")
	client := gatetest.Client(t, "HTTP/1.1")
	for i, row := range []struct {
		method, target string
		status         int
		left           string
	}{
		{"GET", "/v1/models", 200, `"quota";r=100000;`}, {"POST", "/v1/chat/completions", 200, `"quota";r=99500;`}, {"POST", "/v1/embeddings", 200, `"quota";r=39900;`},
		{"POST", "/v1/chat/completions", 429, `"quota";r=0;`}, {"GET", "/v1/models", 200, `"quota";r=0;`},
	} {
		a := s.Ask(client, row.method, row.target, token)
		if a.StatusCode != row.status || !strings.HasPrefix(a.Header.Get("RateLimit"), row.left) {
			t.Errorf("request %d is answered %s with %v: %s", i, a.Status, a.Header.Get("RateLimit"), a.Text)
		}
	}
}
