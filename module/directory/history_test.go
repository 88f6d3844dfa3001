package directory_test

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/directory/history"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func TestHistories(t *testing.T) {
	history.Run(t, history.Setup{
		Open:      func(path string) (keys.Store, error) { return boltstore.Open(path) },
		Directory: directory.NewForTest,
		Histories: 2000,
	})
}
