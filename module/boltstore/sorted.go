package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// sortedBatch is how many entries one transaction appends to a bucket.
const sortedBatch = 50_000

// sortedWriter appends entries to a bucket that is empty. A value must not
// change before the end.
type sortedWriter struct {
	ctx    context.Context
	db     *bolt.DB
	name   []byte
	tx     *bolt.Tx // nil between two transactions
	bucket *bolt.Bucket
	last   []byte // the key of the last entry
	n      int
}

// writeSorted appends entries, which each calls its argument with in the order
// of their keys, to a bucket that is empty.
func writeSorted(ctx context.Context, db *bolt.DB, name []byte, each func(func(key, value []byte) error) error) error {
	w := &sortedWriter{ctx: ctx, db: db, name: name}
	if err := each(w.add); err != nil {
		return errors.Join(err, w.abandon())
	}
	return w.commit()
}

func (w *sortedWriter) add(key, value []byte) (err error) {
	if w.n > 0 && bytes.Compare(key, w.last) <= 0 {
		return fmt.Errorf("the entry %q of %s is there twice, or out of order", key, w.name)
	}
	w.last = append(w.last[:0], key...)
	if w.n++; w.n%sortedBatch == 0 {
		if err := errors.Join(w.commit(), w.ctx.Err()); err != nil {
			return err
		}
	}
	if w.tx == nil {
		if w.tx, err = w.db.Begin(true); err != nil {
			return err
		}
		w.bucket = w.tx.Bucket(w.name)
		w.bucket.FillPercent = 1
	}
	return w.bucket.Put(key, value)
}

func (w *sortedWriter) commit() error {
	if w.tx == nil {
		return nil
	}
	done := w.tx
	w.tx = nil
	return done.Commit()
}

// abandon ends a transaction that commit did not.
func (w *sortedWriter) abandon() error {
	if w.tx == nil {
		return nil
	}
	return w.tx.Rollback()
}

// merged calls yield with the entries of a bucket and of a sorter, in the order
// of their keys. Of two with one key, the bucket's comes first.
func merged(bucket *bolt.Bucket, added *sorter, yield func(key, value []byte) error) error {
	cursor := bucket.Cursor()
	key, value := cursor.First()
	err := added.each(func(next, its []byte) error {
		for key != nil && bytes.Compare(key, next) <= 0 {
			if err := yield(key, value); err != nil {
				return err
			}
			key, value = cursor.Next()
		}
		return yield(next, bytes.Clone(its)) // of which the sorter writes the next one over it
	})
	for err == nil && key != nil {
		err = yield(key, value)
		key, value = cursor.Next()
	}
	return err
}
