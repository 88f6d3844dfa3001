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
	"github.com/caddy-api-keys/gateway/module/records"
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

	records.Counts

	// Notices are what else the operator should know.
	Notices []string `json:"notices,omitempty"`
}

// What a restore refuses.
var (
	errSameFile = errors.New("the backup is the key store itself: name the file that \"store backup\" wrote")
	errNotKin   = errors.New(records.LostText)
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
	r := &restoring{ctx: ctx, path: path, merge: records.Merge{AcceptLost: acceptLost}}
	if err := r.restore(backup); err != nil {
		return Report{}, fmt.Errorf("restoring key store %s: %w", path, err)
	}
	return r.Report, nil
}

// restoring is a restore under way.
type restoring struct {
	Report
	ctx  context.Context
	path string
	// before is the file that is at the path, nil if there is none.
	before fs.FileInfo

	// current is that file, locked, and nil where it can't be read.
	current *bolt.DB
	// now is what is read of it.
	now   *bolt.Tx
	merge records.Merge
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
	r.BackupAt, r.Counts, r.Notices = r.merge.BackupAt, r.merge.Counts, r.merge.Notices
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
	current := &Store{path: r.path, observer: unobserved{}, faults: faults{openFile: os.OpenFile}}
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
	if !r.merge.AcceptLost {
		return fmt.Errorf("%w (%w)", records.ErrUnreadable, err)
	}
	r.LostRevocations = err.Error()
	if r.before, err = os.Stat(r.path); errors.Is(err, fs.ErrNotExist) {
		r.before, err = nil, nil
	}
	return err
}

func (r *restoring) begin() (err error) {
	if r.now, err = r.current.Begin(false); err == nil {
		r.merge.Now = newRevision(r.now)
	}
	return err
}

func (r *restoring) unlock() error {
	if r.now != nil {
		_ = r.now.Rollback() // of reading alone
		r.now, r.merge.Now = nil, nil
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
		why := r.merge.Recognise(newRevision(tx))
		if why == nil {
			return nil
		}
		if !r.merge.AcceptLost {
			return fmt.Errorf("%w (%w)", errNotKin, why)
		}
		r.LostRevocations = why.Error()
		return nil
	})
}

// build makes of a copy of the backup what it is to be.
func (r *restoring) build(source *bolt.DB, path string) (err error) {
	from, err := source.Begin(false)
	if err != nil {
		return err
	}
	defer func() { _ = from.Rollback() }()
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true, InitialMmapSize: mmapSize(),
		NoSync: true, // nobody sees it before it is whole, and synced
	})
	if err != nil {
		return err
	}
	into := &batches{ctx: r.ctx, db: db}
	if err = upgrade(db, time.Time{}); err == nil {
		err = db.Update(makeStore)
	}
	if err == nil {
		err = r.merge.Run(r.ctx, newRevision(from), into.next)
	}
	if err == nil {
		err = into.end()
	}
	if err == nil {
		err = db.Sync()
	}
	return errors.Join(err, into.abandon(), db.Close())
}

// belongs gives the new file to whom the old one belongs or, if there is none,
// the folder.
func (r *restoring) belongs(path string) error {
	like := r.before
	if like == nil {
		folder, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return err
		}
		like = folder
	}
	notice, err := belongsLike(path, like)
	if notice != "" {
		r.Notices = append(r.Notices, notice)
	}
	return err
}

// swap puts the new file into its place. The path leads to a whole file all
// the time, because the old one gets a second name before it loses its own.
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
	stem := r.path + ".replaced-" + r.merge.At.UTC().Format("20060102T150405Z")
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
