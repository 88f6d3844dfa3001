package etcdstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// A mirror whose file is deleted is made again, and the node goes on.
func TestMirrorDeleted(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	c.MaxStaleness = time.Second
	s := openStore(t, c)
	key := keystest.SomeKey
	put(t, s, func(w keys.Writer) error { return w.PutCredential(key) })
	if err := os.Remove(c.Mirror); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s.Ready(ctx) != nil || gone(c.Mirror) {
		select {
		case <-ctx.Done():
			t.Fatalf("the mirror is not back: %v", s.Ready(t.Context()))
		case <-time.After(10 * time.Millisecond):
		}
	}
	revoke(t, s, key.Digest)
	if has(t, s, key.Digest) {
		t.Error("the node has the key that was revoked")
	}
	found, err := s.Examine(t.Context())
	if err != nil || len(found.Findings) > 0 {
		t.Errorf("the mirror: %v %v", found.Findings, err)
	}
}

func gone(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
