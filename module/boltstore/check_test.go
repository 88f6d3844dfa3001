package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Every fault is found, and others are found too.
func TestExamine(t *testing.T) {
	garbage := []byte("not a record")
	for name, c := range map[string]struct {
		damage func(v *vault, tx *bolt.Tx) error
		want   []string // in the findings; with ! where it is damage
	}{
		"nothing": {func(*vault, *bolt.Tx) error { return nil }, nil},
		"records of every kind": {func(v *vault, tx *bolt.Tx) error {
			var errs []error
			for _, name := range [][]byte{[]byte("users"), []byte("apps"), []byte("collaborators"), []byte("tombstones"), []byte("last_used"), []byte("audit")} {
				errs = append(errs, tx.Bucket(name).Put([]byte("x"), garbage))
			}
			return errors.Join(errs...)
		}, []string{"!the user", "!the app", "!the collaborator", "!the tombstone", "!the last use", "!the audit entry"}},
		"not in its indexes": {func(v *vault, tx *bolt.Tx) error {
			return errors.Join(tx.Bucket([]byte("credentials_by_id")).Delete([]byte(v.key.ID)), tx.Bucket([]byte("users_by_email")).Delete([]byte("alice@example.com")))
		}, []string{"!is not in the index credentials_by_id", "!is not in the index users_by_email"}},
		"an index to another": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_id")).Put([]byte("cak_more"), v.key.Digest[:])
		}, []string{"!the index credentials_by_id leads to"}},
		"an index to nowhere": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("users_by_email")).Put([]byte("x@y"), []byte("x"))
		},
			[]string{"!the index users_by_email leads to"}},
		"not in the index by creator": {func(v *vault, tx *bolt.Tx) error {
			c := newCredential("made by another", "cap_made")
			c.CreatedBy = "cap_maker"
			return errors.Join(change(tx, func(w keys.Writer) error { return w.PutCredential(c) }), deleteUnder(tx, "credentials_by_creator", "u\x00cap_maker\x00"))
		}, []string{"!is not in the index credentials_by_creator"}},
		"a wrong count": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("counts")).Put([]byte("alice\x00keys"), sealed(77))
		},
			[]string{`!the count "alice/keys" is 77, but there are `}},
		"a count of nothing": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("counts")).Put([]byte("nobody\x00keys"), sealed(1))
		},
			[]string{"!counts, but records for"}},
		"a deletion under way": {func(v *vault, tx *bolt.Tx) error {
			shop := keys.AppRef{OwnerID: "alice", AppID: "shop"}
			return change(tx, func(w keys.Writer) error {
				return errors.Join(w.PutDeletion(keys.Deletion{AppRef: shop}), w.DeleteApp(shop))
			})
		}, nil},
		"a number that comes again": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("sequences")).Put([]byte("users"), sealed(2))
		},
			[]string{"!has the number 3, and the newest is 2"}},
		"a sequence": {func(v *vault, tx *bolt.Tx) error { return tx.Bucket([]byte("sequences")).Put([]byte("users"), garbage) },
			[]string{"!the sequence of users"}},
		"last write":    {func(v *vault, tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("last_write"), garbage) }, []string{"!the time of the last write"}},
		"head of audit": {func(v *vault, tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("audit_head"), garbage) }, []string{"!the head of the audit log"}},
		"audit entry gone": {func(v *vault, tx *bolt.Tx) error {
			return change(tx, func(w keys.Writer) error { return w.DeleteAuditEntry(2) })
		},
			[]string{"the audit log was altered: entry 2 is missing"}},
		"user gone": {func(v *vault, tx *bolt.Tx) error {
			return change(tx, func(w keys.Writer) error { return errors.Join(w.DeleteUser("alice"), w.DeleteUser("bob")) })
		}, []string{"the owner of the app shop is missing", "the user of the key " + "cak_", "there is no user"}},
		"app gone": {func(v *vault, tx *bolt.Tx) error {
			return change(tx, func(w keys.Writer) error { return w.DeleteApp(keys.AppRef{OwnerID: "alice", AppID: "shop"}) })
		}, []string{"is missing: user alice has no app shop", "the app of the collaborator bob is missing"}},
		"revoked, and there": {func(v *vault, tx *bolt.Tx) error {
			return change(tx, func(w keys.Writer) error {
				return w.PutTombstone(keys.Tombstone{Digest: v.key.Digest, ID: v.key.ID})
			})
		}, []string{"was revoked, but exists"}},
		"deleted, and there": {func(v *vault, tx *bolt.Tx) error {
			return tx.Bucket([]byte("retired_users")).Put([]byte("carol"), []byte{1})
		},
			[]string{"the user carol was deleted, but exists"}},
		"a use of nothing": {func(v *vault, tx *bolt.Tx) error {
			return change(tx, func(w keys.Writer) error { return w.PutLastUsed(credential.DigestOf("x"), keys.Usage{}) })
		},
			[]string{"the credential of the last use"}},
		"activity of nothing": {func(v *vault, tx *bolt.Tx) error {
			var a keys.Activity
			a.Allow(keys.DateOf(time.Now()), 1)
			x := keys.Credential{Digest: credential.DigestOf("x"), ID: "cap_x", Kind: policy.PAT, UserID: "alice"}
			err := change(tx, func(w keys.Writer) error { return w.PutCredential(x) })
			if err == nil {
				_, err = records.ApplyUses(newRevision(tx), []keys.Use{{Digest: x.Digest, Activity: a}})
			}
			activity := bytes.Clone(tx.Bucket([]byte("activity")).Get(x.Digest[:]))
			if err == nil {
				err = change(tx, func(w keys.Writer) error { return w.DeleteCredential(x.Digest) })
			}
			return errors.Join(err, tx.Bucket([]byte("activity")).Put(x.Digest[:], activity))
		}, []string{"the credential of the activity"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.close()
			s := newStore(t, v.path, realFaults())
			if err := s.state.Load().db.Update(func(tx *bolt.Tx) error { return c.damage(v, tx) }); err != nil {
				t.Fatal(err)
			}
			// Of a store that is served, and of its file, it is the same.
			live, err := s.Examine(t.Context())
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			found, err := Examine(t.Context(), v.path)
			if err != nil || fmt.Sprint(found) != fmt.Sprint(live) || found.Records == 0 {
				t.Errorf("the file: %+v, %v; served: %+v", found, err, live)
			}
			if got := names(t, filepath.Dir(v.path)); len(got) != 1 {
				t.Errorf("left behind: %q", got)
			}
			for _, want := range c.want {
				text, damage := strings.CutPrefix(want, "!")
				if !anyFinding(found.Findings, damage, text) {
					t.Errorf("%q is not among %+v", want, found.Findings)
				}
			}
			if len(c.want) == 0 && len(found.Findings) > 0 {
				t.Errorf("found %+v", found.Findings)
			}
		})
	}
}

func anyFinding(found []keys.Finding, damage bool, text string) bool {
	for _, f := range found {
		if f.Damage == damage && strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}

func TestExamineRefuses(t *testing.T) {
	path := newPath(t)
	if _, err := Examine(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write("This is not a key store.\n")(t, path)
	if _, err := Examine(t.Context(), path); !errors.Is(err, errForeign) {
		t.Errorf("text: %v", err)
	}
	open := newPath(t)
	newStore(t, open, realFaults())
	if _, err := Examine(t.Context(), open); !errors.Is(err, errLocked) {
		t.Errorf("a store that is served: %v", err)
	}
}

// large fills a store that its trees have branches and its records overflow.
func large(t *testing.T) (path string, key, revoked credential.Digest) {
	t.Helper()
	v := newVault(t)
	v.update(func(tx *keys.Tx) error {
		for i := range 300 {
			id := fmt.Sprint("user-", i)
			if _, err := tx.CreateUser(keys.User{ID: id, Email: id + "@example.com"}); err != nil {
				return err
			}
			v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: id, Scopes: []string{"A"}})
		}
		_, err := tx.ChangeCredential(v.pat.ID, func(c *keys.Credential) error {
			for i := range 500 {
				c.Scopes = append(c.Scopes, fmt.Sprint("Scope", i, ":Get"))
			}
			return nil
		})
		return err
	})
	v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
	v.close()
	return compact(t, v.path), v.pat.Digest, v.key.Digest
}

// compact copies a store without its free pages.
func compact(t *testing.T, path string) string {
	t.Helper()
	from, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := bolt.Open(path+".compact", 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bolt.Compact(to, from, 0), from.Close(), to.Close()); err != nil {
		t.Fatal(err)
	}
	return path + ".compact"
}

// spoil changes a file at random, as disks, networks and people do.
func spoil(random *rand.Rand, file []byte) []byte {
	spoilt := bytes.Clone(file)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(spoilt))
		// Half of them where a page says what it is, and where its elements are.
		if random.IntN(2) == 0 {
			at = at&^4095 + random.IntN(128)
		}
		at = min(at, len(spoilt)-1)
		switch random.IntN(6) {
		case 0:
			spoilt[at] ^= 1 << random.IntN(8)
		case 1:
			spoilt[at] = byte(random.UintN(256))
		case 2:
			clear(spoilt[at:min(at+512, len(spoilt))])
		case 3:
			copy(spoilt[at:], []byte{0xff, 0xff, 0xff, 0xff})
		case 4:
			from := random.IntN(len(spoilt)) &^ 4095
			copy(spoilt[at&^4095:], bytes.Clone(spoilt[from:min(from+4096, len(spoilt))]))
		default:
			spoilt = spoilt[:max(at, 1)]
		}
	}
	return spoilt
}

// A damaged file is refused, and never the end of the process: bbolt follows
// what it finds in a page wherever that leads.
func TestDamagedAtRandom(t *testing.T) {
	path, key, revoked := large(t)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const rounds = 200
	refused, damaged := 0, newPath(t)
	for i := range rounds {
		if err := os.WriteFile(damaged, spoil(random, file), 0o600); err != nil {
			t.Fatal(err)
		}
		found, err := Examine(t.Context(), damaged)
		if err != nil || found.Damage() != nil {
			refused++
			continue
		}
		// It was hit where nothing is written. Then it opens, and says what it
		// said before.
		s, err := Open(damaged)
		if err != nil {
			t.Fatalf("round %d: checked, and not opened: %v", i, err)
		}
		err = s.View(t.Context(), func(r keys.Reader) error {
			if _, err := r.Credential(key); err != nil {
				return err
			}
			_, err := r.Tombstone(revoked)
			return err
		})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatalf("round %d: checked, and then: %v", i, err)
		}
	}
	if refused < rounds/2 {
		t.Errorf("%d of %d were refused: the test damages too little", refused, rounds)
	}
}

// FuzzPages gives bbolt a file in which some bytes are others.
func FuzzPages(f *testing.F) {
	s, err := Open(filepath.Join(f.TempDir(), "keys.db"))
	if err != nil {
		f.Fatal(err)
	}
	_, err = s.Update(f.Context(), func(w keys.Writer) error {
		for i := range 200 {
			if err := w.PutUser(keys.User{ID: fmt.Sprint("user-", i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(s.path)
	if err != nil {
		f.Fatal(err)
	}
	for _, at := range []uint32{0, 8, 80, 4096 + 40, 2*4096 + 10, 3 * 4096, 3*4096 + 8, 3*4096 + 12, 3*4096 + 16, 4*4096 + 20, 5*4096 + 24} {
		f.Add(at, []byte{0xff, 0xff, 0xff, 0xff})
		f.Add(at, []byte{0})
		f.Add(at, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte) {
		spoilt := append([]byte(nil), file...)
		copy(spoilt[int(at)%len(spoilt):], bytes)
		path := filepath.Join(t.TempDir(), "keys.db")
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		if found, err := Examine(t.Context(), path); err == nil && found.Damage() == nil {
			s, err := Open(path)
			if err != nil {
				t.Fatalf("checked, and not opened: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}
