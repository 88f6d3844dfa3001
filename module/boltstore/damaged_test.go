package boltstore

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// A record that could not be read again is not written, and neither is the rest
// of its transaction.
func TestUnreadableNotWritten(t *testing.T) {
	s := newStore(t, newPath(t), realFaults())
	for name, put := range map[string]func(keys.Writer) error{
		"no UTF-8": func(w keys.Writer) error { return w.PutUser(keys.User{ID: "v", Name: "\xff"}) },
		"no kind":  func(w keys.Writer) error { return w.PutCredential(keys.Credential{ID: "c", UserID: "u"}) },
		"no id":    func(w keys.Writer) error { return w.PutUser(keys.User{}) },
		"taken id": func(w keys.Writer) error {
			return errors.Join(w.PutCredential(newCredential("a", "same")), w.PutCredential(newCredential("b", "same")))
		},
	} {
		var failed error
		_, err := s.Update(t.Context(), func(w keys.Writer) error {
			if err := w.PutUser(keys.User{ID: "u"}); err != nil {
				return err
			}
			failed = put(w)
			return nil // passed over: half a record must not be committed for that
		})
		if failed == nil || err == nil || errors.Is(err, keys.ErrCorrupt) || errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: the write: %v; Update: %v", name, failed, err)
		}
	}
	err := s.View(t.Context(), func(r keys.Reader) error {
		for u := range r.Users(0) {
			t.Errorf("there is %+v", u)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func newCredential(text, id string) keys.Credential {
	return keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "u"}
}

// In the file: each of these would be somebody else's record, or none where
// there is one.
func TestDamagedFile(t *testing.T) {
	a, b := newCredential("a", "cap_a"), newCredential("b", "cap_b")
	byID := func(r keys.Reader) error { _, err := r.CredentialByID("cap_a"); return err }
	list := func(r keys.Reader) error {
		for _, err := range r.Credentials("u", 0) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	byDigest := func(r keys.Reader) error { _, err := r.Credential(a.Digest); return err }
	for name, c := range map[string]struct {
		damage func(tx *bolt.Tx) error
		read   func(keys.Reader) error
	}{
		"exchanged": {func(tx *bolt.Tx) error {
			bucket := tx.Bucket([]byte("credentials"))
			return bucket.Put(a.Digest[:], bytes.Clone(bucket.Get(b.Digest[:])))
		}, byDigest},
		"index of ids to another": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_id")).Put([]byte("cap_a"), b.Digest[:])
		}, byID},
		"index of ids to nowhere": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_id")).Put([]byte("cap_a"), []byte("x"))
		}, byID},
		"record gone, by id":     {func(tx *bolt.Tx) error { return tx.Bucket([]byte("credentials")).Delete(a.Digest[:]) }, byID},
		"record gone, in a list": {func(tx *bolt.Tx) error { return tx.Bucket([]byte("credentials")).Delete(b.Digest[:]) }, list},
		"order exchanged": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_user")).Put(place("u\x00", 1), b.Digest[:])
		}, list},
		"order leads to another's": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_user")).Put(place("u\x00", 9), a.Digest[:])
		}, list},
		"last write": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("last_write"), []byte("yesterday"))
		},
			func(r keys.Reader) error { _, err := r.LastWrite(); return err }},
		"last write, no time": {func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("last_write"), sealed([]int64{0, -1}))
		}, func(r keys.Reader) error { _, err := r.LastWrite(); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, newPath(t), realFaults())
			_, err := s.Update(t.Context(), func(w keys.Writer) error {
				return errors.Join(w.PutCredential(a), w.PutCredential(b))
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.state.Load().db.Update(c.damage); err != nil {
				t.Fatal(err)
			}
			if err := s.View(t.Context(), c.read); !errors.Is(err, keys.ErrCorrupt) || errors.Is(err, keys.ErrNotFound) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
		})
	}
}

// Text in the file itself, as by a disk that forgets.
func TestFlippedOnDisk(t *testing.T) {
	path := newPath(t)
	edit(func(*bolt.Tx) error { return nil })(t, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(file, []byte("Models:Get")); n == 0 {
		t.Fatal("the scope is not in the file")
	}
	write(strings.ReplaceAll(string(file), "Models:Get", "Models:Set"))(t, path)
	s := newStore(t, path, realFaults())
	err = s.View(t.Context(), func(r keys.Reader) error {
		c, err := r.Credential(keystest.SomeKey.Digest)
		if err == nil {
			t.Errorf("got %+v", c)
		}
		return err
	})
	if !errors.Is(err, keys.ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}
