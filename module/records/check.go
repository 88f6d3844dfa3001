package records

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxFindings is how many findings a check lists; it only counts the rest.
const maxFindings = 100

// Examine checks a whole revision of a key store: every record, every index, and
// whether records fit together. It returns [ErrNoStore] if there is no store.
func Examine(ctx context.Context, r Reader) (keys.Examination, error) {
	format, err := FormatOf(r)
	if err != nil {
		return keys.Examination{}, err
	}
	e := examiner{ctx: ctx, r: r, buckets: Buckets(format)}
	err = e.store()
	return e.Examination, err
}

// examiner gathers the findings of a check.
type examiner struct {
	keys.Examination
	ctx context.Context
	r   Reader
	// buckets are the buckets of the format.
	buckets [][]byte
	// counted is how many counts there should be.
	counted int
}

func (e *examiner) damage(format string, args ...any) { e.add(true, fmt.Sprintf(format, args...)) }
func (e *examiner) odd(format string, args ...any)    { e.add(false, fmt.Sprintf(format, args...)) }

func (e *examiner) add(damage bool, text string) {
	if len(e.Findings) < maxFindings {
		e.Findings = append(e.Findings, keys.Finding{Damage: damage, Text: text})
		return
	}
	e.More++
	// Many other findings must not hide damage.
	if last := &e.Findings[maxFindings-1]; damage && e.Damage() == nil {
		*last = keys.Finding{Damage: true, Text: text}
	}
}

// store checks a whole revision.
func (e *examiner) store() error {
	r := NewView(e.r)
	var err error
	if e.LastWrite, err = r.LastWrite(); err != nil {
		e.damage("%v", err)
	}
	for _, check := range []func() error{
		func() error { return examineTable(e, &users, e.user) },
		func() error { return examineTable(e, &apps, e.app) },
		func() error { return examineTable(e, &credentials, e.credential) },
		func() error { return examineTable(e, &collaborators, e.collaborator) },
		func() error { return examineTable(e, &tombstones, nil) },
		func() error { return examineTable(e, &usages, e.usage) },
		func() error { return examineTable(e, &activities, e.activity) },
		func() error { return examineTable(e, &spendings, nil) },
		func() error { return examineTable(e, &audit, nil) },
		func() error { return examineTable(e, &deletions, nil) },
		func() error { return examineTable(e, &marks, e.mark) },
		e.noOtherCounts, e.identity,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if _, err := keys.VerifyAudit(r); errors.Is(err, keys.ErrAuditBroken) {
		e.odd("%v", err)
	} else if err != nil && !errors.Is(err, keys.ErrCorrupt) { // found above, except for the head
		return err
	}
	if _, err := r.AuditHead(); err != nil {
		e.damage("%v", err)
	}
	return e.ctx.Err()
}

// examineTable checks that every record can be read and is in its indexes, and
// that the indexes lead nowhere else.
func examineTable[R, S any](e *examiner, t *table[R, S], each func(R)) error {
	indexed := make([]int, len(t.indexes))
	counts := map[string]uint64{}
	newest := e.newest(t.bucket)
	for key, value := range entries(e.r, t.bucket, nil) {
		if e.Records++; e.Records%1000 == 0 && e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		record, err := t.decode(key, value)
		if err != nil {
			e.damage("%v", err)
			continue
		}
		if t.seq != nil && *t.seq(&record) > newest {
			e.damage("the %s %s has the number %d, and the newest is %d", t.name, shown(key), *t.seq(&record), newest)
		}
		for i, by := range t.indexes {
			if e.isIndexed(t.name, by.bucket, by.key(record), key) {
				indexed[i]++
			}
		}
		if t.count != nil {
			if at := t.count(record); at != nil {
				counts[string(at)]++
			}
		}
		if each != nil {
			each(record)
		}
	}
	for i, by := range t.indexes {
		if err := examineIndex(e, t, by, indexed[i]); err != nil {
			return err
		}
	}
	e.examineCounts(t.name, counts)
	return nil
}

// newest returns the newest number of a bucket, or the largest possible number if
// it is unknown. Before format 3 only bbolt knew it.
func (e *examiner) newest(bucket []byte) uint64 {
	if !e.exists(sequencesBucket) {
		return math.MaxUint64
	}
	last, err := readSequence(e.r, bucket)
	if err != nil {
		e.damage("%v", err)
		return math.MaxUint64
	}
	return last
}

// isIndexed reports whether an index leads to the record of a key. If it should but
// doesn't, that is damage.
func (e *examiner) isIndexed(name string, index, at, key []byte) bool {
	if at == nil || !e.exists(index) {
		return false
	}
	if !bytes.Equal(e.r.Get(index, at), key) {
		e.damage("the %s %s is not in the index %s", name, shown(key), index)
		return false
	}
	return true
}

// exists reports whether the store's format has a bucket.
func (e *examiner) exists(bucket []byte) bool {
	return slices.ContainsFunc(e.buckets, func(name []byte) bool { return bytes.Equal(name, bucket) })
}

// examineCounts compares counts with the counted records.
func (e *examiner) examineCounts(name string, counts map[string]uint64) {
	if !e.exists(countsBucket) {
		return
	}
	e.counted += len(counts)
	for at, n := range counts {
		if stored, err := readCount(e.r, []byte(at)); err != nil {
			e.damage("%v", err)
		} else if stored != n {
			e.damage("the count %s is %d, but there are %d of the kind %s", shown([]byte(at)), stored, n, name)
		}
	}
}

// noOtherCounts looks for counts without records.
func (e *examiner) noOtherCounts() error {
	n, err := count(e.r, countsBucket, e.ctx.Err)
	if err == nil && n > e.counted {
		e.damage("there are %d counts, but records for only %d", n, e.counted)
	}
	return err
}

// examineIndex looks for wrong entries of an index, if it has more entries than
// were found to be right.
func examineIndex[R, S any](e *examiner, t *table[R, S], by index[R], right int) error {
	n, err := count(e.r, by.bucket, e.ctx.Err)
	if err != nil || n == right {
		return err
	}
	for at, key := range entries(e.r, by.bucket, nil) {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		record, err := t.get(e.r, key)
		if errors.Is(err, keys.ErrCorrupt) {
			continue // found above
		}
		if err != nil || !bytes.Equal(by.key(record), at) {
			e.damage("the index %s leads to the %s %s, but should not", by.bucket, t.name, shown(key))
		}
	}
	return nil
}
