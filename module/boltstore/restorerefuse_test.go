package boltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/keys/keystest"
	"github.com/caddy-api-keys/gateway/module/records"
)

// refusedRestore wants a restore to fail, and to have changed nothing.
func refusedRestore(t *testing.T, backup, path string, acceptLost bool, says ...string) {
	t.Helper()
	before, _ := os.ReadFile(path)
	there := names(t, filepath.Dir(path))
	_, err := Restore(t.Context(), backup, path, acceptLost)
	if err == nil {
		t.Fatal("it was restored")
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("got %q, want %q in it", err, text)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the store was changed")
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, there) {
		t.Errorf("left behind: %q, before there was %q", got, there)
	}
}

func TestRestoreRefusesBackups(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"not there": {func(*testing.T, string) {}, "no such file"},
		"text":      {write("This is not a key store.\n"), "not a key store"},
		"empty":     {write(""), "empty"},
		"another's": {edit(func(tx *bolt.Tx) error { return forget(tx, "someone") }), "not a key store"},
		"newer":     {format(fmt.Sprint("caddy-api-keys ", records.Format+1)), "newer version"},
		"cut short": {truncate(-1), "damaged"},
		"one record": {edit(func(tx *bolt.Tx) error { return tx.Bucket([]byte("users")).Put([]byte("x"), []byte("x")) }),
			"damaged, and nothing was changed"},
		"one index": {edit(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte("credentials_by_id")).Delete([]byte(keystest.SomeKey.ID))
		}),
			"damaged, and nothing was changed"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			v.close()
			backup := newPath(t)
			c.make(t, backup)
			refusedRestore(t, backup, v.path, false, c.says)
			refusedRestore(t, backup, v.path, true, c.says)
		})
	}
}

func TestRestoreRefusesItself(t *testing.T) {
	v := newVault(t)
	v.close()
	refusedRestore(t, v.path, v.path, false, "is the key store itself")
}

// A running server has the lock, on the store as on what may be its backup.
func TestRestoreRefusesWhatIsInUse(t *testing.T) {
	v, other := newVault(t), newVault(t)
	backup := v.backup("backup.db")
	refusedRestore(t, backup, v.path, true, "still in use by another process")
	v.close()
	refusedRestore(t, other.path, v.path, false, "still in use by another process")
}

// If the previous store can't be read, its revocations are unknown.
func TestRestoreWithoutTheStoreBefore(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		says   string
	}{
		"damaged": {func(t *testing.T, path string) {
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			clear(file[2*os.Getpagesize():])
			write(string(file))(t, path)
		}, "damaged"},
		"not there": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "there is no file"},
		"empty": {write(""), "empty"},
		"text":  {write("This is not a key store.\n"), "not a key store"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			backup := v.backup("backup.db")
			v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
			v.close()
			c.damage(t, v.path)
			was, _ := os.ReadFile(v.path)
			refusedRestore(t, backup, v.path, false, c.says, "--accept-lost-revocations")

			report, err := Restore(t.Context(), backup, v.path, true)
			if err != nil || !strings.Contains(report.LostRevocations, c.says) {
				t.Fatalf("it says %+v, %v", report, err)
			}
			v.sound(time.Time{})
			if v.standing(v.key) != keys.Active || v.standing(v.session) != keys.Unknown {
				t.Error("it is not what the backup was, without sessions")
			}
			if kept, _ := os.ReadFile(report.ReplacedFile); !bytes.Equal(kept, was) {
				t.Error("the file before was not kept as it was")
			}
		})
	}
}

// One record of the store before that can't be read may be the one that counts.
func TestRestoreOverOneDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(v *vault) func(tx *bolt.Tx) error{
		"key": func(v *vault) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error {
				return tx.Bucket([]byte("credentials")).Put(v.key.Digest[:], []byte("x"))
			}
		},
		"tombstone": func(v *vault) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error {
				return tx.Bucket([]byte("tombstones")).Put(v.key.Digest[:], []byte("x"))
			}
		},
		"user": func(v *vault) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error { return tx.Bucket([]byte("users")).Put([]byte("alice"), []byte("x")) }
		},
		"last write": func(v *vault) func(*bolt.Tx) error {
			return func(tx *bolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("last_write"), []byte("x")) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault(t)
			backup := v.backup("backup.db")
			v.update(func(tx *keys.Tx) error { return tx.Revoke(v.pat.ID, "leaked") })
			v.close()
			s := newStore(t, v.path, realFaults())
			if err := errors.Join(s.state.Load().db.Update(damage(v)), s.Close()); err != nil {
				t.Fatal(err)
			}
			refusedRestore(t, backup, v.path, false, "--accept-lost-revocations")
			report, err := Restore(t.Context(), backup, v.path, true)
			if err != nil || report.Unreadable == 0 {
				t.Fatalf("it says %+v, %v", report, err)
			}
			v.sound(time.Time{})
			if v.standing(v.pat) != keys.Unknown {
				t.Error("what could be read was not taken away")
			}
		})
	}
}

// A damaged backup is refused, or was hit where nothing is; it is never the
// end of the process, and never brings anything back.
func TestRestoreDamagedAtRandom(t *testing.T) {
	v := newVault(t)
	backup := v.backup("backup.db")
	v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
	v.close()
	file, err := os.ReadFile(compact(t, backup))
	if err != nil {
		t.Fatal(err)
	}
	random, spoilt := rand.New(rand.NewPCG(3, 4)), newPath(t)
	for i := range 60 {
		if err := os.WriteFile(spoilt, spoil(random, file), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Restore(t.Context(), spoilt, v.path, i%2 == 0); err != nil {
			continue
		}
		v.sound(time.Time{})
		if v.standing(v.key) != keys.Unknown || v.standing(v.pat) != keys.Active {
			t.Fatalf("round %d: the restored store is another", i)
		}
		v.close()
	}
}

// Which name leads where is settled before anything is renamed.
func TestRestoreByALink(t *testing.T) {
	v := newVault(t)
	backup := v.backup("backup.db")
	v.update(func(tx *keys.Tx) error { return tx.Revoke(v.key.ID, "leaked") })
	v.close()
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(v.path, link); err != nil {
		t.Fatal(err)
	}
	report, err := Restore(t.Context(), backup, link, false)
	if err != nil || !strings.HasPrefix(report.ReplacedFile, v.path) {
		t.Fatalf("it says %+v, %v", report, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is no longer one: %v, %v", info, err)
	}
	v.sound(time.Time{})
}

// A process that opens a file while a restore replaces it must not write to the
// old one.
func TestReplacedWhileOpening(t *testing.T) {
	v := newVault(t)
	v.close()
	other := newVault(t)
	other.close()
	s, err := open(v.path, nil, faults{commit: (*bolt.DB).Update, openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if flag&os.O_RDWR != 0 {
			err = errors.Join(err, os.Rename(other.path, v.path))
		}
		return f, err
	}})
	if !errors.Is(err, errReplaced) {
		if err == nil {
			_ = s.Close()
		}
		t.Errorf("got %v", err)
	}
}
