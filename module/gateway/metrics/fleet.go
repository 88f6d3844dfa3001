package metrics

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// fleet describes this node when metrics are collected, so that requests don't pay
// for it.
type fleet struct {
	describe func(context.Context) (keys.Fleet, error)
	metrics  []fleetMetric
}

// fleetMetric is one value of a fleet, as this node sees it.
type fleetMetric struct {
	*prometheus.Desc
	kind  prometheus.ValueType
	value func(*keys.Fleet) float64
}

// ObserveFleet registers the metrics of a store that several processes share. They
// have no values while describe returns an error, such as [keys.ErrNotShared].
func ObserveFleet(registry prometheus.Registerer, describe func(context.Context) (keys.Fleet, error)) error {
	gauge := func(name, help string, value func(*keys.Fleet) float64) fleetMetric {
		return fleetMetric{prometheus.NewDesc("caddy_api_keys_fleet_"+name, help, nil, nil), prometheus.GaugeValue, value}
	}
	served := gauge("stale_decisions_total", "Look-ups of credentials that this node answered without being sure to know the newest changes, with on_stale serve.",
		func(f *keys.Fleet) float64 { return float64(f.ServedStale) })
	served.kind = prometheus.CounterValue
	err := registry.Register(&fleet{describe, []fleetMetric{
		gauge("fresh", "Whether this node is sure to know the newest changes of the key store: 1 or 0.", func(f *keys.Fleet) float64 {
			if f.Fresh {
				return 1
			}
			return 0
		}),
		gauge("lag_seconds", "How long ago this node knew everything.", func(f *keys.Fleet) float64 { return f.LagSeconds }),
		gauge("revision", "The newest change of the key store that this node has heard of.", func(f *keys.Fleet) float64 { return float64(f.Revision) }),
		gauge("behind_revisions", "How many of these changes this node has yet to apply.", func(f *keys.Fleet) float64 { return float64(f.Behind) }),
		gauge("nodes", "How many nodes share the key store, as far as this node knows.", func(f *keys.Fleet) float64 { return float64(len(f.Nodes)) }),
		served,
	}})
	if _, there := errors.AsType[prometheus.AlreadyRegisteredError](err); there {
		return nil
	}
	return err
}

// Describe implements [prometheus.Collector].
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range f.metrics {
		ch <- m.Desc
	}
}

// Collect implements [prometheus.Collector].
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	now, err := f.describe(context.Background())
	if err != nil {
		return // there is no fleet, or not yet
	}
	for _, m := range f.metrics {
		ch <- prometheus.MustNewConstMetric(m.Desc, m.kind, m.value(&now))
	}
}
