package boltstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// builtKey is the i-th key that tests build a store with.
func builtKey(i int) keys.Credential {
	c := keys.Credential{
		Digest: credential.DigestOf(fmt.Sprint("key ", i)), ID: fmt.Sprintf("cak_%05d", i), Kind: policy.AppKey,
		UserID: fmt.Sprint("user-", i%7), AppID: fmt.Sprint("app-", i%3), Scopes: []string{"Predict"}, CreatedBy: keys.Operator,
	}
	if i%5 == 0 {
		c.Kind, c.AppID = policy.PAT, ""
	}
	return c
}

// putHolders writes the users and apps of built keys.
func putHolders(w keys.Writer) error {
	var all []error
	for u := range 7 {
		id := fmt.Sprint("user-", u)
		all = append(all, w.PutUser(keys.User{ID: id}))
		for a := range 3 {
			all = append(all, w.PutApp(keys.App{AppRef: keys.AppRef{OwnerID: id, AppID: fmt.Sprint("app-", a)}}))
		}
	}
	return errors.Join(all...)
}

// putRevoked writes the tombstone of a key.
func putRevoked(w keys.Writer) error {
	return w.PutTombstone(keys.Tombstone{Digest: credential.DigestOf("revoked"), ID: "cak_revoked"})
}

// smallRuns makes the sorters of a build write to their files.
func smallRuns(b *Build) {
	for _, s := range b.new.sorted {
		s.most = 2000
	}
}

// putBuilt writes the keys from one number to another.
func putBuilt(from, to int) func(keys.Writer) error {
	return func(w keys.Writer) error {
		for i := from; i < to; i++ {
			if err := w.PutCredential(builtKey(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

// beginBuild begins to build a store that has users, apps, the first keys,
// and a tombstone. It returns what the file holds.
func beginBuild(t *testing.T, first int) (path string, before []byte, b *Build) {
	t.Helper()
	path = newPath(t)
	s := newStoreToClose(t, path)
	for _, put := range []func(keys.Writer) error{putHolders, putBuilt(0, first), putRevoked} {
		if _, err := s.Update(t.Context(), put); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A build that was killed has left its copy.
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".import-1"), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err = s.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path, before, b
}

// files lists the folder of a store.
func files(t *testing.T, path string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		names = append(names, f.Name())
	}
	return names
}

// A built store has the added records, in order, next to its earlier ones.
// Until the build is finished, the store stays as it was.
func TestBuild(t *testing.T) {
	for _, first := range []int{0, 1, 130} {
		t.Run(fmt.Sprint(first), func(t *testing.T) {
			path, before, b := beginBuild(t, first)
			smallRuns(b)
			const parts, each = 20, 50
			for part := range parts {
				addBuilt(t, b, first+part*each, first+(part+1)*each)
			}
			if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
				t.Errorf("the store was changed before the end (%v)", err)
			}
			if err := b.Finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Update(t.Context(), func(keys.Writer) error { return nil }); !errors.Is(err, keys.ErrClosed) {
				t.Errorf("after the end: %v", err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if left := files(t, path); len(left) != 1 {
				t.Errorf("the folder has %v", left)
			}
			found, err := Examine(t.Context(), path)
			if err != nil || len(found.Findings) > 0 {
				t.Fatalf("found %+v, %v", found.Findings, err)
			}
			checkBuilt(t, path, first+parts*each)
		})
	}
}

// addBuilt adds keys to a build, with a user. Each is found once it is put.
func addBuilt(t *testing.T, b *Build, from, to int) {
	t.Helper()
	_, err := b.Update(t.Context(), func(w keys.Writer) error {
		if _, err := w.Tombstone(credential.DigestOf("revoked")); err != nil {
			t.Errorf("the tombstone: %v", err)
		}
		for i := from; i < to; i++ {
			if _, err := w.Credential(builtKey(i).Digest); !errors.Is(err, keys.ErrNotFound) {
				t.Errorf("before it was put: %v", err)
			}
			if err := w.PutCredential(builtKey(i)); err != nil {
				return err
			}
			for _, earlier := range []int{i, i / 2, from - 1} {
				if earlier < 0 {
					continue
				}
				if c, err := w.Credential(builtKey(earlier).Digest); err != nil || c.ID != builtKey(earlier).ID {
					t.Errorf("key %d is %s, %v", earlier, c.ID, err)
				}
			}
		}
		return w.PutUser(keys.User{ID: fmt.Sprint("new-", from)})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// checkBuilt checks the keys of a store that was built.
func checkBuilt(t *testing.T, path string, n int) {
	t.Helper()
	err := newStore(t, path, realFaults()).View(t.Context(), func(r keys.Reader) error {
		for u := range 7 {
			want := u
			for c, err := range r.Credentials(fmt.Sprint("user-", u), 0) {
				if err != nil {
					return err
				}
				if c.ID != builtKey(want).ID || c.Seq != uint64(want+1) {
					t.Errorf("%s has the place %d, want %s", c.ID, c.Seq, builtKey(want).ID)
				}
				if byID, err := r.CredentialByID(c.ID); err != nil || byID.Digest != c.Digest {
					t.Errorf("by its ID: %v", err)
				}
				want += 7
			}
			if want < n {
				t.Errorf("user %d has no key %d", u, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// An unfinished build leaves the store as it was, and no file next to it.
func TestBuildGivenUp(t *testing.T) {
	put := func(keys.Writer) error { return nil }
	for name, c := range map[string]struct {
		change  func(keys.Writer) error
		replace bool
		fails   bool
	}{
		"no change":            {put, false, false},
		"a change that failed": {func(keys.Writer) error { return errors.New("refused") }, false, true},
		"a record that can't be read again": {func(w keys.Writer) error {
			c := builtKey(1)
			c.Description = "\xff"
			return w.PutCredential(c)
		}, false, true},
		"one key ID twice": {func(w keys.Writer) error {
			c := builtKey(2)
			c.ID = builtKey(1).ID
			return errors.Join(w.PutCredential(builtKey(1)), w.PutCredential(c))
		}, false, true},
		"the key ID of an earlier key": {func(w keys.Writer) error {
			c := builtKey(2)
			c.ID = builtKey(0).ID
			return w.PutCredential(c)
		}, false, true},
		"another file in its place": {put, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			path, before, b := beginBuild(t, 1)
			_, err := b.Update(t.Context(), c.change)
			if c.replace {
				if err := os.Rename(path, path+".moved"); err != nil {
					t.Fatal(err)
				}
				write(string(before))(t, path)
			}
			if c.fails {
				if finished := b.Finish(t.Context()); finished == nil {
					t.Errorf("it was finished; the change ended with %v", err)
				}
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !slices.Equal(before, after) {
				t.Errorf("the store was changed (%v)", err)
			}
			if left := files(t, path); len(left) != 1 && !c.replace {
				t.Errorf("the folder has %v", left)
			}
		})
	}
}

// A store with an unfinished deletion is not built, and stays open.
func TestBuildRefused(t *testing.T) {
	s := newStore(t, newPath(t), realFaults())
	deletion := func(w keys.Writer) error {
		return w.PutDeletion(keys.Deletion{AppRef: keys.AppRef{OwnerID: "user-1", AppID: "app-1"}})
	}
	if _, err := s.Update(t.Context(), deletion); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Build(t.Context()); !errors.Is(err, ErrDeleting) {
		t.Errorf("got %v", err)
	}
	putSome(t, s)
	if left := files(t, s.path); len(left) != 1 {
		t.Errorf("the folder has %v", left)
	}
}

// newStoreToClose is a store that the test closes, or what it builds of it.
func newStoreToClose(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
