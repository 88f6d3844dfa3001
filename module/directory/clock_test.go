package directory_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// wristwatch is the clock of a test.
type wristwatch struct{ at atomic.Int64 }

func (w *wristwatch) set(at time.Time) { w.at.Store(at.UnixNano()) }
func (w *wristwatch) Now() time.Time   { return time.Unix(0, w.at.Load()) }

var (
	year2026 = time.Date(2026, time.November, 28, 12, 0, 0, 0, time.UTC)
	year2031 = year2026.AddDate(5, 0, 0)
)

// withClock is a directory over a new store in 2026, with the user alice.
func withClock(t *testing.T) (*directory.Directory, *faultyStore, *wristwatch) {
	t.Helper()
	m, w := openStore(t), &wristwatch{}
	w.set(year2026)
	d := openIdle(t, m, w.Now)
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "alice"}); return err })
	return d, m, w
}

func issue(tx *keys.Tx, kind policy.Kind, expires time.Time) (keys.Credential, error) {
	text, id := credential.Mint("ca", kind)
	return tx.CreateCredential(keys.Credential{
		Digest: credential.DigestOf(text), ID: id, Kind: kind, UserID: "alice", ExpiresAt: expires,
	})
}

func standing(t *testing.T, d *directory.Directory, c keys.Credential) keys.Standing {
	t.Helper()
	e, err := d.Find(t.Context(), c.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return d.Standing(e)
}

// A clock that is in 2031 for a while leaves nothing behind: nothing is
// written, no audit entry goes, and keys are good again afterwards.
func TestClockFarAheadForAWhile(t *testing.T) {
	d, _, w := withClock(t)
	var key keys.Credential
	update(t, d, func(tx *keys.Tx) (err error) {
		key, err = issue(tx, policy.PAT, year2026.AddDate(0, 1, 0))
		return err
	})
	was := len(entries(t, d, ""))
	w.set(year2031)
	err := d.Update(t.Context(), operator, func(tx *keys.Tx) error { return tx.Revoke(key.ID, "") })
	var clock *keys.ClockError
	if !errors.As(err, &clock) || !errors.Is(err, keys.ErrUnavailable) || !strings.Contains(err.Error(), "caddy api-keys store clock --accept") {
		t.Errorf("a change ended with %v", err)
	}
	if standing(t, d, key) != keys.Expired {
		t.Error("an expired key is good")
	}
	e, err := d.Find(t.Context(), key.Digest)
	if err != nil {
		t.Fatal(err)
	}
	d.Used(e, "192.0.2.1")
	d.SetAuditRetention(time.Hour)
	if err := d.Upkeep(t.Context()); !errors.As(err, &clock) {
		t.Errorf("the upkeep ended with %v", err)
	}
	w.set(year2026.Add(time.Minute))
	if n := len(entries(t, d, "")); n != was {
		t.Errorf("%d audit entries of %d are left", n, was)
	}
	if standing(t, d, key) != keys.Active || d.CheckClock() != nil {
		t.Errorf("the key stands %v, the clock %v", standing(t, d, key), d.CheckClock())
	}
	if used, err := d.LastUsed(reader(t, d), key.Digest); !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("it was used at %v, %v", used.At, err)
	}
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(key.ID, "") })
}

// reader reads the store as it is, a transaction a call.
func reader(t *testing.T, d *directory.Directory) keys.Reader { return lastUses{t: t, d: d} }

type lastUses struct {
	keys.Reader
	t *testing.T
	d *directory.Directory
}

func (l lastUses) LastUsed(digest credential.Digest) (used keys.Usage, err error) {
	errView := l.d.View(l.t.Context(), func(r keys.Reader) error {
		used, err = r.LastUsed(digest)
		return nil
	})
	return used, errors.Join(err, errView)
}

// The newest write of a store in use is never older than about a day, however
// quiet it is, so that the clock may go on.
func TestClockGoesOn(t *testing.T) {
	d, _, w := withClock(t)
	for day := range 100 {
		w.set(year2026.AddDate(0, 0, day+1).Add(time.Minute))
		if err := d.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "bob"}); return err })
}

// A server that was off for a year decides requests, and writes once the
// operator has accepted the clock.
func TestClockAfterALongPause(t *testing.T) {
	d, _, w := withClock(t)
	var key keys.Credential
	update(t, d, func(tx *keys.Tx) (err error) {
		key, err = issue(tx, policy.PAT, time.Time{})
		return err
	})
	w.set(year2026.AddDate(1, 0, 0))
	if standing(t, d, key) != keys.Active || d.Writable() == nil {
		t.Errorf("the key stands %v, the clock %v", standing(t, d, key), d.Writable())
	}
	done, err := d.AcceptClock(t.Context(), operator)
	if err != nil || !done.Now.Equal(w.Now()) || !done.Was.Equal(year2026) || len(done.KeyIDs) > 0 {
		t.Errorf("AcceptClock: %+v, %v", done, err)
	}
	update(t, d, func(tx *keys.Tx) error { return tx.Revoke(key.ID, "") })
}

// A store that has a write of 2031: what was good is good again once the
// operator accepts the clock, and what was issued then isn't.
func TestAcceptClockOf2031(t *testing.T) {
	d, m, w := withClock(t)
	var key, session, later, late keys.Credential
	update(t, d, func(tx *keys.Tx) (err error) {
		if key, err = issue(tx, policy.PAT, year2026.AddDate(1, 0, 0)); err == nil {
			session, err = issue(tx, policy.Session, year2026.AddDate(0, 0, 7))
		}
		return err
	})
	w.set(year2031) // as a version before this rule wrote it
	if _, err := m.Store.Update(t.Context(), func(wr keys.Writer) error { wr.Touch(year2031); return nil }); err != nil {
		t.Fatal(err)
	}
	update(t, d, func(tx *keys.Tx) (err error) {
		if late, err = issue(tx, policy.Session, year2031.AddDate(0, 0, 7)); err == nil {
			later, err = issue(tx, policy.PAT, time.Time{})
		}
		return err
	})
	w.set(year2026.Add(time.Hour))
	for name, c := range map[string]keys.Credential{"an expiring key": key, "a session": session, "a session of 2031": late} {
		if standing(t, d, c) != keys.Expired {
			t.Errorf("%s stands %v while the newest write is of 2031", name, standing(t, d, c))
		}
	}
	var clock *keys.ClockError
	for name, change := range map[string]func(tx *keys.Tx) error{
		"a session": func(tx *keys.Tx) error { _, err := issue(tx, policy.Session, tx.Now().Add(time.Hour)); return err },
		"rotate with grace": func(tx *keys.Tx) error {
			_, err := tx.Rotate(later.ID, keys.Rotation{Digest: credential.DigestOf("x"), ID: "x", Grace: time.Hour})
			return err
		},
	} {
		if err := d.Update(t.Context(), operator, change); !errors.As(err, &clock) {
			t.Errorf("%s: ended with %v", name, err)
		}
	}
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "bob"}); return err })
	d.SetAuditRetention(24 * time.Hour)
	was := len(entries(t, d, ""))
	_ = d.Upkeep(t.Context()) // which reports that the clock is in doubt
	if n := len(entries(t, d, "")); n != was {
		t.Errorf("%d of %d audit entries are left", n, was)
	}

	done, err := d.AcceptClock(t.Context(), operator)
	if err != nil || done.SessionsEnded != 1 || !slices.Equal(done.KeyIDs, []string{later.ID}) {
		t.Errorf("AcceptClock: %+v, %v", done, err)
	}
	for name, c := range map[string]keys.Credential{"the expiring key": key, "the session": session, "the key of 2031": later} {
		if standing(t, d, c) != keys.Active {
			t.Errorf("%s stands %v afterwards", name, standing(t, d, c))
		}
	}
	if standing(t, d, late) != keys.Unknown {
		t.Error("a session of 2031 is left")
	}
	if !d.Now().Equal(w.Now()) {
		t.Errorf("it is %v", d.Now())
	}
	// Entries of 2031 are as old as those after them.
	w.set(year2026.AddDate(0, 0, 3))
	update(t, d, func(tx *keys.Tx) error { _, err := tx.CreateUser(keys.User{ID: "carol"}); return err })
	if err := d.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, d, ""); len(left) != 1 || !left[0].At.Equal(w.Now()) {
		t.Errorf("%+v are left, want the last alone", left)
	}
}
