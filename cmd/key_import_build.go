package cmd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// A large file for a store that nobody else has open is imported at once: the
// store is built again, with all its keys in order, and takes the old one's
// place at the end.

// buildBytes is how large such a file is at least.
var buildBytes int64 = 4 << 20

// buildShare is how many times as large as the file the store may be: to build a
// larger one again would take longer than to add the keys to it.
const buildShare = 150

// batchKeysBuild is how many keys one change of the new store has. With a user
// and an app for each it stays far below what one change can write.
const batchKeysBuild = 5000

// mayBuild builds a store, when the command opens one, if it can be built and
// the file is large, also next to the store.
func (i *keyImport) mayBuild(ctx context.Context, file *os.File) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() < buildBytes || i.dryRun {
		return
	}
	i.wrap = func(opened keys.Store) (keys.Store, error) {
		store, ok := opened.(*boltstore.Store)
		if !ok {
			return opened, nil
		}
		before, err := os.Stat(i.flag("db"))
		if err != nil {
			return nil, err
		}
		if before.Size()/buildShare > info.Size() {
			return opened, nil
		}
		build, err := store.Build(ctx)
		if errors.Is(err, boltstore.ErrDeleting) || errors.Is(err, errors.ErrUnsupported) {
			return opened, nil
		}
		if err != nil {
			return nil, err
		}
		i.build, i.most = build, batchKeysBuild
		return build, nil
	}
}

// fromFileAtOnce imports all keys of a file or none.
func (i *keyImport) fromFileAtOnce(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	var from keys.ImportSource
	sum := sha256.New()
	if _, err = io.Copy(sum, file); err == nil {
		sum.Sum(from.Digest[:0])
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	ids, err := os.CreateTemp("", "key-ids-*")
	if err != nil {
		return err
	}
	defer func() { _ = errors.Join(ids.Close(), os.Remove(ids.Name())) }() // it was read
	names := bufio.NewWriter(ids)
	i.bar.begin("Read", info.Size())
	again := sha256.New()
	all := io.TeeReader(file, again)
	err = i.pass(ctx, all, func(ctx context.Context, batch []entry) error { return i.add(ctx, from, batch, names) })
	if err == nil {
		_, err = io.Copy(io.Discard, all)
	}
	if err == nil && !bytes.Equal(again.Sum(nil), from.Digest[:]) {
		err = errors.New("it was changed while it was read")
	}
	if err != nil {
		return i.brokenOff(err, "nothing was imported")
	}
	if i.report.Refused > 0 && !i.skipInvalid {
		return errWrong
	}
	if err := i.build.Finish(ctx); err != nil {
		return i.brokenOff(err, "nothing was imported")
	}
	i.report.applied = true
	if err := names.Flush(); err != nil {
		return err
	}
	if _, err := ids.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(i.OutOrStdout(), ids)
	return err
}

// add adds a batch to the store that is built.
func (i *keyImport) add(ctx context.Context, from keys.ImportSource, batch []entry, names io.Writer) error {
	list, first, last := keysOf(batch)
	from.FirstLine, from.LastLine = first, last
	done, err := i.api.offline.Import(ctx, list, manage.ImportOptions{From: from, CreateMissing: i.asked["create_missing"] == true, Others: true})
	if err != nil {
		return err
	}
	i.bar.clear()
	for n := range batch {
		e := &batch[n]
		var one manage.Imported
		if e.element != nil {
			one, done = done[0], done[1:]
			e.judged(one)
		}
		i.report.add(e)
		if e.element != nil {
			i.report.renamed(names, e, one)
		}
	}
	return nil
}
