package caddymodule

import (
	"errors"
	"fmt"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// nodeStale is the event of a node that stops being fresh. Its data has the reason
// under why.
const nodeStale = "api_keys.node_stale"

// emitter emits events for the newest configuration that has a store. The store
// outlives the configuration that opened it.
type emitter struct {
	mu      sync.Mutex
	sources map[string][]source
}

// source is a configuration of a store, whose events app may be subscribed to.
type source struct {
	of     *EtcdStore
	ctx    caddy.Context
	events *caddyevents.App
}

var emit = emitter{sources: map[string][]source{}}

// add takes in a configuration that has subscriptions to events.
func (m *emitter) add(ctx caddy.Context, e *EtcdStore) error {
	app, err := ctx.AppIfConfigured("events")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("events of the key store: %w", err)
	}
	key, err := e.Key()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources[key] = append(m.sources[key], source{e, ctx, app.(*caddyevents.App)})
	return nil
}

// remove forgets a configuration.
func (m *emitter) remove(e *EtcdStore) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, list := range m.sources {
		var others []source
		for _, s := range list {
			if s.of != e {
				others = append(others, s)
			}
		}
		m.sources[key] = others
		if len(others) == 0 {
			delete(m.sources, key)
		}
	}
}

// stale emits that a node has stopped being fresh. It doesn't wait for handlers.
func (m *emitter) stale(key string, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.sources[key]
	if len(list) == 0 {
		return
	}
	data := map[string]any{}
	if why != nil {
		data["why"] = why.Error()
	}
	newest := list[len(list)-1]
	go newest.events.Emit(newest.ctx, nodeStale, data)
}

// Cleanup implements [caddy.CleanerUpper].
func (e *EtcdStore) Cleanup() error {
	emit.remove(e)
	return nil
}

// Interface guard
var _ caddy.CleanerUpper = (*EtcdStore)(nil)
