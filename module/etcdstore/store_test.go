package etcdstore

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// stores makes stores of their own in one etcd.
type stores struct {
	etcd *etcdtest.Cluster
	made atomic.Int64
}

// newStores starts an etcd, which loses what it has if the machine does.
func newStores(t *testing.T) *stores {
	t.Helper()
	return &stores{etcd: etcdtest.Start(t, 1, etcdtest.UnsafeNoFsync())}
}

// newRestorable starts an etcd that is to be restored from a snapshot. Nodes with the
// configuration have a short fence.
func newRestorable(t *testing.T) (*stores, Config) {
	t.Helper()
	all := &stores{etcd: etcdtest.Start(t, 1)}
	c := all.config(t)
	c.MaxStaleness = time.Second
	return all, c
}

// snapshot takes a snapshot of etcd, and returns its path.
func (s *stores) snapshot(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	s.etcd.Snapshot(path)
	return path
}

func (s *stores) config(t *testing.T) Config {
	t.Helper()
	return Config{
		Endpoints: s.etcd.Endpoints(), Prefix: fmt.Sprintf("/%s-%d/", t.Name(), s.made.Add(1)),
		Mirror: filepath.Join(t.TempDir(), "mirror.db"), MaxStaleness: maxStaleness / 4,
	}
}

func openStore(t *testing.T, c Config) *Store {
	t.Helper()
	s, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // the test may have
	return s
}

func TestStore(t *testing.T) {
	all := newStores(t)
	keystest.Run(t, func(t *testing.T) keys.Store { return openStore(t, all.config(t)) })
}

// A node without a mirror waits for a long list, as long as more records come.
func TestLongFirstList(t *testing.T) {
	for name, c := range map[string]struct {
		pause     time.Duration
		hasMirror bool
		ends      bool
	}{
		"a long list":                {startTimeout - time.Second, false, true},
		"a list that stops":          {2*startTimeout + time.Second, false, false},
		"with a mirror from earlier": {2 * freshTimeout, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s Store
				first := make(chan error, 1)
				var list sync.WaitGroup
				defer list.Wait()
				list.Go(func() {
					for range 10 {
						<-time.After(c.pause) // on the bubble's clock
						s.listed.Add(1)
					}
					first <- nil
				})
				if err := s.waitForFirst(first, c.hasMirror); (err == nil) != c.ends {
					t.Error(err)
				}
			})
		})
	}
}
