package boltstore

import (
	"context"
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Examine checks the key store in a file from end to end, without writing to
// it: its pages, every record, every index, and whether records fit together.
// It returns an error if the file can't be opened or isn't a key store.
func Examine(ctx context.Context, path string) (keys.Examination, error) {
	path, err := canonical(path)
	if err != nil {
		return keys.Examination{}, err
	}
	found, err := examine(ctx, path)
	if err != nil {
		return found, fmt.Errorf("checking key store %s: %w", path, err)
	}
	return found, nil
}

func examine(ctx context.Context, path string) (found keys.Examination, err error) {
	db, err := openToRead(ctx, path, os.OpenFile)
	if errors.Is(err, errDamaged) {
		found.Findings = []keys.Finding{{Damage: true, Text: err.Error()}}
		return found, nil
	}
	if err != nil {
		return found, err
	}
	err = db.View(func(tx *bolt.Tx) (err error) {
		found, err = records.Examine(ctx, newRevision(tx))
		return err
	})
	return found, errors.Join(err, db.Close())
}
