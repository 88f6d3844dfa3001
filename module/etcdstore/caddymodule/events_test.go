//go:build linux

package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	_ "github.com/caddy-api-keys/gateway/module/etcdstore/caddymodule"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
	_ "github.com/caddy-api-keys/gateway/module/gateway"
)

// handled receives the events that a [subscriber] handles.
var handled = make(chan caddy.Event, 100)

// subscriber is an event handler.
type subscriber struct{}

func init() { caddy.RegisterModule(subscriber{}) }

func (subscriber) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test", New: func() caddy.Module { return new(subscriber) }}
}

func (subscriber) Handle(_ context.Context, e caddy.Event) error {
	handled <- e
	return nil
}

// A node that becomes stale is shown by the metrics, and emits an event to the
// newest configuration.
func TestStaleNodeEmitsAnEvent(t *testing.T) {
	etcd := etcdtest.Start(t, 1, etcdtest.UnsafeNoFsync())
	mirror, err := json.Marshal(filepath.Join(t.TempDir(), "mirror.db"))
	if err != nil {
		t.Fatal(err)
	}
	apps := fmt.Sprintf(`"events": {"subscriptions": [{"events": ["api_keys.node_stale"], "handlers": [{"handler": "test"}]}]},
		"api_keys": {"store": {"module": "etcd", "endpoints": [%q], "mirror": %s, "max_staleness": "400ms"}}`, etcd.Endpoints()[0], mirror)
	admin := gatetest.StartAdmin(t, apps)
	// The store goes on, and its first configuration ends.
	if err := admin.Load(apps + `, "tls": {}`); err != nil {
		t.Fatal(err)
	}
	gatetest.Until(t, "the node is fresh", func() bool { return gauge(t, "fresh") == 1 })
	gatetest.Until(t, "the node knows of itself", func() bool { return gauge(t, "nodes") == 1 })

	etcd.Member(0).Pause()
	e := gatetest.Receive(t, handled, "the event")
	if gauge(t, "fresh") != 0 || gauge(t, "lag_seconds") < 0.4 {
		t.Errorf("fresh is %g with a lag of %g s", gauge(t, "fresh"), gauge(t, "lag_seconds"))
	}
	etcd.Member(0).Resume()
	if why, _ := e.Data["why"].(string); e.Name() != "api_keys.node_stale" || why == "" {
		t.Errorf("the event is %s with %v", e.Name(), e.Data)
	}
	if e.Origin() == nil || e.Origin().CaddyModule().ID != "api_keys.stores.etcd" {
		t.Errorf("the event comes from %v", e.Origin())
	}
	if time.Since(e.Timestamp()) > time.Minute {
		t.Errorf("the event is of %s", e.Timestamp())
	}
	gatetest.Until(t, "the node is fresh again", func() bool { return gauge(t, "fresh") == 1 && gauge(t, "lag_seconds") < 0.4 })
}

// gauge returns a metric of the fleet.
func gauge(t *testing.T, name string) float64 {
	t.Helper()
	ctx := caddy.ActiveContext()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "caddy_api_keys_fleet_"+name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}
