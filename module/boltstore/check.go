package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxFindings is how many findings a check tells; the rest it counts.
const maxFindings = 100

// Examine checks the key store in a file from end to end, without writing to
// it: its pages, every record, every index, and whether records fit together.
// An error is of a file that can't be opened, or is no key store.
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

func examine(ctx context.Context, path string) (keys.Examination, error) {
	e := examiner{ctx: ctx}
	db, err := openToRead(ctx, path, os.OpenFile)
	if errors.Is(err, errDamaged) {
		e.damage("%v", err)
		return e.Examination, nil
	}
	if err != nil {
		return e.Examination, err
	}
	err = db.View(e.file)
	return e.Examination, errors.Join(err, db.Close())
}

// examiner gathers what a check finds.
type examiner struct {
	keys.Examination
	ctx context.Context
	tx  *bolt.Tx
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
	// That there is damage must not be lost for many other findings.
	if last := &e.Findings[maxFindings-1]; damage && e.Damage() == nil {
		*last = keys.Finding{Damage: true, Text: text}
	}
}

// file checks what is in one moment of a file.
func (e *examiner) file(tx *bolt.Tx) error {
	e.tx = tx
	r := reader{tx}
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
	} else if err != nil && !errors.Is(err, keys.ErrCorrupt) { // which was found above, but for the head
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
	bucket := e.tx.Bucket(t.bucket)
	if bucket == nil {
		return nil // not in files of format 1
	}
	indexed := make([]int, len(t.indexes))
	counts := map[string]uint64{}
	err := bucket.ForEach(func(key, value []byte) error {
		if e.Records++; e.Records%1000 == 0 && e.ctx.Err() != nil {
			return e.ctx.Err()
		}
		record, err := t.decode(key, value)
		if err != nil {
			e.damage("%v", err)
			return nil
		}
		if t.seq != nil && *t.seq(&record) > bucket.Sequence() {
			e.damage("the %s %s has the number %d, and the newest is %d", t.name, shown(key), *t.seq(&record), bucket.Sequence())
		}
		for i, by := range t.indexes {
			at := by.key(record)
			if at == nil || e.tx.Bucket(by.bucket) == nil {
				continue
			}
			if !bytes.Equal(e.tx.Bucket(by.bucket).Get(at), key) {
				e.damage("the %s %s is not in the index %s", t.name, shown(key), by.bucket)
				continue
			}
			indexed[i]++
		}
		if t.count != nil {
			if at := t.count(record); at != nil {
				counts[string(at)]++
			}
		}
		if each != nil {
			each(record)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, by := range t.indexes {
		if err := examineIndex(e, t, by, indexed[i]); err != nil {
			return err
		}
	}
	e.examineCounts(t.name, counts)
	return nil
}

// examineCounts compares counts with what there is.
func (e *examiner) examineCounts(name string, counts map[string]uint64) {
	if e.tx.Bucket(countsBucket) == nil {
		return
	}
	e.counted += len(counts)
	for at, n := range counts {
		if stored, err := readCount(e.tx, []byte(at)); err != nil {
			e.damage("%v", err)
		} else if stored != n {
			e.damage("the count %s is %d, and there are %d of the kind %s", shown([]byte(at)), stored, n, name)
		}
	}
}

// noOtherCounts looks for counts of what isn't there.
func (e *examiner) noOtherCounts() error {
	bucket := e.tx.Bucket(countsBucket)
	if bucket == nil {
		return nil
	}
	n := 0
	if err := bucket.ForEach(func([]byte, []byte) error { n++; return e.ctx.Err() }); err != nil {
		return err
	}
	if n > e.counted {
		e.damage("there are %d counts, and records for %d", n, e.counted)
	}
	return nil
}

// examineIndex looks for what an index has beside the entries that were found
// to be right.
func examineIndex[R, S any](e *examiner, t *table[R, S], by index[R], right int) error {
	n := 0
	bucket := e.tx.Bucket(by.bucket)
	if bucket == nil {
		return nil
	}
	if err := bucket.ForEach(func([]byte, []byte) error { n++; return e.ctx.Err() }); err != nil || n == right {
		return err
	}
	return bucket.ForEach(func(at, key []byte) error {
		record, err := t.get(e.tx, key)
		if err != nil && errors.Is(err, keys.ErrCorrupt) {
			return e.ctx.Err() // which was found above
		}
		if err != nil || !bytes.Equal(by.key(record), at) {
			e.damage("the index %s leads to the %s %s, where it should not", by.bucket, t.name, shown(key))
		}
		return e.ctx.Err()
	})
}

func (e *examiner) has(bucket, key []byte) bool { return e.tx.Bucket(bucket).Get(key) != nil }

// deleting reports whether a user or an app is being deleted: what is left of
// it is refused, and goes.
func (e *examiner) deleting(owner, app string) bool {
	at := func(app string) []byte { return appKey(keys.AppRef{OwnerID: owner, AppID: app}) }
	return e.tx.Bucket(deletions.bucket) != nil && (e.has(deletions.bucket, at("")) || e.has(deletions.bucket, at(app)))
}

// mark compares what a mark says of the audit log with the log, as far as that
// goes back.
func (e *examiner) mark(m mark) {
	if m.last == 0 {
		return
	}
	entry, err := audit.get(e.tx, place(nil, m.last))
	switch head, errHead := (reader{e.tx}).AuditHead(); {
	case errHead != nil, errors.Is(err, keys.ErrCorrupt): // which is found elsewhere
	case m.last > head.Last, err == nil && entry.Hash != m.hash:
		e.odd("the mark of the backup of %s is not of this audit log", m.at.Format(time.RFC3339))
	}
}

// identity checks the ID of the store, and finds out whether it is a backup.
func (e *examiner) identity() error {
	if _, err := storeID(e.tx); err != nil {
		e.damage("%v", err)
	}
	own, err := ownMarks(e.tx)
	e.Marked = err == nil && len(own) > 0 // what can't be read is found elsewhere
	return nil
}

func (e *examiner) user(u keys.User) {
	if e.has(retiredBucket, []byte(u.ID)) {
		e.odd("the user %s was deleted, and is there", u.ID)
	}
}

func (e *examiner) app(a keys.App) {
	if !e.has(users.bucket, []byte(a.OwnerID)) && !e.deleting(a.OwnerID, "") {
		e.odd("the app %s has no owner: there is no user %s", a.AppID, a.OwnerID)
	}
}

func (e *examiner) credential(c keys.Credential) {
	if !e.has(users.bucket, []byte(c.UserID)) && !e.deleting(c.UserID, "") {
		e.odd("the key %s has no user: there is no user %s", c.ID, c.UserID)
	}
	if c.AppID != "" && !e.has(apps.bucket, join(c.UserID, c.AppID)) && !e.deleting(c.UserID, c.AppID) {
		e.odd("the key %s has no app: user %s has no app %s", c.ID, c.UserID, c.AppID)
	}
	if e.has(tombstones.bucket, c.Digest[:]) {
		e.odd("the key %s was revoked, and is there: it is refused all the same", c.ID)
	}
}

func (e *examiner) collaborator(c keys.Collaborator) {
	if !e.has(apps.bucket, appKey(c.AppRef)) && !e.deleting(c.OwnerID, c.AppID) {
		e.odd("the collaborator %s has no app: user %s has no app %s", c.UserID, c.OwnerID, c.AppID)
	}
}

func (e *examiner) usage(u usage) {
	if !e.has(credentials.bucket, u.digest[:]) {
		e.odd("the last use of %s is of no credential", shown(u.digest[:]))
	}
}
