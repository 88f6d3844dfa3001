package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// ReadWhole reads the records of a file that no process has open, a store or a
// backup, after checking all of it. The file is only read.
func ReadWhole(ctx context.Context, path string, fn func(records.Reader) error) (err error) {
	path, err = canonical(path)
	if err != nil {
		return err
	}
	found, err := examine(ctx, path)
	if err != nil {
		return err
	}
	if d := found.Damage(); d != nil {
		return fmt.Errorf("%w: %s", keys.ErrCorrupt, d.Text)
	}
	db, err := openToRead(ctx, path, os.OpenFile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		r := newRevision(tx)
		if format, err := records.FormatOf(r); err != nil || format != records.Format {
			return errors.Join(err, fmt.Errorf("its format is %d, and %d is needed: open it once with this version, such as by \"store stats --db\"", format, records.Format))
		}
		return fn(r)
	})
}

// FinishStore makes a store of what was written, checks it, and gives it the path,
// where no file may be.
func (n *NewMirror) FinishStore(ctx context.Context) error {
	err := n.into.end()
	if err == nil {
		err = n.db.Update(makeStore)
	}
	if err == nil {
		err = n.db.Sync()
	}
	if err = errors.Join(err, n.close()); err != nil {
		return err
	}
	found, err := examine(ctx, n.file)
	if err != nil {
		return err
	}
	if len(found.Findings) > 0 {
		return fmt.Errorf("%w: %s", keys.ErrCorrupt, found.Findings[0].Text)
	}
	// Unlike a rename, a link fails where a file is.
	if err := os.Link(n.file, n.path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("there is a file %s: give another path", n.path)
		}
		return err
	}
	return syncFolder(filepath.Dir(n.path))
}
