//go:build linux

package cmd

import (
	"path/filepath"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/etcdtest"
)

func TestStoreMigrate(t *testing.T) {
	etcd := etcdtest.Start(t, 1, etcdtest.UnsafeNoFsync()).Endpoints()[0]
	folder := t.TempDir()
	file, back := filepath.Join(folder, "keys.db"), filepath.Join(folder, "back.db")
	s := &shell{t: t, where: []string{"--db", file}}
	s.must("", "user", "create", "alice")
	key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "All").Keys[0]

	contains(t, must(t, "store", "migrate", "bbolt:"+file, "etcd:"+etcd, "--prepare"), "Prepared", "run it again")
	s.must("", "key", "revoke", key.KeyID)
	contains(t, must(t, "store", "migrate", "bbolt:"+file, "etcd:"+etcd), "Moved and compared")
	contains(t, must(t, "store", "migrate", "etcd:"+etcd, "bbolt:"+back), "Moved and compared")

	s = &shell{t: t, where: []string{"--db", back}}
	if st := s.answer("", "store", "stats").StoreStats; st.Users != 1 || st.Tombstones != 1 || st.PATs.Total() != 0 {
		t.Errorf("what came back is %+v", st)
	}
	if r := run(t, "", "store", "migrate", "bbolt:"+back, file); r.err == nil {
		t.Error("two files are two places")
	}
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, "", args...)
	if r.err != nil {
		t.Fatalf("%v: %v", args, r.err)
	}
	return r.out
}
