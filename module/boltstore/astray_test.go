package boltstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// readAll reads every list and every record of a user.
func readAll(r keys.Reader) error {
	var all []error
	for u, err := range r.Users(0) {
		all = append(all, err)
		for c, err := range r.Credentials(u.ID, 0) {
			_, errID := r.CredentialByID(c.ID)
			_, errUse := r.LastUsed(c.Digest)
			all = append(all, err, errID, errUse)
		}
	}
	for stone, err := range r.Tombstones() {
		_, errID := r.TombstoneByID(stone.ID)
		all = append(all, err, errID)
	}
	for _, err := range r.AuditEntriesBack("", 0) {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// A damaged page below the first ones is found when it is read: that is an
// error, and never the end of the process or of the store.
func TestDamagedAfterOpening(t *testing.T) {
	path, key, revoked := large(t)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	damaged := newPath(t)
	opened, found := 0, 0
	for i := range 300 {
		if err := os.WriteFile(damaged, spoil(random, file), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(damaged)
		if err != nil {
			continue
		}
		opened++
		read := s.View(t.Context(), readAll)
		_, written := s.Update(t.Context(), func(w keys.Writer) error {
			c, err := w.Credential(key)
			if err != nil {
				return err
			}
			if _, err := w.Tombstone(revoked); err != nil {
				return err
			}
			c.Description = fmt.Sprint("round ", i)
			return w.PutCredential(c)
		})
		if errors.Is(read, keys.ErrCorrupt) || errors.Is(written, keys.ErrCorrupt) {
			found++
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if opened < 50 || found < 20 {
		t.Errorf("%d files were opened and %d were found damaged: the test damages too little", opened, found)
	}
}

// Opening reads the same few pages of a small and of a large file.
func TestOpenReadsFewPages(t *testing.T) {
	path, _, _ := large(t)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	counted := &countedReads{file: file}
	if err := checkRoots(counted, info.Size(), os.Getpagesize()); err != nil {
		t.Fatal(err)
	}
	most := 2*len(records.Buckets(records.Format)) + 10
	if pages := info.Size() / int64(os.Getpagesize()); counted.n > most || int64(counted.n) > pages/2 {
		t.Errorf("it read %d of %d pages", counted.n, pages)
	}
}

type countedReads struct {
	file *os.File
	n    int
}

func (c *countedReads) ReadAt(p []byte, at int64) (int, error) {
	c.n++
	return c.file.ReadAt(p, at)
}
