package boltstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Whatever was acknowledged before the backup began is in it, and nothing of
// it is half.
func TestBackupUnderWriters(t *testing.T) {
	v := newVault(t)
	const writers = 4
	var acknowledged [writers]atomic.Int64
	stop := make(chan struct{})
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			for n := int64(0); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				err := v.d.Update(t.Context(), operator, func(tx *keys.Tx) error {
					id := strconv.Itoa(w) + "-" + strconv.FormatInt(n, 10)
					if _, err := tx.CreateUser(keys.User{ID: id}); err != nil {
						return err
					}
					text, key := credential.Mint(credential.DefaultBrand, policy.PAT)
					_, err := tx.CreateCredential(keys.Credential{Digest: credential.DigestOf(text), ID: key, Kind: policy.PAT, UserID: id})
					return err
				})
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[w].Store(n + 1)
			}
		})
	}
	defer running.Wait()
	defer close(stop)
	for i := range 8 {
		var before [writers]int64
		for w := range writers {
			before[w] = acknowledged[w].Load()
		}
		path := filepath.Join(t.TempDir(), "backup.db")
		b, err := v.d.Backup(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Findings) > 0 {
			t.Errorf("found %+v", b.Findings)
		}
		wantFile(t, b)
		copied := newStore(t, path, realFaults())
		err = copied.View(t.Context(), func(r keys.Reader) error {
			for w := range writers {
				for n := range before[w] {
					id := strconv.Itoa(w) + "-" + strconv.FormatInt(n, 10)
					if _, err := r.User(id); err != nil {
						return errors.Join(errors.New("user "+id), err)
					}
				}
			}
			for u, err := range r.Users(0) {
				if err != nil {
					return err
				}
				if n := len(slices.Collect(firsts(r.Credentials(u.ID, 0)))); strings.Contains(u.ID, "-") && n != 1 {
					t.Errorf("backup %d: user %s has %d keys", i, u.ID, n)
				}
			}
			return nil
		})
		if err := errors.Join(err, copied.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func firsts[A, B any](list func(func(A, B) bool)) func(func(A) bool) {
	return func(yield func(A) bool) { list(func(a A, _ B) bool { return yield(a) }) }
}

// wantFile wants a backup to be what it says, and for nobody else to read.
func wantFile(t *testing.T, b keys.Backup) {
	t.Helper()
	text, err := os.ReadFile(b.Path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) != b.Size || sha256.Sum256(text) != b.SHA256 {
		t.Errorf("the file has %d bytes, and the backup says %d, or the sum is another", len(text), b.Size)
	}
	if info, err := os.Stat(b.Path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("it has the mode %v, %v", info.Mode(), err)
	}
}

// names lists a folder.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestBackupTakesTheNewestUses(t *testing.T) {
	v := newVault(t)
	e, err := v.d.Find(t.Context(), v.pat.Digest)
	if err != nil {
		t.Fatal(err)
	}
	v.d.Used(e, "192.0.2.1")
	s := newStore(t, v.backup("backup.db"), realFaults())
	err = s.View(t.Context(), func(r keys.Reader) error {
		u, err := r.LastUsed(v.pat.Digest)
		if u.Address != "192.0.2.1" {
			t.Errorf("it was last used %+v", u)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A backup that doesn't come to its end leaves what there was, and nothing
// else.
func TestBackupInterrupted(t *testing.T) {
	v := newVault(t)
	before := names(t, filepath.Dir(v.path))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	folder := t.TempDir()
	path := filepath.Join(folder, "backup.db")
	if err := os.WriteFile(path, []byte("yesterday's"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(t.TempDir(), "other.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for name, backup := range map[string]func() error{
		"gone at once": func() error { _, err := v.d.Backup(ctx, path); return err },
		"gone while it is copied": func() error {
			// The context ends with the first write.
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tx, err := s.begin()
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			_, _, err = copyTo(ctx, tx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
			return err
		},
		"no such folder": func() error {
			_, err := v.d.Backup(t.Context(), filepath.Join(folder, "none", "backup.db"))
			return err
		},
		"a folder of that name": func() error {
			_, err := v.d.Backup(t.Context(), filepath.Dir(path))
			return err
		},
		"no store": func() error {
			closed, err := Open(filepath.Join(t.TempDir(), "closed.db"))
			if err != nil {
				return err
			}
			if err := closed.Close(); err != nil {
				return nil
			}
			_, err = closed.Backup(t.Context(), path)
			return err
		},
	} {
		if err := backup(); err == nil {
			t.Errorf("%s: it went well", name)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "yesterday's" {
		t.Errorf("the backup that was there is %q, %v", text, err)
	}
	if got := names(t, folder); !slices.Equal(got, []string{"backup.db"}) {
		t.Errorf("left behind: %q", got)
	}
	if got := names(t, filepath.Dir(v.path)); !slices.Equal(got, before) {
		t.Errorf("left next to the store: %q", got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A store that is damaged gets no backup, which would take a good one's place.
func TestBackupOfDamagedStore(t *testing.T) {
	v := newVault(t)
	path := v.backup("backup.db")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v.close()
	s := newStore(t, v.path, realFaults())
	if err := s.state.Load().db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("credentials")).Put(v.key.Digest[:], []byte("not a record"))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Backup(t.Context(), path); err == nil || !strings.Contains(err.Error(), "store check") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != string(good) {
		t.Errorf("the good backup is gone, %v", err)
	}
	if got := names(t, filepath.Dir(path)); len(got) != 2 {
		t.Errorf("left behind: %q", got)
	}
}

func TestCount(t *testing.T) {
	v := newVault(t)
	v.update(func(tx *keys.Tx) error {
		if _, err := tx.ChangeUser("bob", func(u *keys.User) error { u.Suspended = true; return nil }); err != nil {
			return err
		}
		v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "carol"})
		c := v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "carol", Disabled: true})
		c = v.mint(tx, keys.Credential{Kind: policy.PAT, UserID: "carol", CreatedBy: c.ID})
		if err := tx.Revoke(c.ID, "leaked"); err != nil {
			return err
		}
		if _, err := tx.CreateUser(keys.User{ID: "dora"}); err != nil {
			return err
		}
		return tx.DeleteUser("dora")
	})
	got, err := v.d.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.AuditFrom == nil || got.AuditTo == nil || got.LastWrite == nil || got.AuditTo.Before(*got.AuditFrom) {
		t.Errorf("the times are %v, %v, %v", got.AuditFrom, got.AuditTo, got.LastWrite)
	}
	info, err := os.Stat(v.path)
	if err != nil || got.FileBytes != info.Size() || got.FreeBytes <= 0 || got.FreeBytes >= got.FileBytes || got.FreeBytes%4096 != 0 {
		t.Errorf("it has %d bytes, %d of them free; the file has %d, %v", got.FileBytes, got.FreeBytes, info.Size(), err)
	}
	got.AuditFrom, got.AuditTo, got.LastWrite, got.FileBytes, got.FreeBytes = nil, nil, nil, 0, 0
	want := keys.Stats{
		Users: 3, SuspendedUsers: 1, RetiredUsers: 1, Apps: 1, Collaborators: 1, Tombstones: 1,
		AppKeys: keys.KindStats{Active: 1}, PATs: keys.KindStats{Active: 1, Disabled: 1, Suspended: 1},
		Sessions: keys.KindStats{Suspended: 1}, AuditEntries: got.AuditEntries,
	}
	if got != want || got.AuditEntries < 14 {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
}

// A backup takes no store's place that is in use: every change since would be
// acknowledged, and lost.
func TestBackupOverAStoreInUse(t *testing.T) {
	v, other := newVault(t), newVault(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(v.path, link); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"itself": v.path, "by a link": link, "another": other.path} {
		if _, err := v.d.Backup(t.Context(), path); !errors.Is(err, errInUse) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, v := range []*vault{v, other} {
		v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
		v.close()
		if v.open(); v.standing(v.key) != keys.Unknown {
			t.Error("a revocation is lost")
		}
		if left, err := filepath.Glob(filepath.Join(filepath.Dir(v.path), ".*")); err != nil || len(left) > 0 {
			t.Errorf("%q was left, %v", left, err)
		}
	}
	// One that nobody uses is as good as any other file.
	other.close()
	for _, path := range []string{other.path, filepath.Join(t.TempDir(), "text")} {
		if err := os.WriteFile(path+".text", []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{path, path + ".text"} {
			if _, err := v.d.Backup(t.Context(), target); err != nil {
				t.Errorf("%s: %v", target, err)
			} else if _, err := Examine(t.Context(), target); err != nil {
				t.Error(err)
			}
		}
	}
}

// A store whose file was deleted takes no change, and can still be saved.
func TestBackupOfADeletedFile(t *testing.T) {
	v := newVault(t)
	e, err := v.d.Find(t.Context(), v.key.Digest)
	if err != nil {
		t.Fatal(err)
	}
	v.d.Used(e, "192.0.2.1") // which there is now to write
	if err := os.Rename(v.path, v.path+".deleted"); err != nil {
		t.Fatal(err)
	}
	if err := v.d.Update(t.Context(), operator, func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") }); !errors.Is(err, errAstray) {
		t.Fatalf("a change ended with %v", err)
	}
	if _, err := v.d.Backup(t.Context(), v.path); err != nil {
		t.Fatal(err)
	}
	if err := v.d.Close(); err != nil {
		t.Error(err)
	}
	if v.open(); v.standing(v.key) != keys.Active {
		t.Error("the key is not in the copy")
	}
}
