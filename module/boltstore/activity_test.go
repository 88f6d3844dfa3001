package boltstore

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

var activityBucket = []byte("activity")

// used counts requests of the vault's app key, and writes them.
func (v *vault) used(allowed, refused int) {
	v.t.Helper()
	e, err := v.d.Find(v.t.Context(), v.key.Digest)
	if err != nil {
		v.t.Fatal(err)
	}
	for range allowed {
		v.d.Allowed(e, v.d.Today())
	}
	for range refused {
		v.d.Refused(e, keys.NewCause("owner", nil, nil))
	}
	if err := v.d.Flush(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
}

func (v *vault) wantActivity(allowed, refused uint64) {
	v.t.Helper()
	v.view(func(r keys.Reader) error {
		a, err := r.Activity(v.key.Digest)
		var total keys.Day
		for _, d := range a {
			total.Allowed += d.Allowed
		}
		if len(a) > 0 && (total.Allowed != allowed || a[len(a)-1].AllRefused() != refused) || len(a) == 0 && allowed+refused > 0 {
			v.t.Errorf("the activity is %v (%v), want %d allowed and %d refused", a, err, allowed, refused)
		}
		return nil
	})
}

// A backup has the counts, and a restore doesn't lower later ones. Where the
// replaced file has no counts, those of the backup come back.
func TestRestoreLowersNoActivity(t *testing.T) {
	v := newVault(t)
	v.used(3, 1)
	backup := v.backup("backup.db")
	v.used(4, 2)
	v.restore(backup)
	v.wantActivity(7, 3)
	v.used(1, 0)
	v.wantActivity(8, 3)

	v.close()
	db, err := bolt.Open(v.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket(activityBucket) })
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	v.open()
	v.wantActivity(0, 0)
	v.restore(v.backup("without.db"))
	v.wantActivity(0, 0)
}

// A file without activity, as every version before made it, needs no upgrade.
func TestActivityNeedsNoUpgrade(t *testing.T) {
	v := newVault(t)
	v.close()
	has := func() (has bool) {
		db, err := bolt.Open(v.path, 0o600, &bolt.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.View(func(tx *bolt.Tx) error { has = tx.Bucket(activityBucket) != nil; return nil })
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return has
	}
	if has() {
		t.Error("an unused store has a bucket for activity")
	}
	v.open()
	v.wantActivity(0, 0)
	v.update(func(tx *keys.Tx) error { return tx.Revoke(v.pat.ID, "gone") }) // without a bucket to delete from
	v.used(1, 0)
	v.wantActivity(1, 0)
	v.close()
	if found, err := Examine(t.Context(), v.path); err != nil || len(found.Findings) > 0 || !has() {
		t.Errorf("after the first activity: %+v, %v", found, err)
	}
	if copies, _ := filepath.Glob(v.path + ".format-*"); copies != nil {
		t.Errorf("it was upgraded: %v", copies)
	}
	v.open()
}

// A damaged record of activity is found, counts begin again in its place, and
// keeps no key from being revoked.
func TestDamagedActivity(t *testing.T) {
	v := newVault(t)
	v.used(5, 0)
	damage := func() {
		t.Helper()
		v.close()
		s := newStore(t, v.path, realFaults())
		err := s.state.Load().db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket(activityBucket).Put(v.key.Digest[:], []byte("not a record"))
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	damage()
	found, err := Examine(t.Context(), v.path)
	if d := found.Damage(); err != nil || d == nil || !strings.Contains(d.Text, "the activity") {
		t.Errorf("found %+v, %v", found, err)
	}
	v.open()
	v.used(2, 1)
	v.wantActivity(2, 1)
	damage()
	v.open()
	v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "gone") })
	v.wantActivity(0, 0)
	if err := v.d.Flush(t.Context()); err != nil {
		t.Error(err)
	}
}

// A year of activity takes no more than thirty days of it, and the file keeps
// what was counted.
func TestActivityStaysSmall(t *testing.T) {
	s := newStore(t, filepath.Join(t.TempDir(), "keys.db"), realFaults())
	c := newCredential("a key", "cap_1")
	if _, err := s.Update(t.Context(), func(w keys.Writer) error { return w.PutCredential(c) }); err != nil {
		t.Fatal(err)
	}
	today := keys.DateOf(time.Now())
	for day := today - 365; day <= today; day++ {
		var a keys.Activity
		a.Allow(day, 100_000)
		a.Refuse(day, keys.NewCause("scopes", []string{"Inputs:Add", "Inputs:Get"}, nil), 10)
		if err := s.Used(t.Context(), []keys.Use{{Digest: c.Digest, Activity: a, Today: day}}); err != nil {
			t.Fatal(err)
		}
	}
	err := s.state.Load().db.View(func(tx *bolt.Tx) error {
		if n := len(tx.Bucket(activityBucket).Get(c.Digest[:])); n > 600 {
			t.Errorf("the activity of a key takes %d bytes", n)
		}
		a, err := view(tx).Activity(c.Digest)
		if len(a) != keys.ActivityDays || a[0].Allowed != 100_000 || !reflect.DeepEqual(a[0].Refused, a[29].Refused) {
			t.Errorf("%d days: %v", len(a), a)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
