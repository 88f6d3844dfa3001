//go:build linux

package etcdtest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// put writes a value. It asks again when the member that it asked is paused, or
// the leader was lost meanwhile.
func put(t *testing.T, client *clientv3.Client, key, value string) (revision int64) {
	t.Helper()
	for end := time.Now().Add(Deadline); ; {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		answer, err := client.Put(ctx, key, value)
		cancel()
		if err == nil {
			return answer.Header.Revision
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func get(t *testing.T, client *clientv3.Client, key string, options ...clientv3.OpOption) (value string, clusterID uint64, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Deadline)
	defer cancel()
	answer, err := client.Get(ctx, key, options...)
	if err != nil {
		return "", 0, err
	}
	if len(answer.Kvs) > 0 {
		value = string(answer.Kvs[0].Value)
	}
	return value, answer.Header.ClusterId, nil
}

func want(t *testing.T, client *clientv3.Client, key, value string) (clusterID uint64) {
	t.Helper()
	got, clusterID, err := get(t, client, key)
	if err != nil || got != value {
		t.Fatalf("%s is %q and %v, want %q", key, got, err, value)
	}
	return clusterID
}

func TestCluster(t *testing.T) {
	c := Start(t, 3, UnsafeNoFsync())
	client := c.Client()
	first := put(t, client, "a", "1")

	old := c.Leader()
	old.Kill()
	put(t, client, "a", "2")
	if leader := c.Leader(); leader == old {
		t.Errorf("%s still leads", old.Name)
	}
	old.Start()
	old.WaitReady()
	want(t, c.Client(old), "a", "2")

	leader := c.Leader()
	leader.Pause()
	put(t, client, "a", "3")
	leader.Resume()
	c.WaitReady()
	want(t, c.Client(leader), "a", "3")

	c.Compact(put(t, client, "a", "4"))
	if _, _, err := get(t, client, "a", clientv3.WithRev(first)); err == nil {
		t.Error("a compacted revision was read")
	}
}

func TestSnapshot(t *testing.T) {
	c := Start(t, 3, UnsafeNoFsync())
	client := c.Client()
	put(t, client, "a", "1")
	file := filepath.Join(t.TempDir(), "snapshot")
	c.Snapshot(file)
	put(t, client, "a", "2")
	before := want(t, client, "a", "2")
	c.Restore(file)
	if after := want(t, client, "a", "1"); after != before {
		t.Errorf("the cluster's ID went from %x to %x", before, after)
	}

	c.Replace(c.Member(1))
	want(t, c.Client(c.Member(1)), "a", "1")
	if after := want(t, client, "a", "1"); after != before {
		t.Errorf("the cluster's ID went from %x to %x", before, after)
	}
}
