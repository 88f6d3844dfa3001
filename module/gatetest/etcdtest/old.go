//go:build linux

package etcdtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// StartOld runs one member of etcd 3.4, from Debian 12, which .ci/test unpacks.
func StartOld(tb testing.TB, options ...Option) *Cluster {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	binary := filepath.Join(cache, "caddy-api-keys", "etcd-3.4", "usr", "bin", "etcd")
	if _, err := os.Stat(binary); err != nil {
		machine.Missing(tb, "etcd 3.4 is not there: %v", err)
	}
	return start(tb, binary, 1, options...)
}
