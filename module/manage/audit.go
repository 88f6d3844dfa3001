package manage

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// AuditEntry is an entry of the audit log in the API's form: who changed what,
// when, and from where. Empty fields are left out.
type AuditEntry struct {
	// Seq and Hash are shown only to the operator, because all users share one
	// log, and they would reveal how much others change.
	Seq uint64    `json:"seq,omitempty"`
	At  time.Time `json:"at"`
	// Action is what was done, such as key.revoke.
	Action string `json:"action"`
	// ActorID is the key ID of the credential that was used, or (operator).
	// ActorUserID is its holder, and Address the client's address.
	ActorID     string `json:"actor_id,omitempty"`
	ActorUserID string `json:"actor_user_id,omitempty"`
	Address     string `json:"address,omitempty"`
	// UserID is the user who was changed, or who owns the changed app, key or
	// collaborator.
	UserID         string `json:"user_id,omitempty"`
	AppID          string `json:"app_id,omitempty"`
	KeyID          string `json:"key_id,omitempty"`
	CollaboratorID string `json:"collaborator_id,omitempty"`
	// Before and After are the changed fields. Before is absent for a new record,
	// and After for a deleted one.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	Hash   string          `json:"hash,omitempty"`
}

func (r *request) showEntry(e keys.AuditEntry) AuditEntry {
	shown := AuditEntry{
		At: e.At.UTC(), Action: e.Action, ActorID: e.ActorID, ActorUserID: e.ActorUserID, Address: e.Address,
		UserID: e.UserID, AppID: e.AppID, KeyID: e.KeyID, CollaboratorID: e.CollaboratorID,
		Before: asJSON(e.Before), After: asJSON(e.After),
	}
	if !r.caller.Operator && e.ActorUserID == e.CollaboratorID && e.ActorUserID != "" {
		// A collaborator who leaves doesn't tell the owner from where.
		shown.ActorID, shown.Address = "", ""
	}
	if r.caller.Operator {
		shown.Seq, shown.Hash = e.Seq, hex.EncodeToString(e.Hash[:])
	}
	return shown
}

// asJSON returns a text of an entry, which is JSON unless the log was altered.
func asJSON(text []byte) json.RawMessage {
	if len(text) == 0 || json.Valid(text) {
		return text
	}
	quoted, _ := json.Marshal(string(text)) // can't fail for a string
	return quoted
}

// auditQuery selects audit entries.
type auditQuery struct {
	// newest lists the newest entries first.
	newest                        bool
	user, app, key, actor, action string
	since, until                  time.Time
}

// auditSearch is one page of the selected entries.
type auditSearch struct {
	page
	auditQuery
}

// readAuditSearch reads the input of a call that lists audit entries.
func (r *request) readAuditSearch(s *auditSearch) (err error) {
	if s.page, err = r.page(); err != nil {
		return err
	}
	s.auditQuery, err = r.auditQuery()
	return err
}

func (r *request) auditQuery() (auditQuery, error) {
	q := auditQuery{user: r.user()}
	query, _ := url.ParseQuery(r.URL.RawQuery) // page has read it
	switch query.Get("order") {
	case "", "oldest":
	case "newest":
		q.newest = true
	default:
		return q, refuse(CodeInvalid, "order", "it has to be oldest, the default, or newest")
	}
	for _, want := range []struct {
		name string
		into *string
	}{{"user_id", &q.user}, {"app_id", &q.app}, {"key_id", &q.key}, {"actor", &q.actor}, {"action", &q.action}} {
		if !query.Has(want.name) || want.name == "user_id" && r.user() != "" {
			continue
		}
		value := query.Get(want.name)
		switch {
		case credential.FormOf(value) != credential.Foreign:
			return q, credentialInPath(want.name)
		case value == "" || len(query[want.name]) > 1:
			return q, refuse(CodeInvalid, want.name, "give it once and not empty, or leave it out to select all")
		case want.name == "user_id" && keys.CheckID("user_id", value) != nil:
			return q, refuse(CodeInvalid, want.name, "it is not the ID of a user")
		}
		*want.into = value
	}
	for _, want := range []struct {
		name string
		into *time.Time
	}{{"since", &q.since}, {"until", &q.until}} {
		if !query.Has(want.name) {
			continue
		}
		at, err := time.Parse(time.RFC3339, query.Get(want.name))
		if err != nil || len(query[want.name]) > 1 {
			return q, refuse(CodeInvalid, want.name, "it has to be one time of RFC 3339, such as 2030-12-31T23:59:59Z (in a URL, + is written %%2B)")
		}
		*want.into = at
	}
	return q, nil
}

// shows reports whether an entry is selected.
func (q *auditQuery) shows(e *keys.AuditEntry) bool {
	is := func(want, is string) bool { return want == "" || want == is }
	return is(q.app, e.AppID) && is(q.key, e.KeyID) && is(q.action, e.Action) &&
		(is(q.actor, e.ActorID) || is(q.actor, e.ActorUserID)) && !e.At.Before(q.since) && !q.late(e)
}

// ended reports whether the entry and all after it are too late or, if the newest
// come first, too early.
func (q *auditQuery) ended(e *keys.AuditEntry) bool {
	if q.newest {
		return e.At.Before(q.since)
	}
	return q.late(e)
}

// choose is the choice of [scan].
func (q *auditQuery) choose(e *keys.AuditEntry) (choice, error) {
	switch {
	case q.ended(e):
		return ended, nil
	case q.shows(e):
		return chosen, nil
	}
	return leftOut, nil
}

func seqOfEntry(e keys.AuditEntry) uint64 { return e.Seq }

func (q *auditQuery) late(e *keys.AuditEntry) bool {
	return !q.until.IsZero() && !e.At.Before(q.until)
}

// listAudit lists the entries about a user and what the user owns, or all entries
// if the operator names no user.
func (r *request) listAudit(from keys.Reader, s auditSearch) (*Answer, error) {
	if err := r.wasUser(from); err != nil {
		return nil, err
	}
	list := from.AuditEntries
	if s.newest {
		list = from.AuditEntriesBack
	} else if !s.since.IsZero() {
		before, err := lastBefore(from, s.since)
		if err != nil {
			return nil, err
		}
		s.after = max(s.after, before)
	}
	found, next, err := scan(list(s.auditQuery.user, s.after), s.page, seqOfEntry, s.choose)
	return &Answer{Entries: show(found, r.showEntry), Next: next}, err
}

// wasUser is findUser that also accepts a deleted user.
func (r *request) wasUser(from keys.Reader) error {
	if r.user() == "" {
		return nil
	}
	_, err := r.findUser(from)
	if isNotFound(err) {
		if retired, err := from.UserRetired(r.user()); retired || err != nil {
			return err
		}
	}
	return err
}

// lastBefore returns the Seq of the last entry before a time. Entries are ordered
// by time, so it searches by halving.
func lastBefore(from keys.Reader, since time.Time) (uint64, error) {
	head, err := from.AuditHead()
	if err != nil || head.Last == 0 {
		return 0, err
	}
	low, high := head.First, head.Last+1 // the first entry that isn't before is between them
	for low < high {
		middle := low + (high-low)/2
		e, err := entryAt(from, middle)
		switch {
		case errors.Is(err, keys.ErrNotFound), err == nil && !e.At.Before(since):
			high = middle
		case err != nil:
			return 0, err
		default:
			low = max(middle, e.Seq) + 1
		}
	}
	return low - 1, nil
}

// entryAt returns the entry with a Seq, or the next one if that is missing.
func entryAt(from keys.Reader, seq uint64) (keys.AuditEntry, error) {
	for e, err := range from.AuditEntries("", seq-1) {
		return e, err
	}
	return keys.AuditEntry{}, keys.ErrNotFound
}

// AuditVerification is the result of verifying the audit log.
type AuditVerification struct {
	// Whole is true if the log is unaltered.
	Whole bool `json:"whole"`
	// Broken names the first wrong entry.
	Broken string `json:"broken,omitempty"`
	// Entries is the number of entries that the retention has kept. First and Last
	// are the numbers of the oldest and the newest, FirstAt and LastAt their
	// times.
	Entries uint64     `json:"entries"`
	First   uint64     `json:"first,omitempty"`
	Last    uint64     `json:"last,omitempty"`
	FirstAt *time.Time `json:"first_at,omitempty"`
	LastAt  *time.Time `json:"last_at,omitempty"`
	// Hash is the hash of the newest entry, which covers all before it. A copy of
	// the hash elsewhere reveals a rewritten log.
	Hash string `json:"hash,omitempty"`
}

// verifyAudit verifies the audit log. A broken log is an answer, not a failure of
// the call.
func (r *request) verifyAudit(from keys.Reader) (*Answer, error) {
	v := &AuditVerification{}
	head, err := keys.VerifyAudit(from)
	if errors.Is(err, keys.ErrAuditBroken) || errors.Is(err, keys.ErrCorrupt) {
		v.Broken = err.Error()
		return &Answer{Verification: v}, nil
	}
	if err != nil {
		return nil, err
	}
	v.Whole = true
	if head.Last == 0 {
		return &Answer{Verification: v}, nil
	}
	v.Entries, v.First, v.Last = head.Last-head.First+1, head.First, head.Last
	v.Hash = hex.EncodeToString(head.Hash[:])
	first, err := entryAt(from, head.First)
	if err != nil {
		return nil, err
	}
	last, err := entryAt(from, head.Last)
	v.FirstAt, v.LastAt = &first.At, &last.At
	return &Answer{Verification: v}, err
}
