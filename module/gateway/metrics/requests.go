// Package metrics counts what the gate decides and what the key store does by
// itself. No label has a value that a client chooses.
package metrics

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
)

// Requests counts what the gate decides.
type Requests struct {
	allowed, public  *counter
	ended            prometheus.Counter
	refusals, shadow *prometheus.CounterVec
}

// NewRequests registers the counters. Caddy's registry is a new one at every
// reload, and the gates of one configuration share it.
func NewRequests(registry prometheus.Registerer) (*Requests, error) {
	allowed, err := register(registry, requestsOf("allowed"))
	if err != nil {
		return nil, err
	}
	public, err := register(registry, requestsOf("public"))
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
	return &Requests{
		allowed:  allowed,
		public:   public,
		ended:    ended,
		refusals: refusals,
		shadow:   shadow,
	}, nil
}

func requestsOf(decision string) *counter {
	return newCounter(prometheus.CounterOpts{
		Name:        "caddy_api_keys_requests_total",
		Help:        "Requests that were let through: allowed ones of callers, and those of public routes.",
		ConstLabels: prometheus.Labels{"decision": decision},
	})
}

// Forwarded counts a request that is handed on, for this reason.
func (m *Requests) Forwarded(reason authz.Reason) {
	if reason == authz.Public {
		m.public.Inc()
		return
	}
	m.allowed.Inc()
}

// Refused counts a request that is refused.
func (m *Requests) Refused(a *answer.Answer) { count(m.refusals, a) }

// Spared counts a request that mode shadow forwards, and that is refused.
func (m *Requests) Spared(a *answer.Answer) { count(m.shadow, a) }

// Ended counts a request that was ended while it was served.
func (m *Requests) Ended() { m.ended.Inc() }

func count(c *prometheus.CounterVec, a *answer.Answer) {
	c.WithLabelValues(a.Reason.String(), strconv.Itoa(a.Status), strconv.Itoa(int(a.Code))).Inc()
}

func register[C prometheus.Collector](registry prometheus.Registerer, c C) (C, error) {
	err := registry.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		return there.ExistingCollector.(C), nil
	}
	return c, err
}
