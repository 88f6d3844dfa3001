package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A replica has the primary entries of a store: its records, sequences and meta
// data. Indexes and counts are derived, so each replica makes them itself.

// primary is a bucket of primary entries.
type primary interface {
	// remove deletes the record of a key with what is derived from it.
	remove(w Writer, key []byte) error
	// set adds a record with what is derived from it. The key is free.
	set(w Writer, key, value []byte) error
}

var primaries = map[string]primary{
	string(metaBucket):           plain{metaBucket},
	string(retiredBucket):        plain{retiredBucket},
	string(sequencesBucket):      plain{sequencesBucket},
	string(users.bucket):         &users,
	string(apps.bucket):          &apps,
	string(credentials.bucket):   &credentials,
	string(collaborators.bucket): &collaborators,
	string(deletions.bucket):     &deletions,
	string(tombstones.bucket):    &tombstones,
	string(usages.bucket):        &usages,
	string(activities.bucket):    &activities,
	string(audit.bucket):         &audit,
	string(marks.bucket):         &marks,
}

// Revision returns the newest revision of a store.
func Revision(r Reader) (uint64, error) { return readSequence(r, revisionKey) }

// IsUse reports whether a bucket has what [ApplyUses] writes, which is no change.
func IsUse(bucket []byte) bool {
	return bytes.Equal(bucket, usages.bucket) || bytes.Equal(bucket, activities.bucket)
}

// CredentialEntry returns the bucket and the key of a credential's entry.
func CredentialEntry(d credential.Digest) Entry {
	return Entry{Bucket: credentials.bucket, Key: bytes.Clone(d[:])}
}

// Primary reports whether a bucket has primary entries.
func Primary(bucket []byte) bool { return primaries[string(bucket)] != nil }

// Primaries walks the primary entries of a revision, bucket by bucket. It calls
// each with slices that are valid until it returns.
func Primaries(ctx context.Context, r Reader, each func(Entry) error) error {
	for _, bucket := range append(Buckets(Format), activities.bucket) {
		if !Primary(bucket) {
			continue
		}
		n := 0
		for key, value := range entries(r, bucket, nil) {
			if n++; n%1000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if err := each(Entry{bucket, key, value}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Recorder is a revision being written that keeps the primary entries that were
// written.
type Recorder struct {
	Writer
	entries []Entry
	at      map[string]int
}

// NewRecorder returns a Recorder that writes to w.
func NewRecorder(w Writer) *Recorder { return &Recorder{Writer: w, at: map[string]int{}} }

// Entries returns the primary entries that were written, each once with its last
// value. The value of a deleted entry is nil.
func (r *Recorder) Entries() []Entry { return r.entries }

// Put implements [Writer].
func (r *Recorder) Put(bucket, key, value []byte) error {
	r.keep(Entry{bucket, key, value})
	return r.Writer.Put(bucket, key, value)
}

// Delete implements [Writer].
func (r *Recorder) Delete(bucket, key []byte) error {
	if has(r.Writer, bucket, key) {
		r.keep(Entry{Bucket: bucket, Key: key})
	}
	return r.Writer.Delete(bucket, key)
}

func (r *Recorder) keep(e Entry) {
	if !Primary(e.Bucket) {
		return
	}
	e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
	name := string(e.Bucket) + "/" + string(e.Key)
	if i, ok := r.at[name]; ok {
		r.entries[i] = e
		return
	}
	r.at[name] = len(r.entries)
	r.entries = append(r.entries, e)
}

// Replay writes the primary entries of one change, with what is derived from
// them. An entry without a value is deleted. It returns an error that wraps
// [keys.ErrCorrupt] for an entry of an unknown bucket or one that can't be read.
func Replay(w Writer, changed []Entry) error {
	// All old records first: one may have in an index what a new one gets.
	for _, e := range changed {
		p := primaries[string(e.Bucket)]
		if p == nil {
			return fmt.Errorf("%w: there is no bucket %q", keys.ErrCorrupt, e.Bucket)
		}
		if err := p.remove(w, e.Key); err != nil {
			return err
		}
	}
	for _, e := range changed {
		if e.Value == nil {
			continue
		}
		if err := primaries[string(e.Bucket)].set(w, e.Key, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// remove implements primary.
func (t *table[R, S]) remove(w Writer, key []byte) error { return t.delete(w, key) }

// set implements primary.
func (t *table[R, S]) set(w Writer, key, value []byte) error {
	record, err := t.decode(key, value)
	if err != nil {
		return err
	}
	return t.put(w, record)
}

// plain is a bucket whose entries have nothing derived from them.
type plain struct{ bucket []byte }

func (p plain) remove(w Writer, key []byte) error { return w.Delete(p.bucket, key) }

func (p plain) set(w Writer, key, value []byte) error { return w.Put(p.bucket, key, value) }

// Knows reports whether a store knows every revocation that an earlier state of
// it, or a replica, knows: whether it has all of its tombstones, and its newest
// audit entry.
func Knows(ctx context.Context, now, earlier Reader) (bool, error) {
	theirs, err := storeID(earlier)
	if err != nil {
		return false, err
	}
	ours, err := storeID(now)
	if err != nil || ours != theirs {
		return false, err
	}
	for found, err := range tombstones.all(earlier, nil) {
		switch {
		case err != nil:
			return false, err
		case ctx.Err() != nil:
			return false, ctx.Err()
		case !has(now, tombstones.bucket, found.Digest[:]):
			return false, nil
		}
	}
	return continues(now, earlier)
}

// continues reports whether the audit log of now continues that of earlier, as
// far as it goes back.
func continues(now, earlier Reader) (bool, error) {
	head, err := NewView(earlier).AuditHead()
	if err != nil || head.Last == 0 {
		return err == nil, err
	}
	newest, err := NewView(now).AuditHead()
	if err != nil || newest.Last < head.Last {
		return false, err
	}
	entry, err := audit.get(now, place(nil, head.Last))
	if errors.Is(err, keys.ErrNotFound) {
		// Too old to be kept.
		return newest.First == head.Last+1 && newest.Anchor == head.Hash || newest.First > head.Last+1, nil
	}
	return entry.Hash == head.Hash, err
}

// Interface guards
var (
	_ primary = &users
	_ Writer  = (*Recorder)(nil)
	_ primary = plain{}
)
