package boltstore

import (
	"context"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/records"
)

// batches writes into a file that nobody else uses, many records a
// transaction: one transaction for all would have to hold them in memory.
type batches struct {
	ctx context.Context
	db  *bolt.DB
	w   *revision
	n   int
}

// batchSize is how many records one transaction writes.
const batchSize = 5000

// next is the writer for the next record.
func (b *batches) next() (records.Writer, error) {
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
		b.w = newRevision(tx)
	}
	return b.w, nil
}

// end commits what is not committed.
func (b *batches) end() error {
	if b.w == nil {
		return nil
	}
	w := b.w
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
