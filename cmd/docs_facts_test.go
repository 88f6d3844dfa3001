package cmd

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/metrics"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The table of error codes has every reason that is answered, with its status
// and code, and the table of metrics has every metric.
func TestFactsOfPages(t *testing.T) {
	text, err := os.ReadFile("../caddyfile/README.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := string(text)[strings.Index(string(text), "\n## Error codes\n"):]
	question := authz.Question{Rule: &policy.Rule{}}
	for _, reason := range authz.Reasons() {
		a := answer.To(&question, &authz.Outcome{Reason: reason})
		if a.Status == 500 || reason == authz.Stale { // neither is the reason of a refusal yet
			continue
		}
		found := false
		for line := range strings.Lines(codes) {
			found = found || strings.Contains(line, "`"+reason.String()+"`") && strings.HasSuffix(line, fmt.Sprintf(" | %d | %d |\n", a.Status, a.Code))
		}
		if !found {
			t.Errorf("no row has %s with %d and %d", reason, a.Status, a.Code)
		}
	}
	registry := &names{}
	if _, err := metrics.NewRequests(registry); err != nil {
		t.Fatal(err)
	}
	if _, err := metrics.NewTasks(zap.NewNop(), registry); err != nil {
		t.Fatal(err)
	}
	if err := metrics.ObserveFleet(registry, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range registry.list {
		if !strings.Contains(codes, "| `"+name+"` |") {
			t.Errorf("no row has %s", name)
		}
	}
	if len(registry.list) < 5 {
		t.Errorf("the metrics are %v", registry.list)
	}
}

// names takes the names of what is registered.
type names struct {
	prometheus.Registerer
	list []string
}

func (n *names) Register(c prometheus.Collector) error {
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	for desc := range ch {
		_, rest, _ := strings.Cut(desc.String(), `fqName: "`)
		name, _, _ := strings.Cut(rest, `"`)
		n.list = append(n.list, name)
	}
	return nil
}
