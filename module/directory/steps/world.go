package steps

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/policy"
)

var (
	shop = keys.AppRef{OwnerID: "alice", AppID: "shop"}
	blog = keys.AppRef{OwnerID: "alice", AppID: "blog"}
	bobs = keys.AppRef{OwnerID: "bob", AppID: "bobs"}
)

// many is how much there is of everything: more than one update can remove.
const many = 12

// register is a credential or a collaborator.
type register struct {
	name   string
	digest credential.Digest
	kind   policy.Kind
	// user is the holder of a credential, or the collaborator.
	user string
	app  keys.AppRef
	// collaborator is true for a collaborator on the app.
	collaborator bool
}

// isOf reports whether it ends with a user.
func (r register) isOf(user string) bool { return r.user == user || r.app.OwnerID == user }

// world is a store with two users, who have much of everything.
type world struct {
	keys.Store
	t         *testing.T
	change    change
	registers map[string]register
	feed      atomic.Pointer[func(keys.Change)]
}

// Close leaves the store open.
func (w *world) Close() error { return nil }

// Feed keeps who is told: several directories use the store, one after the
// other.
func (w *world) Feed(feed func(keys.Change)) { w.feed.Store(&feed) }

func newWorld(t *testing.T, store keys.Store, c change) *world {
	t.Helper()
	w := &world{Store: store, t: t, change: c, registers: map[string]register{}}
	store.Feed(func(c keys.Change) { (*w.feed.Load())(c) })
	err := w.with(w, func(d *directory.Directory) error { return d.Update(context.Background(), operator, w.fill) })
	if err == nil && c.prepare != nil {
		err = c.prepare(w)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// fill makes what there is before the change.
func (w *world) fill(tx *keys.Tx) error {
	for _, id := range []string{"alice", "bob"} {
		if _, err := tx.CreateUser(keys.User{ID: id, PasswordHash: "old"}); err != nil {
			return err
		}
	}
	for _, app := range []keys.AppRef{shop, blog, bobs} {
		if _, err := tx.CreateApp(keys.App{AppRef: app}); err != nil {
			return err
		}
	}
	for i := range many {
		for _, r := range []register{
			{name: "a key of shop", kind: policy.AppKey, user: "alice", app: shop},
			{name: "a key of blog", kind: policy.AppKey, user: "alice", app: blog},
			{name: "a key of bob's app", kind: policy.AppKey, user: "bob", app: bobs},
			{name: "a token of alice", kind: policy.PAT, user: "alice"},
			{name: "a token of bob", kind: policy.PAT, user: "bob"},
			{name: "a session of alice", kind: policy.Session, user: "alice"},
			{name: "a session of bob", kind: policy.Session, user: "bob"},
		} {
			if err := w.add(tx, r, i); err != nil {
				return err
			}
		}
		guest := fmt.Sprint("guest", i)
		for _, r := range []register{{user: guest, app: shop}, {user: guest, app: blog}, {user: guest, app: bobs}} {
			if err := w.addCollaborator(tx, r); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.addCollaborator(tx, register{user: "alice", app: bobs}), w.addCollaborator(tx, register{user: "bob", app: shop}))
}

// add makes a credential.
func (w *world) add(tx *keys.Tx, r register, i int) error {
	r.name = fmt.Sprint(r.name, " ", i)
	text, id := credential.Mint(credential.DefaultBrand, r.kind)
	r.digest = credential.DigestOf(text)
	w.registers[r.name] = r
	c := keys.Credential{Digest: r.digest, ID: id, Kind: r.kind, UserID: r.user, AppID: r.app.AppID}
	if r.kind == policy.Session {
		c.ExpiresAt = tx.Now().Add(24 * time.Hour)
	}
	_, err := tx.CreateCredential(c)
	return err
}

// addCollaborator adds a collaborator.
func (w *world) addCollaborator(tx *keys.Tx, r register) error {
	r.name, r.collaborator = fmt.Sprint(r.user, " on ", r.app.AppID), true
	w.registers[r.name] = r
	_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{AppRef: r.app, UserID: r.user}})
	return err
}

// sessionsAhead signs alice in while the clock is ahead.
func (w *world) sessionsAhead(ahead time.Duration) error {
	_, err := w.Update(w.t.Context(), func(wr keys.Writer) error {
		wr.Touch(time.Now().Add(ahead))
		return nil
	})
	if err != nil {
		return err
	}
	return w.with(w, func(d *directory.Directory) error {
		return d.Update(context.Background(), operator, func(tx *keys.Tx) error {
			for i := range many {
				if err := w.add(tx, register{name: "ahead", kind: policy.Session, user: "alice"}, i); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// with runs fn with a directory over the store, or over one that is put before
// it.
func (w *world) with(s keys.Store, fn func(*directory.Directory) error) error {
	d, err := directory.New(s, 0)
	if err != nil {
		return err
	}
	return errors.Join(fn(d.Directory), d.Close())
}

func (w *world) view(fn func(keys.Reader) error) {
	w.t.Helper()
	if err := w.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) examine() (keys.Examination, error) {
	return w.Store.(keys.Examiner).Examine(w.t.Context())
}

// look returns which credentials and collaborators work, by the decision of a
// directory that can't write.
func (w *world) look() map[string]bool {
	w.t.Helper()
	works := map[string]bool{}
	err := w.with(w.cutAfter(0), func(d *directory.Directory) error {
		for name, r := range w.registers {
			find := func() (*directory.Entry, error) { return d.Find(context.Background(), r.digest) }
			if r.collaborator {
				find = func() (*directory.Entry, error) {
					return d.Collaborator(context.Background(), keys.CollaboratorRef{AppRef: r.app, UserID: r.user})
				}
			}
			e, err := find()
			if err != nil {
				return err
			}
			works[name] = e.Exists() && d.Standing(e) == keys.Active
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for name, r := range w.registers {
		// A collaborator can only act with a credential of their own.
		works[name] = works[name] && (!r.collaborator || w.anyWorks(works, r.user))
	}
	return works
}

// anyWorks reports whether a credential of a user works. Guests have some that
// are not looked at.
func (w *world) anyWorks(works map[string]bool, user string) bool {
	has := false
	for name, r := range w.registers {
		if r.user == user && !r.collaborator {
			has = true
			if works[name] {
				return true
			}
		}
	}
	return !has
}

// errCut is returned by a store that takes no more commits.
var errCut = fmt.Errorf("%w: it was cut off", keys.ErrUnavailable)

// cut is a small store that takes so many commits, and then none: to the
// directory it is one that was killed there.
type cut struct {
	keys.Store
	left    atomic.Int64
	refused atomic.Bool
}

func (w *world) cutAfter(commits int) *cut {
	s := &cut{Store: keystest.Small(w)}
	s.left.Store(int64(commits))
	return s
}

// Update implements [keys.Store].
func (s *cut) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.Store.Update(ctx, func(w keys.Writer) error {
		if err := fn(w); err != nil {
			return err
		}
		if s.left.Add(-1) < 0 {
			s.refused.Store(true)
			return errCut
		}
		return nil
	})
}
