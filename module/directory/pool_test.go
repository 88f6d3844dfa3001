package directory_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/memstore"
)

// opener opens a store in memory, and counts how often, and how many it closed.
type opener struct {
	name          string
	opens, closes *atomic.Int32
}

func (o opener) Key() (string, error) { return o.name, nil }

func (o opener) Open() (keys.Store, error) {
	o.opens.Add(1)
	store, err := memstore.New()
	return countedStore{store, o.closes}, err
}

// countedStore counts when it is closed.
type countedStore struct {
	keys.Store
	closes *atomic.Int32
}

func (s countedStore) Close() error {
	s.closes.Add(1)
	return s.Store.Close()
}

func newOpener(t *testing.T) opener {
	return opener{t.Name(), new(atomic.Int32), new(atomic.Int32)}
}

func lend(t *testing.T, o keys.Opener) *directory.Lease {
	t.Helper()
	l, err := directory.Lend(o, directory.DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func giveBack(t *testing.T, leases ...*directory.Lease) {
	t.Helper()
	for _, l := range leases {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLeasesShareOneDirectory(t *testing.T) {
	o := newOpener(t)
	a, b := lend(t, o), lend(t, o)
	if a.Directory != b.Directory || o.opens.Load() != 1 {
		t.Errorf("opened %d times", o.opens.Load())
	}
	giveBack(t, a)
	giveBack(t, a) // once more does nothing
	if err := b.Update(t.Context(), operator, func(tx *keys.Tx) error {
		_, err := tx.CreateUser(keys.User{ID: "alice"})
		return err
	}); err != nil {
		t.Errorf("the other lease: %v", err)
	}
	giveBack(t, b)
	c := lend(t, o)
	if o.opens.Load() != 2 {
		t.Errorf("opened %d times, want a second time after the last lease", o.opens.Load())
	}
	giveBack(t, c)
}

func TestTheLastRequestCloses(t *testing.T) {
	o := newOpener(t)
	a := lend(t, o)
	inside, open := a.Enter()
	if !open {
		t.Fatal("not let in")
	}
	giveBack(t, a)
	// A request of the configuration that has ended goes on to be served.
	if _, err := a.Find(t.Context(), credential.DigestOf("inside")); err != nil {
		t.Errorf("the directory was closed under a request: %v", err)
	}
	if late, open := a.Enter(); !open {
		t.Error("a request that comes while another is inside is turned away")
	} else {
		late.Exit()
	}
	inside.Exit()
	if _, open := a.Enter(); open {
		t.Error("let in after the directory was closed")
	}
	if n := o.closes.Load(); n != 1 {
		t.Errorf("the store was closed %d times", n)
	}
}

func TestADrainingDirectoryIsRevived(t *testing.T) {
	o := newOpener(t)
	a := lend(t, o)
	inside, _ := a.Enter()
	giveBack(t, a)
	b := lend(t, o)
	if a.Directory != b.Directory || o.opens.Load() != 1 {
		t.Error("opened again, next to the one that is draining")
	}
	inside.Exit()
	visit, open := b.Enter()
	if !open {
		t.Fatal("closed by a request of the old configuration")
	}
	visit.Exit()
	giveBack(t, b)
}

// Configurations come and go under requests: nobody is turned away while there
// is a lease, and the store is open once at a time.
func TestLeasesUnderTraffic(t *testing.T) {
	o := newOpener(t)
	current := atomic.Pointer[directory.Lease]{}
	first := lend(t, o)
	current.Store(first)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 8 {
		digest := credential.DigestOf(string(rune('a' + i)))
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				l := current.Load()
				visit, open := l.Enter()
				if !open {
					t.Error("turned away")
					return
				}
				if _, err := l.Find(t.Context(), digest); err != nil {
					t.Error(err)
				}
				visit.Exit()
			}
		})
	}
	for range 200 {
		next := lend(t, o)
		old := current.Swap(next)
		giveBack(t, old)
	}
	close(stop)
	wg.Wait()
	giveBack(t, current.Load())
	if n := o.opens.Load(); n != 1 {
		t.Errorf("opened %d times", n)
	}
}
