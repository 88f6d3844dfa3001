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

// AuditEntry says of one change who made it, when, from where, and what was
// before and after. It never holds a secret.
//
// Entries are chained: the hash of each covers the one before, so that one
// that is taken out or altered shows. What is not shown is a log that was
// written anew from some entry on by someone who can write the file; for that
// the newest hash has to be kept elsewhere.
type AuditEntry struct {
	// Seq counts from 1, without a gap.
	Seq uint64
	At  time.Time
	// ActorID is the public id of the credential that was used, or
	// [Operator]; ActorUserID is who holds it, and Address where the request
	// came from, each empty where there is none.
	ActorID, ActorUserID, Address string
	// Action is what was done, as key.revoke.
	Action string
	// Subject is what it was done to.
	Subject
	// Before and After are JSON objects of the fields that changed; nil where
	// there was nothing, or is nothing any more.
	Before, After []byte
	// Previous is the Hash of the entry before.
	Previous, Hash Digest
}

// Subject is what a change is about: something of a user's. What doesn't apply
// is empty.
type Subject struct {
	UserID, AppID, KeyID string
	// CollaboratorID is the user of an invitation to the app.
	CollaboratorID string
}

// AuditHead is where the log begins and ends. Entries that are older than the
// retention are gone: what they said can't be verified any more, but that
// nothing behind them is missing can, by Anchor.
type AuditHead struct {
	// First is the oldest entry that is kept, and Anchor the hash of the one
	// before it.
	First  uint64
	Anchor Digest
	// Last is the newest entry, and Hash its hash.
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

// record adds an entry about a change. A change of nothing is none.
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

// differing leaves of two records what is not the same in both.
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

// hash covers every field, each with its length, and the entry before.
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

// ErrAuditBroken is returned where the audit log is not what was written.
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

// maxPruned is how many old entries one transaction takes away, for others
// wait for it.
const maxPruned = 500

// oldEntries returns up to which entry the log is older than before, 0 where
// none is, and whether there may be more. The last entry stays. An entry dated
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

// prune takes away entries older than before, and returns whether there may be
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

// about is a credential as the subject of a change.
func (c *Credential) about() Subject {
	return Subject{UserID: c.UserID, AppID: c.AppID, KeyID: c.ID}
}

func (c *Collaborator) about() Subject {
	return Subject{UserID: c.OwnerID, AppID: c.AppID, CollaboratorID: c.UserID}
}
