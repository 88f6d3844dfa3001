package caddymodule

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/etcdstore"
)

// logs is an observer that logs, and emits events. The store outlives the configuration that opened
// it, so it asks for the log of the newest one each time.
type logs struct {
	// key names the store to the emitter of events.
	key string
}

func (logs) logger() *zap.Logger {
	return caddy.Log().Named(string(EtcdStore{}.CaddyModule().ID))
}

// Upgraded implements [boltstore.Observer].
func (l logs) Upgraded(before int, kept string) {
	l.logger().Info("mirror upgraded", zap.Int("before", before), zap.String("kept", kept))
}

// CommitFailed implements [boltstore.Observer].
func (l logs) CommitFailed(err error) {
	l.logger().Error("write to the mirror failed; it is being opened again", zap.Error(err))
}

// ReopenFailed implements [boltstore.Observer].
func (l logs) ReopenFailed(err error) {
	l.logger().Error("opening the mirror again failed", zap.Error(err))
}

// Reopened implements [boltstore.Observer].
func (l logs) Reopened() { l.logger().Info("mirror answers again") }

// Listed implements [etcdstore.Observer].
func (l logs) Listed(why string, records int, took time.Duration) {
	l.logger().Info("mirror made from all records in etcd", zap.String("why", why), zap.Int("records", records), zap.Duration("took", took))
}

// Disconnected implements [etcdstore.Observer].
func (l logs) Disconnected(err error) {
	l.logger().Warn("etcd can't be followed now; trying again", zap.Error(err))
}

// Stale implements [etcdstore.Observer].
func (l logs) Stale(why error) {
	l.logger().Error("this node may not know the newest changes", zap.Error(why))
	emit.stale(l.key, why)
}

// Fresh implements [etcdstore.Observer].
func (l logs) Fresh() { l.logger().Info("this node knows the newest changes") }

// Held implements [etcdstore.Observer].
func (l logs) Held(err error) {
	l.logger().Error("the fleet must be reconciled", zap.Error(err))
}

// Interface guard
var _ etcdstore.Observer = logs{}
