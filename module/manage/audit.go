package manage

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// AuditEntry is an entry of the audit log as the API shows one: who changed
// what, when, and from where. What doesn't apply is left out.
type AuditEntry struct {
	// Seq and Hash are shown to the operator alone: the log is one for all
	// users, and what others do is not a user's business.
	Seq uint64    `json:"seq,omitempty"`
	At  time.Time `json:"at"`
	// Action is what was done, such as key.revoke.
	Action string `json:"action"`
	// ActorID is the key ID of the credential that was used, or (operator);
	// ActorUserID is who holds it, and Address where the request came from.
	ActorID     string `json:"actor_id,omitempty"`
	ActorUserID string `json:"actor_user_id,omitempty"`
	Address     string `json:"address,omitempty"`
	// UserID owns what was changed: an app, a key, a collaborator, or itself.
	UserID         string `json:"user_id,omitempty"`
	AppID          string `json:"app_id,omitempty"`
	KeyID          string `json:"key_id,omitempty"`
	CollaboratorID string `json:"collaborator_id,omitempty"`
	// Before and After are the fields that changed; absent where there was
	// nothing, or is nothing any more.
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
	if r.caller.Operator {
		shown.Seq, shown.Hash = e.Seq, hex.EncodeToString(e.Hash[:])
	}
	return shown
}

// asJSON is what an entry holds, which is JSON unless the log was altered.
func asJSON(text []byte) json.RawMessage {
	if len(text) == 0 || json.Valid(text) {
		return text
	}
	quoted, _ := json.Marshal(string(text)) // texts can be
	return quoted
}

// auditQuery selects audit entries.
type auditQuery struct {
	// newest lists the newest entries first.
	newest                        bool
	user, app, key, actor, action string
	since, until                  time.Time
}

// auditSearch is one page of the entries that are asked for.
type auditSearch struct {
	page
	auditQuery
}

// readAuditSearch is the input of a call that answers audit entries.
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
		return q, refuse(CodeInvalid, "order", "it has to be oldest, which it is by itself, or newest")
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
			return q, refuse(CodeInvalid, want.name, "give it once, and not empty; leave it out and it limits nothing")
		case want.name == "user_id" && keys.CheckID("user_id", value) != nil:
			return q, refuse(CodeInvalid, want.name, "it is not the id of a user")
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

// shows reports whether an entry is asked for.
func (q *auditQuery) shows(e *keys.AuditEntry) bool {
	is := func(want, is string) bool { return want == "" || want == is }
	return is(q.app, e.AppID) && is(q.key, e.KeyID) && is(q.action, e.Action) &&
		(is(q.actor, e.ActorID) || is(q.actor, e.ActorUserID)) && !e.At.Before(q.since) && !q.late(e)
}

// ended reports whether the entry and all that follow are too late or, if the
// newest come first, too early.
func (q *auditQuery) ended(e *keys.AuditEntry) bool {
	if q.newest {
		return e.At.Before(q.since)
	}
	return q.late(e)
}

func (q *auditQuery) late(e *keys.AuditEntry) bool {
	return !q.until.IsZero() && !e.At.Before(q.until)
}

// listAudit answers the entries about a user's things; for the operator, about
// all, where no user is named.
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
	found, next, err := scan(list(s.auditQuery.user, s.after), s.page, &s.auditQuery)
	return &Answer{Entries: show(found, r.showEntry), Next: next}, err
}

// wasUser is findUser for what is left of a user who was deleted.
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

// maxScanned is how many entries one page looks at, because few of them may be
// asked for.
const maxScanned = 10_000

// scan is [take] for a long list of which few may be asked for: it answers
// what it has found when it has looked at enough, and where to go on.
func scan(list iter.Seq2[keys.AuditEntry, error], p page, q *auditQuery) (found []keys.AuditEntry, next string, err error) {
	skip, seen, last := p.skip, 0, p.after
	for e, err := range list {
		switch {
		case err != nil:
			return nil, "", err
		case q.ended(&e):
			return found, "", nil
		case seen == maxScanned && p.skip > 0:
			return nil, "", refuse(CodeInvalid, "page", "so deep a page takes too long to find; leave page out, and go on with the next of each answer as after")
		case seen == maxScanned:
			return found, p.cursors.seal(last), nil
		}
		seen++
		switch {
		case !q.shows(&e):
		case skip > 0:
			skip--
		case len(found) == p.size:
			return found, p.cursors.seal(found[p.size-1].Seq), nil
		default:
			found = append(found, e)
		}
		last = e.Seq
	}
	return found, "", nil
}

// lastBefore is the Seq of the last entry before a time: entries are in its
// order, so half of those that are left are passed over at each step.
func lastBefore(from keys.Reader, since time.Time) (uint64, error) {
	head, err := from.AuditHead()
	if err != nil || head.Last == 0 {
		return 0, err
	}
	low, high := head.First, head.Last+1 // the first that isn't before lies between
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

// entryAt is the entry of a Seq, or where that is missing the next one.
func entryAt(from keys.Reader, seq uint64) (keys.AuditEntry, error) {
	for e, err := range from.AuditEntries("", seq-1) {
		return e, err
	}
	return keys.AuditEntry{}, keys.ErrNotFound
}

// AuditVerification reports whether the audit log is as it was written.
type AuditVerification struct {
	Whole bool `json:"whole"`
	// Broken says at which entry it is not.
	Broken string `json:"broken,omitempty"`
	// Entries is how many there are. Those older than the retention are gone:
	// First and Last are the numbers of the oldest and the newest, FirstAt and
	// LastAt their times.
	Entries uint64     `json:"entries"`
	First   uint64     `json:"first,omitempty"`
	Last    uint64     `json:"last,omitempty"`
	FirstAt *time.Time `json:"first_at,omitempty"`
	LastAt  *time.Time `json:"last_at,omitempty"`
	// Hash is the newest entry's, which covers all before it. Kept elsewhere,
	// it shows a log that was written again.
	Hash string `json:"hash,omitempty"`
}

// verifyAudit walks the audit log. That it is broken is an answer, and no
// failure of the call.
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
