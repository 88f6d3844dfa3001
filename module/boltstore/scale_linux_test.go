package boltstore

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// BenchmarkScale measures a store of SCALE_KEYS keys, a hundred for each user
// and ten for each app, or the store in the file SCALE_STORE, which it changes:
//
//	SCALE_KEYS=1000000 go test -run '^$' -bench Scale -benchtime 20x -timeout 0 ./module/boltstore
func BenchmarkScale(b *testing.B) {
	path := os.Getenv("SCALE_STORE")
	if path == "" {
		n, err := strconv.Atoi(os.Getenv("SCALE_KEYS"))
		if err != nil {
			b.Skip("neither SCALE_KEYS nor SCALE_STORE is set")
		}
		path = filepath.Join(b.TempDir(), "keys.db")
		buildScale(b, path, n)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if err := openScale(b, path).Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("look-up, cold", func(b *testing.B) { coldScale(b, path) })
	b.Run("look-up, warm", func(b *testing.B) {
		s := openScale(b, path)
		some := randomKeys(b, s, 1000)
		for _, d := range some {
			if _, err := loaded(b, s, d); err != nil {
				b.Fatal(err)
			}
		}
		for i := 0; b.Loop(); i++ {
			if _, err := loaded(b, s, some[i%len(some)]); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(rssAnon(b))/(1<<20), "RssAnon-MiB")
	})
	b.Run("revoke", func(b *testing.B) { revokeScale(b, openScale(b, path)) })
	b.Run("users, first page", func(b *testing.B) { listScale(b, openScale(b, path), 0) })
	b.Run("users, deep page", func(b *testing.B) {
		s := openScale(b, path)
		listScale(b, s, lastUser(b, s)/2)
	})
	b.Run("backup", func(b *testing.B) {
		s := openScale(b, path)
		for b.Loop() {
			if _, err := s.Backup(b.Context(), path+".backup"); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.Remove(path + ".backup"); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if found, err := Examine(b.Context(), path); err != nil || len(found.Findings) > 0 {
				b.Fatal(found.Findings, err)
			}
		}
	})
}

// buildScale builds a store of n keys, and reports how long that took.
func buildScale(b *testing.B, path string, n int) {
	b.Helper()
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	build, err := s.Build(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for at := 0; at < n && err == nil; at += 5000 {
		_, err = build.Update(b.Context(), func(w keys.Writer) error { return putScale(w, at, min(at+5000, n)) })
	}
	if err == nil {
		err = build.Finish(b.Context())
	}
	if err := errors.Join(err, build.Close()); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("built in %s: %.0f keys a second, %d bytes a key", time.Since(began), float64(n)/time.Since(began).Seconds(), info.Size()/int64(n))
}

// putScale writes the keys from one number to another, with their users and
// apps.
func putScale(w keys.Writer, from, to int) error {
	for i := from; i < to; i++ {
		user, app := fmt.Sprintf("user-%06d", i/100), fmt.Sprint("app-", i/10%10)
		if i%100 == 0 {
			if err := w.PutUser(keys.User{ID: user}); err != nil {
				return err
			}
		}
		if i%10 == 0 {
			if err := w.PutApp(keys.App{AppRef: keys.AppRef{OwnerID: user, AppID: app}}); err != nil {
				return err
			}
		}
		err := w.PutCredential(keys.Credential{
			Digest: credential.DigestOf(fmt.Sprint("key ", i)), ID: credential.NewID("ca", policy.AppKey), Kind: policy.AppKey,
			UserID: user, AppID: app, Description: fmt.Sprint("Key ", i), Scopes: []string{"Predict", "Inputs:Get"},
			CreatedBy: keys.Operator, CreatedAt: time.Now(), ModifiedAt: time.Now(), Version: 1,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func openScale(b *testing.B, path string) *Store {
	b.Helper()
	s, err := Open(path)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, keys.ErrClosed) {
			b.Error(err)
		}
	})
	return s
}

// randomKeys are the digests of some keys.
func randomKeys(b *testing.B, s *Store, n int) (some []credential.Digest) {
	b.Helper()
	err := s.read(b.Context(), func(tx *bolt.Tx) error {
		cursor := tx.Bucket([]byte("credentials")).Cursor()
		for range n {
			var d credential.Digest
			_, _ = rand.Read(d[:]) // never fails
			key, _ := cursor.Seek(d[:])
			if key == nil {
				key, _ = cursor.First()
			}
			some = append(some, credential.Digest(key))
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return some
}

// lastUser is the Seq of the newest user.
func lastUser(b *testing.B, s *Store) (last uint64) {
	b.Helper()
	err := s.read(b.Context(), func(tx *bolt.Tx) error {
		key, _ := tx.Bucket([]byte("users_in_order")).Cursor().Last()
		last = binary.BigEndian.Uint64(key)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return last
}

// loaded reads what a decision about a key reads.
func loaded(b *testing.B, s *Store, d credential.Digest) (c keys.Credential, err error) {
	err = s.View(b.Context(), func(r keys.Reader) error {
		if _, err := r.Tombstone(d); !errors.Is(err, keys.ErrNotFound) {
			return fmt.Errorf("it was revoked: %w", err)
		}
		if c, err = r.Credential(d); err != nil {
			return err
		}
		_, errUser := r.User(c.UserID)
		_, errApp := r.App(keys.AppRef{OwnerID: c.UserID, AppID: c.AppID})
		if _, err := r.LastUsed(d); !errors.Is(err, keys.ErrNotFound) {
			return err
		}
		return errors.Join(errUser, errApp)
	})
	return c, err
}

// coldScale looks up keys of a file that is not in the page cache.
func coldScale(b *testing.B, path string) {
	b.Helper()
	const each = 200
	for b.Loop() {
		b.StopTimer()
		s := openScale(b, path)
		some := randomKeys(b, s, each)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		dropPages(b, path)
		s = openScale(b, path)
		b.StartTimer()
		for _, d := range some {
			if _, err := loaded(b, s, d); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*each), "µs/look-up")
}

// revokeScale revokes random keys, with the tombstone and the sync that each
// takes.
func revokeScale(b *testing.B, s *Store) {
	b.Helper()
	for b.Loop() {
		d := randomKeys(b, s, 1)[0]
		c, err := loaded(b, s, d)
		if err != nil {
			b.Fatal(err)
		}
		_, err = s.Update(b.Context(), func(w keys.Writer) error {
			w.Touch(time.Now(), d)
			return errors.Join(w.DeleteCredential(d), w.PutTombstone(keys.Tombstone{Digest: d, ID: c.ID, UserID: c.UserID, At: time.Now()}))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// listScale reads a page of twenty users, from after a place or before the end.
func listScale(b *testing.B, s *Store, after uint64) {
	b.Helper()
	for b.Loop() {
		err := s.View(b.Context(), func(r keys.Reader) error {
			n := 0
			for _, err := range r.Users(after) {
				if n++; err != nil || n == 20 {
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

// dropPages drops a file from the page cache.
func dropPages(b *testing.B, path string) {
	b.Helper()
	file, err := os.Open(path)
	if err == nil {
		err = errors.Join(unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED), file.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// rssAnon is the memory of this process beyond the page cache, in bytes.
func rssAnon(b *testing.B) (bytes int64) {
	b.Helper()
	file, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "RssAnon:"); ok {
			_, err := fmt.Sscanf(value, "%d kB", &bytes)
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return bytes << 10
}
