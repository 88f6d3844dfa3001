package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/boltstore"
)

// logs is an observer that logs. The store outlives the configuration that
// opened it, so it asks for the log of the newest one each time.
type logs struct{ path string }

func (l logs) logger() *zap.Logger {
	return caddy.Log().Named(string(BoltStore{}.CaddyModule().ID)).With(zap.String("path", l.path))
}

// Upgraded implements [boltstore.Observer].
func (l logs) Upgraded(before int, kept string) {
	l.logger().Info("key store upgraded", zap.Int("before", before), zap.String("kept", kept))
}

// CommitFailed implements [boltstore.Observer].
func (l logs) CommitFailed(err error) {
	l.logger().Error("write to the key store failed; it is being opened again", zap.Error(err))
}

// ReopenFailed implements [boltstore.Observer].
func (l logs) ReopenFailed(err error) {
	l.logger().Error("opening the key store again failed", zap.Error(err))
}

// Reopened implements [boltstore.Observer].
func (l logs) Reopened() { l.logger().Info("key store answers again") }

// Interface guard
var _ boltstore.Observer = logs{}
