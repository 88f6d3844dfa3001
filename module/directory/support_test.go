package directory_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/memstore"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var operator = keys.Actor{ID: keys.Operator}

// faultyStore is a store that a test holds up or breaks.
type faultyStore struct {
	keys.Store
	// before and after are called around what a View reads; an error of
	// before is the View's.
	before atomic.Pointer[func() error]
	after  atomic.Pointer[func()]
	// updates counts them.
	updates atomic.Int64
}

func (m *faultyStore) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	m.updates.Add(1)
	return m.Store.Update(ctx, fn)
}

func (m *faultyStore) View(ctx context.Context, fn func(keys.Reader) error) error {
	if f := m.before.Load(); f != nil {
		if err := (*f)(); err != nil {
			return err
		}
	}
	err := m.Store.View(ctx, fn)
	if f := m.after.Load(); f != nil {
		(*f)()
	}
	return err
}

func openStore(t testing.TB) *faultyStore {
	t.Helper()
	store, err := memstore.New()
	if err != nil {
		t.Fatal(err)
	}
	return &faultyStore{Store: store}
}

// openIdle opens a directory over a store. Nothing runs its upkeep.
func openIdle(t *testing.T, store keys.Store, now func() time.Time) *directory.Directory {
	t.Helper()
	owned, err := directory.NewIdle(store, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := owned.Close(); err != nil {
			t.Error(err)
		}
	})
	return owned.Directory
}

// newDirectory is a directory over a new store with a user, an app, and a key
// for it. Nothing runs its upkeep, whose reads a test could take for its own.
func newDirectory(t *testing.T) (*directory.Directory, *faultyStore, keys.Credential) {
	t.Helper()
	m := openStore(t)
	d := openIdle(t, m, time.Now)
	update(t, d, func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		_, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}})
		return err
	})
	return d, m, createKey(t, d)
}

func newKey() keys.Credential {
	text, id := credential.Mint("ca", policy.AppKey)
	return keys.Credential{
		Digest: credential.DigestOf(text), ID: id, Kind: policy.AppKey,
		UserID: "alice", AppID: "shop", Scopes: []string{"Inputs:Get"},
	}
}

func createKey(t *testing.T, d *directory.Directory) keys.Credential {
	t.Helper()
	c := newKey()
	update(t, d, func(tx *keys.Tx) (err error) {
		c, err = tx.CreateCredential(c)
		return err
	})
	return c
}

func update(t *testing.T, d *directory.Directory, fn func(*keys.Tx) error) {
	t.Helper()
	if err := d.Update(t.Context(), operator, fn); err != nil {
		t.Fatal(err)
	}
}

// find returns the entry of a credential, once it is cached: the cache takes an
// entry in when it has time to, which may be after the next change.
func find(t *testing.T, d *directory.Directory, digest credential.Digest) *directory.Entry {
	t.Helper()
	e, err := d.Find(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	d.WaitForCache()
	return e
}

// deadline is how long a test waits for what has to happen, before it says
// that it didn't.
const deadline = 30 * time.Second

func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(deadline):
		t.Fatalf("%s: it didn't happen", what)
	}
	return v
}
