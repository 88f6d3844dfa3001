//go:build linux

package etcdstore

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{"3.4.23": true, "3.5.0": false, "3.7.3": false, "4.0.0": false, "2.9.9": true, "": true, "3": true, "3.x": true, "3.10.1": false} {
		if tooOld(version) != want {
			t.Errorf("%q is too old: %v", version, !want)
		}
	}
}

// An etcd that may lose what it has acknowledged is refused with what to do.
func TestOldEtcd(t *testing.T) {
	old := etcdtest.StartOld(t)
	s, err := Open(Config{Endpoints: old.Endpoints(), Mirror: filepath.Join(t.TempDir(), "mirror.db")})
	if err == nil {
		_ = s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "too old: upgrade all members to 3.5 or newer") {
		t.Errorf("opened with %v", err)
	}
}
