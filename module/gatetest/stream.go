package gatetest

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// StreamPath is a path that the options StreamRoutes allow to app keys of
// alice's app shop with the scope Stream:Get.
const StreamPath = "/v2/users/alice/apps/shop/stream"

// StreamRoutes are the options of a gate for requests that take long.
const StreamRoutes = `
	route * /v2/users/{user_id}/apps/{app_id}/stream Stream:Get
	upgrade websocket`

// StartStreaming runs Caddy with StreamRoutes, the users alice and bob, and
// alice's app shop.
func StartStreaming(tb testing.TB) *Server {
	tb.Helper()
	s := Start(tb, StreamRoutes)
	s.AddUsers("alice", "bob")
	s.AddApp("alice", "shop")
	return s
}

// NewStreamKey creates an app key for StreamPath and returns its text and ID.
func NewStreamKey(s *Server) (text, id string) {
	s.T.Helper()
	text, c := s.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Stream:Get"}})
	return text, c.ID
}
