package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// record adds an entry about a change, unless no field changed.
func (tx *Tx) record(action string, about Subject, before, after facts) error {
	if before != nil && after != nil {
		before, after = differing(before, after)
		if len(before)+len(after) == 0 {
			return nil
		}
	}
	head, err := tx.AuditHead()
	if err != nil {
		return err
	}
	e := AuditEntry{
		Seq: head.Last + 1, At: tx.now,
		ActorID: tx.actor.ID, ActorUserID: tx.actor.UserID, Address: tx.actor.Address,
		Action: action, Subject: about, Previous: head.Hash,
	}
	if e.Before, err = before.text(); err != nil {
		return err
	}
	if e.After, err = after.text(); err != nil {
		return err
	}
	e.Hash = e.hash()
	if err := tx.w.PutAuditEntry(e); err != nil {
		return err
	}
	if head.First == 0 {
		head.First = e.Seq
	}
	head.Last, head.Hash = e.Seq, e.Hash
	return tx.w.PutAuditHead(head)
}

// hash covers every field, each with its length, and the hash of the preceding
// entry.
func (e *AuditEntry) hash() (d credential.Digest) {
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	field(e.Previous[:])
	field(binary.BigEndian.AppendUint64(nil, e.Seq))
	field([]byte(e.At.UTC().Format(time.RFC3339Nano)))
	for _, s := range []string{
		e.ActorID, e.ActorUserID, e.Address, e.Action,
		e.UserID, e.AppID, e.KeyID, e.CollaboratorID,
	} {
		field([]byte(s))
	}
	field(e.Before)
	field(e.After)
	h.Sum(d[:0])
	return d
}

// ErrAuditBroken is returned if the audit log differs from what was written.
var ErrAuditBroken = errors.New("the audit log was altered")

// VerifyAudit walks the audit log and returns its head, or an error that wraps
// [ErrAuditBroken] and names the first entry at which the chain is broken.
func VerifyAudit(r Reader) (AuditHead, error) {
	head, err := r.AuditHead()
	if err != nil {
		return head, err
	}
	next, previous := head.First, head.Anchor
	for e, err := range r.AuditEntries("", 0) {
		switch {
		case err != nil:
			return head, err
		case e.Seq < next || next == 0:
			return head, fmt.Errorf("%w: entry %d stands where none should", ErrAuditBroken, e.Seq)
		case e.Seq > next:
			return head, fmt.Errorf("%w: entry %d is missing", ErrAuditBroken, next)
		case e.Previous != previous:
			return head, fmt.Errorf("%w: entry %d does not follow the one before it", ErrAuditBroken, e.Seq)
		case e.Hash != e.hash():
			return head, fmt.Errorf("%w: entry %d is not as it was written", ErrAuditBroken, e.Seq)
		}
		next, previous = e.Seq+1, e.Hash
	}
	if head.Last != 0 && next <= head.Last {
		return head, fmt.Errorf("%w: entries %d to %d are missing", ErrAuditBroken, next, head.Last)
	}
	if previous != head.Hash && head.Last != 0 {
		return head, fmt.Errorf("%w: its last entry is not the one that was written last", ErrAuditBroken)
	}
	return head, nil
}

// maxPruned is how many old entries one transaction removes, because others
// wait for it.
const maxPruned = 500

// oldEntries returns the last entry that is older than before, or 0 if there is
// none, and whether there may be more. The last entry stays. An entry dated
// ahead of now was written by a wrong clock, and is as old as the one after it.
func oldEntries(r Reader, last uint64, before, now time.Time) (upTo uint64, more bool, err error) {
	n := 0
	for e, err := range r.AuditEntries("", 0) {
		switch {
		case err != nil:
			return 0, false, err
		case n == maxPruned:
			return upTo, upTo != 0, nil
		case e.Seq == last:
			return upTo, false, nil
		case e.At.Before(before):
			upTo = e.Seq
		case !e.At.After(now):
			return upTo, false, nil
		}
		n++
	}
	return upTo, false, nil
}

// AuditDue reports whether [PruneAudit] would remove an entry.
func AuditDue(r Reader, before, now time.Time) (bool, error) {
	head, err := r.AuditHead()
	if err != nil {
		return false, err
	}
	upTo, _, err := oldEntries(r, head.Last, before, now)
	return upTo != 0, err
}

// PruneAudit removes audit entries that are older than before, up to 500 of
// them. It reports whether there may be more.
func PruneAudit(w Writer, before, now time.Time) (more bool, err error) {
	head, err := w.AuditHead()
	if err != nil {
		return false, err
	}
	upTo, more, err := oldEntries(w, head.Last, before, now)
	if err != nil || upTo == 0 {
		return false, err
	}
	for e, err := range w.AuditEntries("", 0) {
		if err != nil {
			return false, err
		}
		if e.Seq > upTo {
			break
		}
		if w.Left() <= 1 { // which the head takes
			more = true
			break
		}
		if err := w.DeleteAuditEntry(e.Seq); err != nil {
			return false, err
		}
		head.First, head.Anchor = e.Seq+1, e.Hash
	}
	return more, w.PutAuditHead(head)
}
