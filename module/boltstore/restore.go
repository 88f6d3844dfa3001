package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Report says what a restore did.
type Report struct {
	// BackupAt is when the backup was last written to: the state that the
	// store is in again.
	BackupAt time.Time `json:"backup_at"`
	// ReplacedFile is where the file is that was the store before.
	ReplacedFile string `json:"replaced_file,omitempty"`
	// LostRevocations says why that file does not tell what was revoked since
	// the backup, where that was accepted: such keys may work again.
	LostRevocations string `json:"lost_revocations,omitempty"`

	Counts

	// Notices are what else the operator should know.
	Notices []string `json:"notices,omitempty"`
}

// Counts says how much of the backup a restore left out or narrowed, for it
// was taken away since, and how much that came since is gone.
type Counts struct {
	UsersDeleted          int `json:"users_deleted"`
	UsersChanged          int `json:"users_changed"` // suspension, e-mail address, password, second factor
	AppsDeleted           int `json:"apps_deleted"`  // of users who were deleted
	AppsReturned          int `json:"apps_returned"` // deleted since, and there again, without keys or collaborators
	KeysRevoked           int `json:"keys_revoked"`
	KeysNarrowed          int `json:"keys_narrowed"`
	CollaboratorsRemoved  int `json:"collaborators_removed"`
	CollaboratorsNarrowed int `json:"collaborators_narrowed"`
	SessionsEnded         int `json:"sessions_ended"`
	TombstonesAdded       int `json:"tombstones_added"`
	UsersGone             int `json:"users_gone"` // made since the backup
	KeysGone              int `json:"keys_gone"`  // made since the backup
	Unreadable            int `json:"unreadable"` // records of the file before, where that was accepted
}

const lostText = "what was revoked since the backup can't be known: " +
	"with --accept-lost-revocations it is restored all the same, and keys that were revoked since then work again until you revoke them"

// What a restore refuses.
var (
	errSameFile = errors.New("the backup is the key store itself: name the file that \"store backup\" wrote")
	errNoRead   = errors.New("the key store that is to be replaced can't be read, and " + lostText)
	errNotKin   = errors.New(lostText)
)

// Restore puts a backup in the place of the key store at path, which no
// process may have open. What was taken away since the backup stays taken
// away: that is read from the current file, and where it can't be read Restore
// refuses, unless acceptLost. The current file is kept beside the new one.
//
// At every moment, a crash included, the path leads to the old file or to the
// new one, whole. The backup is only read.
func Restore(ctx context.Context, backup, path string, acceptLost bool) (Report, error) {
	path, err := canonical(path)
	if err != nil {
		return Report{}, fmt.Errorf("path of the key store: %w", err)
	}
	r := &restoring{ctx: ctx, path: path, acceptLost: acceptLost}
	if err := r.restore(backup); err != nil {
		return Report{}, fmt.Errorf("restoring key store %s: %w", path, err)
	}
	return r.Report, nil
}

// restoring is a restore under way.
type restoring struct {
	Report
	ctx        context.Context
	path       string
	acceptLost bool
	// before is the file that is at the path, nil where there is none.
	before fs.FileInfo

	// current is that file, locked, and nil where it can't be read.
	current *bolt.DB
	// from is the backup, and now what is read of the file before.
	from, now *bolt.Tx
	// kinship is that of the current file.
	kinship kinship
	// at is the time of the restore.
	at time.Time
}

func (r *restoring) restore(backup string) (err error) {
	// The lock comes first, and is kept until the new file is in its place.
	defer func() { err = errors.Join(err, r.unlock()) }()
	if err := r.lock(); err != nil {
		return err
	}
	if info, err := os.Stat(backup); err == nil && r.before != nil && os.SameFile(info, r.before) {
		return errSameFile
	}
	source, err := openToRead(r.ctx, backup, os.OpenFile)
	if err != nil {
		return fmt.Errorf("reading the backup %s: %w", backup, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()

	if err := makeFolder(filepath.Dir(r.path)); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(r.path), "."+filepath.Base(r.path)+".restore-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // it isn't there any more where all went well
	err = source.View(func(tx *bolt.Tx) error {
		_, _, err := copyTo(r.ctx, tx, file)
		return err
	})
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("copying the backup: %w", err)
	}
	if _, err := r.examine(file.Name(), "the backup "+backup); err != nil {
		return err
	}
	if err := r.recognise(source); err != nil {
		return err
	}
	if err := r.build(source, file.Name()); err != nil {
		return err
	}
	left, err := r.examine(file.Name(), "what was restored")
	if err != nil {
		return err
	}
	for _, f := range left {
		r.Notices = append(r.Notices, f.Text)
	}
	if err := r.belongs(file.Name()); err != nil {
		return err
	}
	return r.swap(file.Name())
}

// examine refuses a file that is damaged. What else there is keeps nobody from
// getting the rest back.
func (r *restoring) examine(path, what string) ([]keys.Finding, error) {
	found, err := examine(r.ctx, path)
	if err != nil {
		return nil, fmt.Errorf("checking %s: %w", what, err)
	}
	if d := found.Damage(); d != nil {
		return nil, fmt.Errorf("%s is damaged, and nothing was changed (%s): use another backup", what, d.Text)
	}
	return found.Findings, nil
}

// lock opens the current file, so that no other process can have it.
func (r *restoring) lock() error {
	current := &Store{path: r.path, faults: faults{openFile: os.OpenFile}}
	var err error
	if r.current, err = current.existing(); err == nil {
		r.before, err = os.Stat(r.path)
		return errors.Join(err, r.begin())
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("there is no file %s", r.path)
	case errors.Is(err, errEmpty), errors.Is(err, errDamaged), errors.Is(err, errForeign):
	default:
		return err
	}
	if !r.acceptLost {
		return fmt.Errorf("%w (%w)", errNoRead, err)
	}
	r.LostRevocations = err.Error()
	if r.before, err = os.Stat(r.path); errors.Is(err, fs.ErrNotExist) {
		r.before, err = nil, nil
	}
	return err
}

func (r *restoring) begin() (err error) {
	if r.current != nil {
		r.now, err = r.current.Begin(false)
	}
	return err
}

func (r *restoring) unlock() error {
	if r.now != nil {
		_ = r.now.Rollback() // of reading alone
		r.now = nil
	}
	if r.current == nil {
		return nil
	}
	db := r.current
	r.current = nil
	return db.Close()
}

// recognise refuses to replace what did not become of the backup, unless that
// is accepted: it doesn't tell what was revoked since.
func (r *restoring) recognise(source *bolt.DB) error {
	if r.now == nil {
		return nil
	}
	return source.View(func(tx *bolt.Tx) error {
		r.from = tx
		defer func() { r.from = nil }()
		kin, why := r.kin()
		if r.kinship = kin; kin == descendant {
			return nil
		}
		if !r.acceptLost {
			return fmt.Errorf("%w (%w)", errNotKin, why)
		}
		r.LostRevocations = why.Error()
		return nil
	})
}

// build makes of a copy of the backup what it is to be.
func (r *restoring) build(source *bolt.DB, path string) (err error) {
	if r.from, err = source.Begin(false); err != nil {
		return err
	}
	defer func() { _ = r.from.Rollback() }()
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true, InitialMmapSize: mmapSize(),
		NoSync: true, // nobody sees it before it is whole, and synced
	})
	if err != nil {
		return err
	}
	into := &batches{ctx: r.ctx, db: db}
	if err = upgrade(db, time.Time{}); err == nil {
		err = r.merge(into)
	}
	if err == nil {
		err = into.end()
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, into.abandon(), db.Close())
}

// swap puts the new file into its place. The path leads to a whole file all
// the time, for the old one gets a second name before it loses its own.
func (r *restoring) swap(path string) error {
	if err := r.unchanged(); err != nil {
		return err
	}
	folder := filepath.Dir(r.path)
	if r.before == nil {
		// Unlike a rename, a link fails where a file was made meanwhile.
		if err := os.Link(path, r.path); err != nil {
			return err
		}
		return syncFolder(folder)
	}
	kept, err := r.keep()
	if err != nil {
		return err
	}
	if err := syncFolder(folder); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // where an open file can't be replaced
		if err := r.unlock(); err != nil {
			return err
		}
	}
	if err := os.Rename(path, r.path); err != nil {
		if _, gone := os.Stat(r.path); errors.Is(gone, fs.ErrNotExist) { // see keep
			return fmt.Errorf("%w; the key store is now %s: rename that to %s", err, kept, r.path)
		}
		return errors.Join(err, os.Remove(kept))
	}
	r.ReplacedFile = kept
	return syncFolder(folder)
}

// unchanged refuses to replace a file that is not the one that was read.
func (r *restoring) unchanged() error {
	there, err := os.Stat(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && r.before == nil:
		return nil
	case err != nil:
		return err
	case r.before == nil || !os.SameFile(there, r.before):
		return errReplaced
	}
	return nil
}

// keep gives the current file a second name. Where the file system has no such
// thing, it renames it.
func (r *restoring) keep() (name string, err error) {
	stem := r.path + ".replaced-" + r.at.UTC().Format("20060102T150405Z")
	name = stem
	for n := 2; ; n++ {
		err = os.Link(r.path, name)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			break
		}
		name = fmt.Sprintf("%s-%d", stem, n)
	}
	if err == nil {
		return name, nil
	}
	if _, there := os.Lstat(name); !errors.Is(there, fs.ErrNotExist) {
		return "", err
	}
	return name, os.Rename(r.path, name)
}

// batches writes into a file that nobody else uses, many records a
// transaction: one transaction for all would have to hold them in memory.
type batches struct {
	ctx context.Context
	db  *bolt.DB
	w   *writer
	n   int
}

// batchSize is how many records one transaction writes.
const batchSize = 5000

// next is the writer for the next record.
func (b *batches) next() (*writer, error) {
	if b.n++; b.n%batchSize == 0 {
		if err := b.end(); err != nil {
			return nil, err
		}
	}
	if b.w == nil {
		if err := b.ctx.Err(); err != nil {
			return nil, err
		}
		tx, err := b.db.Begin(true)
		if err != nil {
			return nil, err
		}
		b.w = &writer{reader: reader{tx}}
	}
	return b.w, nil
}

// end commits what is not committed.
func (b *batches) end() error {
	if b.w == nil {
		return nil
	}
	w := b.w
	if w.err != nil {
		return w.err
	}
	b.w = nil
	return w.tx.Commit()
}

// abandon ends a transaction that end did not.
func (b *batches) abandon() error {
	if b.w == nil {
		return nil
	}
	return b.w.tx.Rollback()
}
