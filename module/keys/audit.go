package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// DefaultAuditRetention is how long the audit log goes back unless the
// configuration says otherwise: 90 days.
const DefaultAuditRetention = 2160 * time.Hour

// AuditEntry records one change: who made it, when, from where, and the fields
// before and after. It never holds a secret.
//
// Entries are chained: the hash of each covers the entry before, so that a
// removed or altered entry is detected. The chain can't detect that someone who
// can write the file rewrote the log from some entry on. To detect that, keep
// the newest hash elsewhere.
type AuditEntry struct {
	// Seq counts from 1, without a gap.
	Seq uint64
	At  time.Time
	// ActorID is the key ID of the credential that was used, or [Operator].
	// ActorUserID is its holder and Address is the client's address; each is
	// empty if there is none.
	ActorID, ActorUserID, Address string
	// Action is what was done, for example key.revoke.
	Action string
	// Subject is the changed record.
	Subject
	// Before and After are JSON objects of the fields that changed. Before is
	// nil for a new record and After is nil for a deleted one.
	Before, After []byte
	// Previous is the Hash of the preceding entry.
	Previous, Hash Digest
}

// Subject identifies the changed record, which belongs to a user. Fields that
// don't apply are empty.
type Subject struct {
	UserID, AppID, KeyID string
	// CollaboratorID is the user ID of a collaborator on the app.
	CollaboratorID string
}

// AuditHead is where the log begins and ends. Entries older than the retention
// are removed and can't be verified any more, but Anchor shows that nothing
// after them is missing.
type AuditHead struct {
	// First is the oldest entry that is kept. Anchor is the hash of the entry
	// before it.
	First  uint64
	Anchor Digest
	// Last is the newest entry. Hash is its hash.
	Last uint64
	Hash Digest
}

// Actions of the audit log.
const (
	ActionUserCreate         = "user.create"
	ActionUserChange         = "user.change"
	ActionUserDelete         = "user.delete"
	ActionAppCreate          = "app.create"
	ActionAppChange          = "app.change"
	ActionAppDelete          = "app.delete"
	ActionKeyCreate          = "key.create"
	ActionKeyImport          = "key.import"
	ActionKeyChange          = "key.change"
	ActionKeyRotate          = "key.rotate"
	ActionKeyRevoke          = "key.revoke"
	ActionSessionCreate      = "session.create"
	ActionSessionEnd         = "session.end"
	ActionCollaboratorAdd    = "collaborator.add"
	ActionCollaboratorChange = "collaborator.change"
	ActionCollaboratorRemove = "collaborator.remove"
	ActionStoreRestore       = "store.restore"
	ActionStoreClock         = "store.clock"
)

// facts are the fields of a record that the audit log shows.
type facts map[string]any

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

func (f facts) text() ([]byte, error) {
	if f == nil {
		return nil, nil
	}
	return json.Marshal(f)
}

// differing returns the fields in which two records differ.
func differing(before, after facts) (was, is facts) {
	was, is = facts{}, facts{}
	for name, v := range before {
		if w, ok := after[name]; !ok || !reflect.DeepEqual(v, w) {
			was[name] = v
		}
	}
	for name, w := range after {
		if v, ok := before[name]; !ok || !reflect.DeepEqual(v, w) {
			is[name] = w
		}
	}
	return was, is
}

// hash covers every field, each with its length, and the hash of the preceding
// entry.
func (e *AuditEntry) hash() (d Digest) {
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

// prune removes entries older than before, and reports whether there may be
// more.
func (tx *Tx) prune(before, now time.Time) (more bool, err error) {
	head, err := tx.AuditHead()
	if err != nil {
		return false, err
	}
	upTo, more, err := oldEntries(tx, head.Last, before, now)
	if err != nil || upTo == 0 {
		return false, err
	}
	for e, err := range tx.AuditEntries("", 0) {
		if err != nil {
			return false, err
		}
		if e.Seq > upTo {
			break
		}
		if tx.w.Left() <= 1 { // which the head takes
			more = true
			break
		}
		if err := tx.w.DeleteAuditEntry(e.Seq); err != nil {
			return false, err
		}
		head.First, head.Anchor = e.Seq+1, e.Hash
	}
	return more, tx.w.PutAuditHead(head)
}

func factsOfUser(u User) facts {
	f := facts{"name": u.Name, "email": u.Email, "suspended": u.Suspended, "two_factor": u.TwoFactor.Enabled}
	return f
}

func factsOfApp(a App) facts { return facts{"name": a.Name} }

func factsOfCredential(c Credential) facts {
	f := facts{
		"type": c.Kind.String(), "description": c.Description, "scopes": c.Scopes, "endpoints": c.Endpoints,
		"disabled": c.Disabled, "created_by": c.CreatedBy,
	}
	if !c.ExpiresAt.IsZero() {
		f["expires_at"] = c.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	return f
}

func factsOfCollaborator(c Collaborator) facts {
	return facts{"scopes": c.Scopes, "endpoints": c.Endpoints, "created_by": c.CreatedBy}
}

// about returns a credential as the subject of a change.
func (c *Credential) about() Subject {
	return Subject{UserID: c.UserID, AppID: c.AppID, KeyID: c.ID}
}

func (c *Collaborator) about() Subject {
	return Subject{UserID: c.OwnerID, AppID: c.AppID, CollaboratorID: c.UserID}
}
