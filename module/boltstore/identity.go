package boltstore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// storeIDKey is where the meta bucket has the ID of the store. A store gets it
// when it is made, and its backups have the same.
var storeIDKey = []byte("store_id")

type storeIDRecord struct {
	ID []byte `cbor:"1,keyasint"`
}

// nonceSize is the size of a store ID and of a mark, in bytes: enough that no
// two are the same.
const nonceSize = 16

func nonce() (n [nonceSize]byte) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

// identify gives a store an ID.
func identify(tx *bolt.Tx) error {
	id := nonce()
	value, err := seal(storeIDRecord{ID: id[:]})
	if err != nil {
		return fmt.Errorf("storing the ID of the store: %w", err)
	}
	return tx.Bucket(metaBucket).Put(storeIDKey, value)
}

// storeID returns the ID of a store, or "" for a file of format 1.
func storeID(tx *bolt.Tx) (string, error) {
	value := tx.Bucket(metaBucket).Get(storeIDKey)
	if value == nil && versionOf(tx) == 1 {
		return "", nil
	}
	var stored storeIDRecord
	err := unseal(value, &stored)
	if err == nil && len(stored.ID) != nonceSize {
		err = fmt.Errorf("it has %d bytes", len(stored.ID))
	}
	if err != nil {
		return "", fmt.Errorf("%w: the ID of the store: %w", keys.ErrCorrupt, err)
	}
	return string(stored.ID), nil
}

// mark is what a backup leaves in the store that it was made of, and in the
// copy: with the mark in it, a store is what became of that backup.
type mark struct {
	seq   uint64
	nonce [nonceSize]byte
	at    time.Time
	// last and hash are the newest audit entry of the backup.
	last uint64
	hash keys.Digest
}

type markRecord struct {
	Seq   uint64 `cbor:"1,keyasint"`
	Nonce []byte `cbor:"2,keyasint"`
	At    *stamp `cbor:"3,keyasint"`
	Last  uint64 `cbor:"4,keyasint"`
	Hash  []byte `cbor:"5,keyasint"`
}

// maxMarks is how many marks a store keeps. The restore of an older backup
// needs --accept-lost-revocations.
const maxMarks = 10_000

var marks = table[mark, markRecord]{
	name:   "mark of a backup",
	bucket: []byte("backup_marks"),
	key:    func(m mark) []byte { return place(nil, m.seq) },
	seq:    func(m *mark) *uint64 { return &m.seq },
	pack: func(m mark) markRecord {
		return markRecord{Seq: m.seq, Nonce: m.nonce[:], At: packTime(m.at), Last: m.last, Hash: m.hash[:]}
	},
	unpack: func(r markRecord) (mark, error) {
		at, err1 := r.At.time()
		hash, err2 := unpackDigest(r.Hash)
		m := mark{seq: r.Seq, at: at, last: r.Last, hash: hash}
		if copy(m.nonce[:], r.Nonce) != nonceSize || len(r.Nonce) != nonceSize {
			return m, fmt.Errorf("it has %d bytes", len(r.Nonce))
		}
		return m, errors.Join(err1, err2)
	},
}

// addMark writes that a backup is made of the store as it is.
func addMark(w *writer) error {
	head, err := w.AuditHead()
	if err != nil {
		return err
	}
	m := mark{nonce: nonce(), at: time.Now(), last: head.Last, hash: head.Hash}
	if err := marks.put(w.tx, m); err != nil {
		return err
	}
	bucket := w.tx.Bucket(marks.bucket)
	if oldest, _ := bucket.Cursor().First(); bucket.Sequence() > maxMarks {
		if newest := place(nil, bucket.Sequence()-maxMarks); string(oldest) <= string(newest) {
			return marks.delete(w.tx, oldest)
		}
	}
	return nil
}

// ownMarks returns the nonces of the marks that were made of exactly what a
// file has now: one for a backup, and none for a store that was changed since
// its last backup.
func ownMarks(tx *bolt.Tx) (map[[nonceSize]byte]bool, error) {
	own := map[[nonceSize]byte]bool{}
	if tx.Bucket(marks.bucket) == nil {
		return own, nil // format 1
	}
	head, err := reader{tx}.AuditHead()
	if err != nil {
		return nil, err
	}
	for m, err := range marks.all(tx, nil) {
		if err != nil {
			return nil, err
		}
		if m.last == head.Last && m.hash == head.Hash {
			own[m.nonce] = true
		}
	}
	return own, nil
}

// kinship is how the store that is replaced is related to the backup.
type kinship int

const (
	// stranger is another store. All that counts of it is what it says of
	// credentials, which are the same everywhere: its users are other people.
	stranger kinship = iota
	// related is the same store, but not what became of the backup: an older
	// copy, or one that another backup was restored to since. It may not know
	// all that was revoked since the backup.
	related
	// descendant is what became of the backup. It knows all that was revoked
	// since.
	descendant
)

// What keeps a store from being the descendant of a backup.
var (
	errOldBackup = errors.New("the backup was made by a version that left no mark of it in the key store, " +
		"so it can't be known whether the key store that is to be replaced is what became of it")
	errOtherStore = errors.New("the key store that is to be replaced is not the one that the backup was made of: their IDs differ, " +
		"as they do where the store was lost and an empty one was made in its place")
	errNoMark = errors.New("the file is not a backup as \"store backup\" leaves it, with its mark in the key store: " +
		"it was changed since, or copied by other means, or the store could not be written to")
	errUnknownBackup = errors.New("the key store that is to be replaced has no mark of the backup: it is a copy from before the backup, " +
		"or another backup was restored since")
)

// kin returns how the store that is replaced is related to the backup, and
// unless it is its descendant, why not.
func (r *restoring) kin() (kinship, error) {
	theirs, err := storeID(r.from)
	if err != nil {
		return stranger, err
	}
	ours, err := storeID(r.now)
	if err != nil {
		return r.unknownKin(err)
	}
	switch {
	case theirs == "":
		if goesOn, err := r.logHasHead(); err != nil || goesOn {
			return related, errors.Join(errOldBackup, err)
		}
		return stranger, errOldBackup
	case ours != theirs:
		return stranger, errOtherStore
	}
	own, err := ownMarks(r.from)
	if err != nil {
		return related, err
	}
	if len(own) == 0 {
		return related, errNoMark
	}
	for m, err := range marks.all(r.now, nil) {
		if err != nil {
			return r.unknownKin(err)
		}
		if own[m.nonce] {
			return descendant, nil
		}
	}
	return related, errUnknownBackup
}

// unknownKin is the kinship of a store whose ID or marks can't be read.
func (r *restoring) unknownKin(err error) (kinship, error) {
	if errors.Is(err, keys.ErrCorrupt) {
		r.Unreadable++
	}
	return related, err
}
