package boltstore

import (
	"errors"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
)

// benchmarkStore has a thousand users, each with an app and a key of it.
func benchmarkStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(filepath.Join(b.TempDir(), "keys.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	_, err = s.Update(b.Context(), func(w keys.Writer) error {
		for i := range 1000 {
			id := strconv.Itoa(i)
			key := keystest.SomeKey
			key.ID, key.Digest, key.UserID = "cak_"+id, credential.DigestOf(id), id
			err := errors.Join(
				w.PutUser(keys.User{ID: id, Name: "User " + id}),
				w.PutApp(keys.App{AppRef: keys.AppRef{OwnerID: id, AppID: key.AppID}}),
				w.PutCredential(key),
			)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkLoad reads what a decision about an app key reads.
func BenchmarkLoad(b *testing.B) {
	s := benchmarkStore(b)
	digest := credential.DigestOf("500")
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(b.Context(), func(r keys.Reader) error {
			if _, err := r.Tombstone(digest); !errors.Is(err, keys.ErrNotFound) {
				return err
			}
			c, err := r.Credential(digest)
			if err != nil {
				return err
			}
			if _, err := r.User(c.UserID); err != nil {
				return err
			}
			if _, err := r.App(keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}); err != nil {
				return err
			}
			if _, err := r.User(c.UserID); err != nil {
				return err
			}
			if _, err := r.LastUsed(digest); !errors.Is(err, keys.ErrNotFound) {
				return err
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkList walks all users.
func BenchmarkList(b *testing.B) {
	s := benchmarkStore(b)
	b.ReportAllocs()
	for b.Loop() {
		err := s.View(b.Context(), func(r keys.Reader) error {
			for _, err := range r.Users(0) {
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
