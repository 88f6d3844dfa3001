package metrics

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestFleetMetrics(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fleet keys.Fleet
		err   error
		want  map[string]float64
	}{
		{"not shared", keys.Fleet{}, keys.ErrNotShared, nil},
		{"fresh", keys.Fleet{Fresh: true, LagSeconds: 0.25, Revision: 7, Nodes: make([]keys.Node, 3)}, nil, map[string]float64{
			"fresh": 1, "lag_seconds": 0.25, "revision": 7, "behind_revisions": 0, "nodes": 3, "stale_decisions_total": 0,
		}},
		{"stale", keys.Fleet{LagSeconds: 9, Revision: 12, Behind: 2, ServedStale: 5, Nodes: make([]keys.Node, 1)}, nil, map[string]float64{
			"fresh": 0, "lag_seconds": 9, "revision": 12, "behind_revisions": 2, "nodes": 1, "stale_decisions_total": 5,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			describe := func(context.Context) (keys.Fleet, error) { return tt.fleet, tt.err }
			for range 2 { // the gates of one configuration share the registry
				if err := ObserveFleet(registry, describe); err != nil {
					t.Fatal(err)
				}
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			if len(families) != len(tt.want) {
				t.Errorf("%d metrics, want %d", len(families), len(tt.want))
			}
			for _, f := range families {
				m := f.GetMetric()[0]
				got := m.GetGauge().GetValue() + m.GetCounter().GetValue()
				if want, ok := tt.want[strings.TrimPrefix(f.GetName(), "caddy_api_keys_fleet_")]; !ok || got != want {
					t.Errorf("%s is %g, want %g", f.GetName(), got, want)
				}
			}
		})
	}
}
