package boltstore

import (
	"bytes"
	"context"
	"errors"
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
	// counts are the keys that each user gets.
	counts map[string]uint64
	// pending are those of the change that is being made.
	pending batch
	// landing are those of the change before, which are being encoded and sorted.
	// landed gets the error of that, and is nil while nothing lands.
	landing batch
	landed  chan error
	// written finds the others, whose records are in the log.
	written digests
	log     *recordLog
	// sorted are the entries of all buckets.
	sorted map[string]*sorter
}

// batch are the credentials of one change, also by digest.
type batch struct {
	list     []keys.Credential
	byDigest map[credential.Digest]int
	places   []int64 // in the log
}

func newLoading(folder string, last uint64) *loading {
	l := &loading{last: last, counts: map[string]uint64{}, log: &recordLog{folder: folder}, sorted: map[string]*sorter{}}
	l.pending.byDigest, l.landing.byDigest = map[credential.Digest]int{}, map[credential.Digest]int{}
	for _, name := range records.CredentialBuckets() {
		l.sorted[string(name)] = newSorter(folder)
	}
	return l
}

func (l *loading) put(c keys.Credential) error {
	l.last++
	c.Seq = l.last
	l.pending.byDigest[c.Digest] = len(l.pending.list)
	l.pending.list = append(l.pending.list, c)
	return nil
}

func (l *loading) get(d credential.Digest) (keys.Credential, error) {
	for _, b := range []*batch{&l.pending, &l.landing} {
		if i, ok := b.byDigest[d]; ok {
			return b.list[i], nil
		}
	}
	for _, place := range slices.Collect(l.written.find(d)) {
		if err := l.land(); err != nil { // which writes to the log
			return keys.Credential{}, err
		}
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

// commit begins to add the pending credentials to those that are sorted. Its
// error may be that of the change before.
func (l *loading) commit() error {
	if err := l.land(); err != nil {
		return err
	}
	l.pending, l.landing = l.landing, l.pending
	l.landed = make(chan error, 1)
	go func() { l.landed <- l.sort(&l.landing) }()
	return nil
}

// land waits until the change before is sorted.
func (l *loading) land() error {
	if l.landed == nil {
		return nil
	}
	err := <-l.landed
	l.landed = nil
	if err != nil {
		return err
	}
	done := &l.landing
	for i, place := range done.places {
		l.written.add(done.list[i].Digest, place)
		if user := records.Counted(done.list[i]); user != "" {
			l.counts[user]++
		}
	}
	clear(done.list)
	clear(done.byDigest)
	done.list, done.places = done.list[:0], done.places[:0]
	return nil
}

// sort encodes credentials, and gives the log and each bucket their entries, all
// buckets at the same time.
func (l *loading) sort(b *batch) error {
	encoded, err := encodeAll(b.list)
	if err != nil {
		return err
	}
	for _, entries := range encoded {
		place, err := l.log.add(entries[0].Key, entries[0].Value)
		if err != nil {
			return err
		}
		b.places = append(b.places, place)
	}
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

// write writes everything into a file, with the credentials of an older one, one
// bucket after the other.
func (l *loading) write(ctx context.Context, db *bolt.DB, old *bolt.Tx) error {
	if err := l.land(); err != nil {
		return err
	}
	for name, entries := range l.sorted {
		each := func(yield func(key, value []byte) error) error {
			return merged(old.Bucket([]byte(name)), entries, yield)
		}
		if err := writeSorted(ctx, db, []byte(name), each); err != nil {
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

func (l *loading) close() error {
	err := errors.Join(l.land(), l.log.close())
	for _, s := range l.sorted {
		err = errors.Join(err, s.close())
	}
	return err
}
