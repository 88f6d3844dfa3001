package boltstore

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"testing"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

func TestStore(t *testing.T) {
	keystest.Run(t, func(t *testing.T) keys.Store { return newStore(t, newPath(t), realFaults()) })
}

func realFaults() faults {
	return faults{openFile: os.OpenFile, commit: (*bolt.DB).Update}
}

func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "keys.db")
}

// newStore opens a store that the end of the test closes and checks.
func newStore(t *testing.T, path string, f faults) *Store {
	t.Helper()
	s, err := open(path, nil, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if now := s.state.Load(); now.db != nil {
			if err := now.db.View(checkPages); err != nil {
				t.Error(err)
			}
		}
		_ = s.Close() // the test may have
	})
	return s
}

func putSome(t *testing.T, s *Store) {
	t.Helper()
	_, err := s.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(keystest.SomeTime, keystest.SomeKey.Digest)
		for _, err := range []error{
			w.PutUser(keystest.SomeUser), w.PutApp(keystest.SomeApp), w.PutCredential(keystest.SomeKey),
			w.PutCollaborator(keystest.SomeCollaborator), w.PutTombstone(keystest.SomeTombstone), w.RetireUser("gone"),
		} {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// dump reads everything there is of putSome.
func dump(t *testing.T, s *Store) (all [7]any) {
	t.Helper()
	err := s.View(t.Context(), func(r keys.Reader) error {
		var errs [7]error
		all[0], errs[0] = r.User("u")
		all[1], errs[1] = r.App(keystest.SomeApp.AppRef)
		all[2], errs[2] = r.CredentialByID("cak_1")
		all[3], errs[3] = r.Collaborator(keystest.SomeCollaborator.CollaboratorRef)
		all[4], errs[4] = r.Tombstone(keystest.SomeTombstone.Digest)
		all[5], errs[5] = r.UserRetired("gone")
		all[6], errs[6] = r.LastWrite()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOpenAgain(t *testing.T) {
	path := newPath(t)
	s := newStore(t, path, realFaults())
	putSome(t, s)
	want := dump(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = newStore(t, path, realFaults())
	if got := dump(t, s); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	// The seq goes on where it was.
	_, err := s.Update(t.Context(), func(w keys.Writer) error {
		if err := w.PutUser(keys.User{ID: "a"}); err != nil {
			return err
		}
		u, err := w.User("a")
		if err == nil && u.Seq != 2 {
			t.Errorf("the second user has the seq %d", u.Seq)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A record that brings its seq, as from a backup, keeps it, and what is made
// later comes later.
func TestGivenSeq(t *testing.T) {
	s := newStore(t, newPath(t), realFaults())
	_, err := s.Update(t.Context(), func(w keys.Writer) error {
		for _, u := range []keys.User{{ID: "a", Seq: 7}, {ID: "b"}, {ID: "c", Seq: 3}} {
			if err := w.PutUser(u); err != nil {
				return err
			}
		}
		var got string
		for u, err := range w.Users(0) {
			if err != nil {
				return err
			}
			got += u.ID + strconv.FormatUint(u.Seq, 10) + " "
		}
		if got != "c3 a7 b8 " {
			t.Errorf("got %s", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNewFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // which keeps no such modes
	}
	path := filepath.Join(t.TempDir(), "a", "b", "keys.db")
	newStore(t, path, realFaults())
	for name, want := range map[string]os.FileMode{
		path:                             0o600,
		filepath.Dir(path):               0o700,
		filepath.Dir(filepath.Dir(path)): 0o700,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %v, want %v", name, got, want)
		}
	}
}
