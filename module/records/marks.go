package records

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// mark identifies a backup. The backup leaves it in the store and in the copy, so a
// store with the mark is a continuation of that backup.
type mark struct {
	seq   uint64
	nonce [nonceSize]byte
	at    time.Time
	// last and hash are the Seq and the hash of the backup's newest audit entry.
	last uint64
	hash credential.Digest
}

type markRecord struct {
	Seq   uint64 `cbor:"1,keyasint"`
	Nonce []byte `cbor:"2,keyasint"`
	At    *stamp `cbor:"3,keyasint"`
	Last  uint64 `cbor:"4,keyasint"`
	Hash  []byte `cbor:"5,keyasint"`
}

// maxMarks is how many marks a store keeps. Restoring an older backup requires
// --accept-lost-revocations.
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

// AddMark writes a mark for a backup of the current store.
func AddMark(w Writer) (Written, error) {
	return Apply(w, 0, func(keys.Writer) error { return addMark(w) })
}

func addMark(w Writer) error {
	head, err := NewView(w).AuditHead()
	if err != nil {
		return err
	}
	m := mark{nonce: nonce(), at: time.Now(), last: head.Last, hash: head.Hash}
	if err := marks.put(w, m); err != nil {
		return err
	}
	newest, err := readSequence(w, marks.bucket)
	if err != nil || newest <= maxMarks {
		return err
	}
	if oldest, _ := w.Seek(marks.bucket, nil); string(oldest) <= string(place(nil, newest-maxMarks)) {
		return marks.delete(w, oldest)
	}
	return nil
}

// ownMarks returns the nonces of the marks whose newest audit entry is still the
// newest: one for a backup, and none for a store that was changed since its last
// backup.
func ownMarks(r Reader) (map[[nonceSize]byte]bool, error) {
	head, err := NewView(r).AuditHead()
	if err != nil {
		return nil, err
	}
	own := map[[nonceSize]byte]bool{}
	for m, err := range marks.all(r, nil) {
		if err != nil {
			return nil, err
		}
		if m.last == head.Last && m.hash == head.Hash {
			own[m.nonce] = true
		}
	}
	return own, nil
}
