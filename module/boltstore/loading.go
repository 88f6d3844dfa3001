package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// loading are new credentials on their way into a file. It is used by one
// goroutine at a time.
type loading struct {
	// last is the Seq that was last given.
	last uint64
	// counts are the keys of each user.
	counts map[string]uint64
	// pending are those of the change that is being made, also by digest.
	pending  []keys.Credential
	byDigest map[credential.Digest]int
	// written finds the others, whose records are in the log.
	written digests
	log     *recordLog
	// sorted are the entries of all buckets.
	sorted map[string]*sorter
}

func newLoading(folder string, last uint64) *loading {
	l := &loading{last: last, counts: map[string]uint64{}, byDigest: map[credential.Digest]int{}, log: &recordLog{folder: folder}, sorted: map[string]*sorter{}}
	for _, name := range records.CredentialBuckets() {
		l.sorted[string(name)] = newSorter(folder)
	}
	return l
}

func (l *loading) put(c keys.Credential) error {
	l.last++
	c.Seq = l.last
	l.byDigest[c.Digest] = len(l.pending)
	l.pending = append(l.pending, c)
	return nil
}

func (l *loading) get(d credential.Digest) (keys.Credential, error) {
	if i, ok := l.byDigest[d]; ok {
		return l.pending[i], nil
	}
	for place := range l.written.find(d) {
		key, value, err := l.log.read(place)
		if err != nil {
			return keys.Credential{}, err
		}
		if bytes.Equal(key, d[:]) {
			return records.DecodeCredential(key, value)
		}
	}
	return keys.Credential{}, keys.ErrNotFound
}

// commit adds the pending credentials to those that are sorted.
func (l *loading) commit() error {
	encoded, err := encodeAll(l.pending)
	if err != nil {
		return err
	}
	for i, entries := range encoded {
		place, err := l.log.add(entries[0].Key, entries[0].Value)
		if err != nil {
			return err
		}
		l.written.add(l.pending[i].Digest, place)
		if user := records.Counted(l.pending[i]); user != "" {
			l.counts[user]++
		}
	}
	if err := l.sort(encoded); err != nil {
		return err
	}
	clear(l.pending)
	l.pending = l.pending[:0]
	clear(l.byDigest)
	return nil
}

// sort gives each bucket its entries, all buckets at the same time.
func (l *loading) sort(encoded [][]records.Entry) error {
	var buckets sync.WaitGroup
	errs := make(chan error, len(l.sorted))
	for name, s := range l.sorted {
		buckets.Go(func() {
			for _, entries := range encoded {
				for _, e := range entries {
					if string(e.Bucket) != name {
						continue
					}
					if err := s.add(e.Key, e.Value); err != nil {
						errs <- err
						return
					}
				}
			}
		})
	}
	buckets.Wait()
	close(errs)
	return <-errs
}

// encodeAll encodes credentials on all processors.
func encodeAll(list []keys.Credential) ([][]records.Entry, error) {
	encoded := make([][]records.Entry, len(list))
	part := len(list)/runtime.GOMAXPROCS(0) + 1
	var encoders sync.WaitGroup
	errs := make(chan error, runtime.GOMAXPROCS(0)+1)
	at := 0
	for some := range slices.Chunk(list, part) {
		into := encoded[at : at+len(some)]
		at += len(some)
		encoders.Go(func() {
			for i, c := range some {
				entries, err := records.EncodeCredential(c)
				if err != nil {
					errs <- err
					return
				}
				into[i] = entries
			}
		})
	}
	encoders.Wait()
	close(errs)
	return encoded, <-errs
}

// write writes everything into a file, one bucket after the other.
func (l *loading) write(ctx context.Context, db *bolt.DB) error {
	for name, entries := range l.sorted {
		if err := writeSorted(ctx, db, []byte(name), entries); err != nil {
			return err
		}
	}
	users := slices.Sorted(maps.Keys(l.counts))
	for some := range slices.Chunk(users, batchSize) {
		counts := map[string]uint64{}
		for _, user := range some {
			counts[user] = l.counts[user]
		}
		err := db.Update(func(tx *bolt.Tx) error { return records.Load(newRevision(tx), l.last, counts) })
		if err != nil {
			return err
		}
	}
	return nil
}

// sortedBatch is how many entries one transaction appends to a bucket.
const sortedBatch = 50_000

// writeSorted appends entries to a bucket that is empty.
func writeSorted(ctx context.Context, db *bolt.DB, name []byte, entries *sorter) error {
	var tx *bolt.Tx
	var bucket *bolt.Bucket
	var last []byte
	n := 0
	defer func() {
		if tx != nil {
			_ = tx.Rollback() // after an error
		}
	}()
	commit := func() error {
		if tx == nil {
			return nil
		}
		done := tx
		tx = nil
		return done.Commit()
	}
	err := entries.each(func(key, value []byte) (err error) {
		if n > 0 && bytes.Equal(key, last) {
			return fmt.Errorf("two entries of %s have the key %q", name, key)
		}
		last = append(last[:0], key...)
		if n++; n%sortedBatch == 0 {
			if err := errors.Join(commit(), ctx.Err()); err != nil {
				return err
			}
		}
		if tx == nil {
			if tx, err = db.Begin(true); err != nil {
				return err
			}
			bucket = tx.Bucket(name)
			bucket.FillPercent = 1
		}
		return bucket.Put(key, bytes.Clone(value)) // which bbolt keeps until the commit
	})
	if err != nil {
		return err
	}
	return commit()
}

func (l *loading) close() error {
	err := l.log.close()
	for _, s := range l.sorted {
		err = errors.Join(err, s.close())
	}
	return err
}

// digests finds, for a digest, a few places, among which is that of its record.
// It takes 16 bytes a digest, and half as much again.
type digests struct {
	prefixes []uint64
	places   []int64 // 0 if an entry has no place
	n        int
}

func prefixOf(d credential.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

func (t *digests) add(d credential.Digest, place int64) {
	if 3*t.n >= 2*len(t.places) {
		old := *t
		size := max(1024, 2*len(old.places))
		t.prefixes, t.places = make([]uint64, size), make([]int64, size)
		for i, place := range old.places {
			if place != 0 {
				t.insert(old.prefixes[i], place)
			}
		}
	}
	t.insert(prefixOf(d), place)
	t.n++
}

func (t *digests) insert(prefix uint64, place int64) {
	for i := prefix % uint64(len(t.places)); ; i = (i + 1) % uint64(len(t.places)) {
		if t.places[i] == 0 {
			t.prefixes[i], t.places[i] = prefix, place
			return
		}
	}
}

func (t *digests) find(d credential.Digest) func(yield func(place int64) bool) {
	return func(yield func(int64) bool) {
		if len(t.places) == 0 {
			return
		}
		prefix := prefixOf(d)
		for i := prefix % uint64(len(t.places)); t.places[i] != 0; i = (i + 1) % uint64(len(t.places)) {
			if t.prefixes[i] == prefix && !yield(t.places[i]) {
				return
			}
		}
	}
}
