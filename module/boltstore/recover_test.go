package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

var errDisk = errors.New("the disk failed")

// harness is a store whose commits and whose openings can be made to fail.
type harness struct {
	*Store
	told   chan keys.Change
	commit atomic.Pointer[func(*bolt.DB, func(*bolt.Tx) error) error]
	files  chan *os.File
}

func newHarness(t *testing.T) *harness {
	h := &harness{told: make(chan keys.Change, 100), files: make(chan *os.File, 100)}
	h.Store = newStore(t, newPath(t), faults{
		openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil && flag&os.O_RDWR != 0 {
				h.files <- f
			}
			return f, err
		},
		commit: func(db *bolt.DB, fn func(*bolt.Tx) error) error {
			if f := h.commit.Swap(nil); f != nil {
				return (*f)(db, fn)
			}
			return db.Update(fn)
		},
	})
	h.Feed(func(c keys.Change) { h.told <- c })
	return h
}

// failNext makes the next commit go wrong.
func (h *harness) failNext(f func(*bolt.DB, func(*bolt.Tx) error) error) { h.commit.Store(&f) }

func (h *harness) putUser(t *testing.T, id string) error {
	_, err := h.Update(t.Context(), func(w keys.Writer) error {
		w.Touch(keystest.SomeTime, credential.DigestOf(id))
		return w.PutUser(keys.User{ID: id})
	})
	return err
}

func (h *harness) users(t *testing.T) (ids []string, err error) {
	err = h.View(t.Context(), func(r keys.Reader) error {
		for u, err := range r.Users(0) {
			if err != nil {
				return err
			}
			ids = append(ids, u.ID)
		}
		return nil
	})
	return ids, err
}

func (h *harness) wantTold(t *testing.T, what string, want keys.Change) {
	t.Helper()
	got := <-h.told
	if !slices.Equal(got.Touched, want.Touched) || got.All != want.All || !got.At.Equal(want.At) {
		t.Errorf("%s: told %+v, want %+v", what, got, want)
	}
}

func rollsBack(db *bolt.DB, fn func(*bolt.Tx) error) error {
	err := db.Update(func(tx *bolt.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errDisk
	})
	return err
}

// As when the last sync fails: what was written can be seen.
func takesEffect(db *bolt.DB, fn func(*bolt.Tx) error) error {
	if err := db.Update(fn); err != nil {
		return err
	}
	return errDisk
}

func TestFailedCommit(t *testing.T) {
	for name, c := range map[string]struct {
		commit func(*bolt.DB, func(*bolt.Tx) error) error
		want   []string // who is there in the end
	}{
		"nothing written": {rollsBack, []string{"a", "c"}},
		"all written":     {takesEffect, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			if err := h.putUser(t, "a"); err != nil {
				t.Fatal(err)
			}
			h.wantTold(t, "a good commit", keys.Change{Touched: []credential.Digest{credential.DigestOf("a")}, At: keystest.SomeTime})

			// It can't be opened again at first.
			gate := h.gate()
			h.failNext(c.commit)
			err := h.putUser(t, "b")
			if !errors.Is(err, keys.ErrUnavailable) || !errors.Is(err, errDisk) {
				t.Fatalf("the failed commit: got %v", err)
			}
			if len(h.told) != 1 {
				t.Fatal("the feed had not been told when Update returned")
			}
			h.wantTold(t, "a failed commit", keys.Change{Touched: []credential.Digest{credential.DigestOf("b")}, At: keystest.SomeTime})

			<-gate.begun
			h.wantBroken(t, errDisk)
			gate.let <- os.ErrPermission
			<-gate.begun
			h.wantBroken(t, os.ErrPermission)
			gate.let <- nil
			h.wantTold(t, "opened again", keys.Change{All: true, At: keystest.SomeTime})

			if err := h.putUser(t, "c"); err != nil {
				t.Fatalf("after it was opened again: %v", err)
			}
			h.wantTold(t, "the next commit", keys.Change{Touched: []credential.Digest{credential.DigestOf("c")}, At: keystest.SomeTime})
			if got, err := h.users(t); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// gate holds up every attempt to open the file again. An attempt begins with a
// look at the file, read only.
type gate struct {
	begun chan struct{}
	let   chan error // an error fails the attempt
}

func (h *harness) gate() gate {
	g := gate{begun: make(chan struct{}), let: make(chan error)}
	open := h.Store.openFile
	h.Store.openFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if flag&os.O_RDWR == 0 {
			g.begun <- struct{}{}
			if err := <-g.let; err != nil {
				return nil, err
			}
		}
		return open(name, flag, mode)
	}
	return g
}

func (h *harness) wantBroken(t *testing.T, cause error) {
	t.Helper()
	_, updated := h.Update(t.Context(), func(w keys.Writer) error {
		t.Error("Update ran fn")
		w.Touch(keystest.SomeTime, credential.DigestOf("x"))
		return nil
	})
	for what, err := range map[string]error{
		"View":   h.View(t.Context(), func(keys.Reader) error { t.Error("View ran fn"); return nil }),
		"Update": updated,
		"Used":   h.Used(t.Context(), []keys.Use{{Digest: credential.DigestOf("x")}}),
		"Ready":  h.Ready(t.Context()),
	} {
		if !errors.Is(err, keys.ErrUnavailable) || errors.Is(err, keys.ErrClosed) || !errors.Is(err, cause) || !strings.Contains(err.Error(), h.path) {
			t.Errorf("%s of a broken store: got %v", what, err)
		}
	}
	if len(h.told) != 0 {
		t.Errorf("told %+v of nothing", <-h.told)
	}
}

// The real thing: bbolt's own write fails.
func TestFileLost(t *testing.T) {
	h := newHarness(t)
	if err := h.putUser(t, "a"); err != nil {
		t.Fatal(err)
	}
	<-h.told
	if err := (<-h.files).Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.putUser(t, "b"); !errors.Is(err, keys.ErrUnavailable) || !errors.Is(err, os.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	h.wantTold(t, "a failed commit", keys.Change{Touched: []credential.Digest{credential.DigestOf("b")}, At: keystest.SomeTime})
	h.wantTold(t, "opened again", keys.Change{All: true, At: keystest.SomeTime})
	if got, err := h.users(t); err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if err := h.Ready(t.Context()); err != nil {
		t.Errorf("Ready, opened again: %v", err)
	}
}

// A panic after the commit is no reason not to tell of it.
func TestPanicInCommit(t *testing.T) {
	h := newHarness(t)
	h.failNext(func(db *bolt.DB, fn func(*bolt.Tx) error) error {
		if err := db.Update(fn); err != nil {
			t.Error(err)
		}
		panic(errDisk)
	})
	func() {
		defer func() {
			if r := recover(); r != errDisk {
				t.Errorf("got the panic %v", r)
			}
		}()
		_ = h.putUser(t, "a")
	}()
	h.wantTold(t, "a commit that panicked", keys.Change{Touched: []credential.Digest{credential.DigestOf("a")}, At: keystest.SomeTime})
	h.wantTold(t, "opened again", keys.Change{All: true, At: keystest.SomeTime})
	if got, err := h.users(t); err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// A reader from before the failure ends in peace, and holds up the reopening.
func TestReaderThroughFailure(t *testing.T) {
	h := newHarness(t)
	if err := h.putUser(t, "a"); err != nil {
		t.Fatal(err)
	}
	<-h.told
	err := h.View(t.Context(), func(r keys.Reader) error {
		h.failNext(rollsBack)
		if err := h.putUser(t, "b"); !errors.Is(err, errDisk) {
			t.Errorf("got %v", err)
		}
		<-h.told
		_, err := r.User("a")
		return err
	})
	if err != nil {
		t.Error(err)
	}
	h.wantTold(t, "opened again", keys.Change{All: true, At: keystest.SomeTime})
}

// A file that has gone is not made again: every revocation would be forgotten.
func TestFileGone(t *testing.T) {
	h := newHarness(t)
	gate := h.gate()
	h.failNext(rollsBack)
	_, err := h.Update(t.Context(), func(w keys.Writer) error {
		return errors.Join(os.Rename(h.path, h.path+".away"), w.PutUser(keys.User{ID: "a"}))
	})
	if !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	<-h.told
	<-gate.begun
	gate.let <- nil
	<-gate.begun
	h.wantBroken(t, os.ErrNotExist)
	if _, err := os.Stat(h.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
	if err := os.Rename(h.path+".away", h.path); err != nil {
		t.Fatal(err)
	}
	gate.let <- nil
	h.wantTold(t, "opened again", keys.Change{All: true})
}

// Nor is one made that goes between the look at it and the opening.
func TestFileGoneMeanwhile(t *testing.T) {
	h := newHarness(t)
	gate := h.gate()
	gated := h.Store.openFile
	var once sync.Once
	h.Store.openFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if flag&os.O_RDWR != 0 {
			once.Do(func() {
				if err := os.Rename(name, name+".away"); err != nil {
					t.Error(err)
				}
			})
		}
		return gated(name, flag, mode)
	}
	h.failNext(rollsBack)
	if err := h.putUser(t, "a"); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	<-h.told
	<-gate.begun
	gate.let <- nil
	<-gate.begun
	h.wantBroken(t, os.ErrNotExist)
	if err := os.Rename(h.path+".away", h.path); err != nil {
		t.Fatal(err)
	}
	gate.let <- nil
	h.wantTold(t, "opened again", keys.Change{All: true})
}

// A file that fails the check is not used.
func TestCheckFails(t *testing.T) {
	for name, damage := range map[string]func(file []byte){
		"all pages overwritten": func(file []byte) {
			for i := 2 * os.Getpagesize(); i < len(file); i++ { // behind the two meta pages
				file[i] ^= 0xff
			}
		},
		"a key out of order": func(file []byte) {
			copy(file, bytes.ReplaceAll(file, []byte("user-100"), []byte("user-999")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			_, err := h.Update(t.Context(), func(w keys.Writer) error {
				for i := range 300 {
					if err := w.PutUser(keys.User{ID: fmt.Sprintf("user-%03d", i)}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			<-h.told
			good, err := os.ReadFile(h.path)
			if err != nil {
				t.Fatal(err)
			}
			bad := slices.Clone(good)
			damage(bad)

			gate := h.gate()
			h.failNext(func(db *bolt.DB, fn func(*bolt.Tx) error) error {
				defer write(string(bad))(t, h.path)
				return rollsBack(db, fn)
			})
			if err := h.putUser(t, "a"); !errors.Is(err, errDisk) {
				t.Fatalf("got %v", err)
			}
			<-h.told
			<-gate.begun
			gate.let <- nil
			<-gate.begun
			h.wantBroken(t, errDamaged)
			write(string(good))(t, h.path)
			gate.let <- nil
			h.wantTold(t, "opened again", keys.Change{All: true})
		})
	}
}

// Close ends the attempts to open the file again; goleak sees if not.
func TestCloseBroken(t *testing.T) {
	h := newHarness(t)
	gate := h.gate()
	h.failNext(rollsBack)
	if err := h.putUser(t, "a"); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	<-h.told
	<-gate.begun
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	<-h.closing     // Close has begun
	gate.let <- nil // and what it waits for has still to end
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := h.putUser(t, "a"); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	// It was opened again, and is not held now.
	newStore(t, h.path, realFaults())
	if len(h.told) != 0 {
		t.Errorf("told %+v after Close", <-h.told)
	}
}

// The same where no attempt is running, but the next one waited for.
func TestCloseBetweenAttempts(t *testing.T) {
	h := newHarness(t)
	gate := h.gate()
	h.failNext(rollsBack)
	if err := h.putUser(t, "a"); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
	<-gate.begun
	gate.let <- os.ErrPermission
	go func() {
		// A further attempt may begin before Close does.
		select {
		case <-gate.begun:
			gate.let <- os.ErrPermission
		case <-h.closing:
		}
	}()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
