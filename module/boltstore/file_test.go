package boltstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text":          {write("This is not a key store.\n"), "not a key store"},
		"much text":     {write(strings.Repeat("This is not a key store.\n", 1000)), "not a key store"},
		"zeros":         {write(strings.Repeat("\x00", 1<<16)), "not a key store"},
		"other's":       {edit(func(tx *bolt.Tx) error { return forget(tx, "someone") }), "not a key store"},
		"other's meta":  {edit(func(tx *bolt.Tx) error { return forget(tx, "meta") }), "not a key store"},
		"other program": {format("another-program 1"), "not a key store"},
		"newer":         {format("caddy-api-keys 6"), "newer version of this program: use that version (its format is 6, this version reads 5)"},
		"no version":    {format("caddy-api-keys x"), "damaged: put a backup copy of it in its place"},
		"version 0":     {format("caddy-api-keys 0"), "damaged: put a backup copy of it in its place"},
		"no bucket":     {edit(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("tombstones")) }), "damaged: put a backup copy of it in its place (it has no bucket tombstones)"},
		"cut short":     {truncate(8192), "damaged: put a backup copy of it in its place"},
		"last page cut": {truncate(-1), "damaged: put a backup copy of it in its place"},
		"a folder": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a key store"},
		"below a file": {func(t *testing.T, path string) {
			if err := os.WriteFile(filepath.Dir(path)+"/sub", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			c.make(t, path)
			before, _ := os.ReadFile(path)
			if name == "below a file" {
				path = filepath.Join(filepath.Dir(path), "sub", "keys.db")
			}
			s, err := Open(path)
			if err == nil {
				_ = s.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "opening key store "+path+": ") {
				t.Errorf("got %q, want %q in it", err, c.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
}

// A run that died between making the file and filling it.
func TestOpenEmpty(t *testing.T) {
	for name, fill := range map[string]func(t *testing.T, path string){
		"no bytes":   write(""),
		"no buckets": edit(func(tx *bolt.Tx) error { return forget(tx, "") }),
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			fill(t, path)
			putSome(t, newStore(t, path, realFaults()))
		})
	}
}

func TestOpenTwice(t *testing.T) {
	path := newPath(t)
	newStore(t, path, realFaults())
	s, err := Open(path)
	if err == nil {
		_ = s.Close()
		t.Fatal("it was opened twice")
	}
	want := "opening key store " + path + ": it is still in use by another process after 2s: stop that process, or give one of the two a path of its own"
	if err.Error() != want {
		t.Errorf("\n got %q\nwant %q", err, want)
	}
}

func write(content string) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// edit makes a store and changes it behind its back.
func edit(fn func(*bolt.Tx) error) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		putSome(t, s)
		if err := s.state.Load().db.Update(fn); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func format(format string) func(*testing.T, string) {
	return edit(func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte(format)) })
}

// forget leaves one bucket, which is not ours, or none.
func forget(tx *bolt.Tx, instead string) error {
	for _, name := range records.Buckets(records.Format) {
		if err := tx.DeleteBucket(name); err != nil {
			return err
		}
	}
	if instead == "" {
		return nil
	}
	_, err := tx.CreateBucket([]byte(instead))
	return err
}

// truncate leaves so many bytes of a store, or all but the last page that is
// in use.
func truncate(size int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		size := size
		edit(func(tx *bolt.Tx) error {
			if size < 0 {
				size = tx.Size() - int64(os.Getpagesize())
			}
			return nil
		})(t, path)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
}

// A folder whose parent is there, and yet it can't be made, is an error, and no
// attempt without end.
func TestOpenWhereNoFolderCanBeMade(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{filepath.Join(link, "sub"), filepath.Join(link, "sub", "sub")} {
		s, err := Open(filepath.Join(folder, "keys.db"))
		if err == nil {
			_ = s.Close()
			t.Fatal("it was opened")
		}
		if want := "the folder " + filepath.Join(link, "sub") + " can't be made: "; !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "give another path") {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	// A File follows the link, as every program would that makes the file.
	s, err := (File{Path: filepath.Join(link, "sub", "keys.db")}).Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "nowhere", "sub", "keys.db")); err != nil {
		t.Error(err)
	}
}

// A change that would go to a file that nobody finds again is not taken: it
// would be acknowledged, and lost when the process ends.
func TestNoChangeGoesAstray(t *testing.T) {
	put := func(s *Store, id string) error {
		_, err := s.Update(t.Context(), func(w keys.Writer) error { return w.PutUser(keys.User{ID: id}) })
		return err
	}
	for name, stray := range map[string]func(path string) error{
		"moved": func(string) error { return nil },
		"replaced": func(path string) error {
			s, err := Open(path)
			if err != nil {
				return err
			}
			return s.Close()
		},
		"replaced by a link to nowhere": func(path string) error { return os.Symlink(path+".nowhere", path) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, newPath(t), realFaults())
			if err := put(s, "a"); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.Rename(s.path, s.path+".away"), stray(s.path)); err != nil {
				t.Fatal(err)
			}
			if err := put(s, "b"); !errors.Is(err, errAstray) || !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("got %v, want %v", err, errAstray)
			}
			if err := s.Ready(t.Context()); !errors.Is(err, errAstray) || !errors.Is(err, keys.ErrUnavailable) {
				t.Errorf("Ready: got %v, want %v", err, errAstray)
			}
			// Cached answers continue, because waiting gives no better answer.
			err := s.View(t.Context(), func(r keys.Reader) error {
				_, err := r.User("a")
				if _, missing := r.User("b"); !errors.Is(missing, keys.ErrNotFound) {
					t.Errorf("what was refused is there: %v", missing)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if err := os.Rename(s.path+".away", s.path); err != nil {
				t.Fatal(err)
			}
			if err := put(s, "b"); err != nil {
				t.Errorf("once the file is back: %v", err)
			}
		})
	}
}
