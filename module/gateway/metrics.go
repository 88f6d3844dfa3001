package gateway

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the gate decides. No label has a value that a client
// chooses.
type metrics struct {
	allowed, public, ended prometheus.Counter
	refusals, shadow       *prometheus.CounterVec
}

// newMetrics registers the counters. Caddy's registry is a new one at every
// reload, and the gates of one configuration share it.
func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	requests, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_api_keys_requests_total",
		Help: "Requests that were let through: allowed ones of callers, and those of public routes.",
	}, []string{"decision"}))
	if err != nil {
		return nil, err
	}
	refusals, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_api_keys_refusals_total",
		Help: "Requests that were refused, by reason, and by HTTP status and code of the answer.",
	}, []string{"reason", "status", "code"}))
	if err != nil {
		return nil, err
	}
	shadow, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "caddy_api_keys_shadow_total",
		Help: "Requests that were forwarded in shadow mode and would have been refused, by reason, and by HTTP status and code of the answer.",
	}, []string{"reason", "status", "code"}))
	if err != nil {
		return nil, err
	}
	ended, err := register(registry, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_api_keys_ended_total",
		Help: "Requests that were ended while they were served, because of a change to their credential.",
	}))
	if err != nil {
		return nil, err
	}
	return &metrics{
		allowed:  requests.WithLabelValues("allowed"),
		public:   requests.WithLabelValues("public"),
		ended:    ended,
		refusals: refusals,
		shadow:   shadow,
	}, nil
}

func (m *metrics) refused(ref *refusal) { count(m.refusals, ref) }

// shadowed counts a request that was forwarded, and would have been refused.
func (m *metrics) shadowed(ref *refusal) { count(m.shadow, ref) }

func count(c *prometheus.CounterVec, ref *refusal) {
	c.WithLabelValues(ref.reason.String(), strconv.Itoa(ref.status), strconv.Itoa(int(ref.code))).Inc()
}

func register[C prometheus.Collector](registry prometheus.Registerer, c C) (C, error) {
	err := registry.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return there.ExistingCollector.(C), nil
	}
	return c, err
}
