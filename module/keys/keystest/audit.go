package keystest

import (
	"errors"
	"slices"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// auditEntry is an entry, and the head of a log that ends with it.
func auditEntry(seq uint64, userID string, previous credential.Digest) (keys.AuditEntry, keys.AuditHead) {
	e := keys.AuditEntry{
		Seq: seq, At: at(int(seq % 60)), ActorID: "cap_1", ActorUserID: "v", Address: "192.0.2.1", Action: keys.ActionKeyRevoke,
		Subject: keys.Subject{UserID: userID, AppID: "a", KeyID: "cak_1", CollaboratorID: "w"},
		Before:  []byte(`{"x":1}`), After: []byte(`{"x":2}`), Previous: previous, Hash: credential.DigestOf(string(rune(seq))),
	}
	return e, keys.AuditHead{First: 1, Last: seq, Hash: e.Hash}
}

// auditEntries is how many entries fillAudit writes: past one byte of a seq.
const auditEntries = 300

// fillAudit writes entries about two users, and about none.
func fillAudit(t *testing.T, s keys.Store) (all []keys.AuditEntry) {
	t.Helper()
	var records []any
	var previous credential.Digest
	for seq := uint64(1); seq <= auditEntries; seq++ {
		e, head := auditEntry(seq, []string{"u", "uu", ""}[seq%3], previous)
		records = append(records, e, head)
		previous, all = e.Hash, append(all, e)
	}
	put(t, s, records...)
	return all
}

// wantAudit wants the lists of a user's entries to be those of all, from after
// a seq and back from before it.
func wantAudit(t *testing.T, r keys.Reader, all []keys.AuditEntry, userID string, after uint64) {
	t.Helper()
	var want []string
	for _, e := range all {
		if e.Seq > after && (userID == "" || e.UserID == userID) {
			want = append(want, nameOf(e))
		}
	}
	wantIDs(t, "entries of "+userID, r.AuditEntries(userID, after), want...)
	var before []string
	for _, e := range slices.Backward(all) {
		if (e.Seq < after || after == 0) && (userID == "" || e.UserID == userID) {
			before = append(before, nameOf(e))
		}
	}
	wantIDs(t, "entries back of "+userID, r.AuditEntriesBack(userID, after), before...)
}

func wantAuditHead(t *testing.T, r keys.Reader, want keys.AuditHead) {
	t.Helper()
	if got, err := r.AuditHead(); err != nil || got != want {
		t.Errorf("AuditHead: got %+v, %v; want %+v", got, err, want)
	}
}

func testAudit(t *testing.T, s keys.Store) {
	all := fillAudit(t, s)
	view(t, s, func(r keys.Reader) error {
		for _, userID := range []string{"", "u", "uu"} {
			for _, after := range []uint64{0, 1, 255, auditEntries} {
				wantAudit(t, r, all, userID, after)
			}
		}
		wantIDs(t, "entries of nobody", r.AuditEntries("v", 0))
		for e, err := range r.AuditEntries("", 6) {
			found(t, e, err, all[6])
			break
		}
		wantAuditHead(t, r, keys.AuditHead{First: 1, Last: auditEntries, Hash: all[auditEntries-1].Hash})
		return nil
	})
}

// The oldest entries go, from every list, and the head says so.
func testAuditShortened(t *testing.T, s keys.Store) {
	all := fillAudit(t, s)
	head := keys.AuditHead{First: 101, Anchor: all[99].Hash, Last: auditEntries, Hash: all[auditEntries-1].Hash}
	for done := false; !done; {
		update(t, s, func(w keys.Writer) error {
			done = false
			for e, err := range w.AuditEntries("", 0) {
				if err != nil {
					return err
				}
				if done = e.Seq == head.First; done || w.Left() == 0 {
					break
				}
				if err := w.DeleteAuditEntry(e.Seq); err != nil {
					return err
				}
			}
			return nil
		})
	}
	update(t, s, func(w keys.Writer) error { return errors.Join(w.DeleteAuditEntry(7), w.PutAuditHead(head)) })
	view(t, s, func(r keys.Reader) error {
		for _, userID := range []string{"", "u", "uu"} {
			wantAudit(t, r, all[100:], userID, 0)
			wantAudit(t, r, all[100:], userID, 1)
		}
		wantAuditHead(t, r, head)
		return nil
	})
}
