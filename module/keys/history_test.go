package keys_test

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest/history"
)

func TestHistories(t *testing.T) {
	history.Run(t, history.Setup{
		Open:      func(path string) (keys.Store, error) { return boltstore.Open(path) },
		Directory: keys.NewTestDirectory,
		Histories: 2000,
	})
}
