package etcdstore

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/records"
)

// changeFile makes one change of a store in a file.
func changeFile(t *testing.T, path string, fn func(keys.Writer) error) keys.Commit {
	t.Helper()
	s, err := boltstore.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	done, err := s.Update(t.Context(), fn)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return done
}

func moveIn(t *testing.T, c Config, path string, finish bool) (done Moved, err error) {
	t.Helper()
	err = boltstore.ReadWhole(t.Context(), path, func(r records.Reader) (err error) {
		done, err = MoveIn(t.Context(), c, r, finish)
		return err
	})
	return done, err
}

func TestMove(t *testing.T) {
	all := newStores(t)
	c := all.config(t)
	file := filepath.Join(t.TempDir(), "keys.db")
	key := keystest.SomeKey
	changeFile(t, file, func(w keys.Writer) error { return errors.Join(w.PutUser(keystest.SomeUser), w.PutCredential(key)) })

	done, err := moveIn(t, c, file, false)
	if err != nil || done.Finished || done.Written == 0 || done.Written != done.Records {
		t.Fatalf("prepared %+v: %v", done, err)
	}
	if s, err := Open(c); err == nil || !strings.Contains(err.Error(), "store migrate") {
		t.Errorf("a node starts on what is prepared: %v %v", s, err)
	}
	last := changeFile(t, file, func(w keys.Writer) error { return w.DeleteCredential(key.Digest) })
	done, err = moveIn(t, c, file, true)
	if err != nil || !done.Finished || done.Written == 0 || done.Written >= done.Records+1 || done.Revision != last.Revision {
		t.Fatalf("finished %+v: %v", done, err)
	}
	if again, err := moveIn(t, c, file, true); err != nil || again.Written != 0 {
		t.Errorf("once more: %+v %v", again, err)
	}

	s := openStore(t, c)
	if has(t, s, key.Digest) {
		t.Error("the key that was revoked in the file is there")
	}
	if next, err := s.Update(t.Context(), func(w keys.Writer) error { return w.PutApp(keystest.SomeApp) }); err != nil || next.Revision != last.Revision+1 {
		t.Errorf("the next change is %d (%v)", next.Revision, err)
	}
	if _, err := moveIn(t, c, file, true); !errors.Is(err, errRuns) {
		t.Errorf("moved into a store that a node runs on: %v", err)
	}
	out := filepath.Join(t.TempDir(), "out.db")
	if _, err := MoveOut(t.Context(), c, out); !errors.Is(err, errRuns) {
		t.Errorf("moved out of a store that a node runs on: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := moveIn(t, c, file, true); !errors.Is(err, errInUse) {
		t.Errorf("moved over changes: %v", err)
	}
	if done, err := MoveOut(t.Context(), c, out); err != nil || !done.Finished {
		t.Fatalf("moved out %+v: %v", done, err)
	}
	if s, err := Open(c); err == nil || !strings.Contains(err.Error(), "moved out") {
		t.Errorf("a node starts on what was moved out: %v %v", s, err)
	}
	back, err := boltstore.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	err = back.View(t.Context(), func(r keys.Reader) error {
		_, err := r.App(keystest.SomeApp.AppRef)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
