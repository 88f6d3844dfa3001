package manage

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Answer is the body of every answer: the status, and what was asked for.
type Answer struct {
	Status Status `json:"status"`

	User  *User  `json:"user,omitempty"`
	Users []User `json:"users,omitzero"`
	App   *App   `json:"app,omitempty"`
	Apps  []App  `json:"apps,omitzero"`
	Key   *Key   `json:"key,omitempty"`
	Keys  []Key  `json:"keys,omitzero"`
	// Scopes is the catalogue, and Endpoints are those that keys can be limited
	// to.
	Scopes    []Scope  `json:"scope_deps,omitzero"`
	Endpoints []string `json:"endpoint_names,omitzero"`
	*MyScopes
	Collaborators  []Collaborator  `json:"collaborators,omitzero"`
	Collaborations []Collaboration `json:"collaborations,omitzero"`
	// Entries are those of the audit log.
	Entries      []AuditEntry       `json:"entries,omitzero"`
	Verification *AuditVerification `json:"verification,omitempty"`
	StatusCode   *StatusCode        `json:"status_code,omitempty"`
	Statuses     []StatusCode       `json:"statuses,omitzero"`
	Login
	TwoFactor *TwoFactor `json:"two_factor,omitempty"`
	Sessions  []Session  `json:"sessions,omitzero"`
	// SessionIDs are the IDs of the sessions that a call ended.
	SessionIDs []string `json:"session_ids,omitzero"`
	// Count is how many keys a call revoked that revokes many at once.
	Count *int `json:"count,omitempty"`
	// KeyIDs are the key IDs of the keys that a call revoked; the first of
	// them if they are too many.
	KeyIDs []string `json:"key_ids,omitempty"`
	// AlreadyRevoked are those of KeyIDs that were revoked before.
	AlreadyRevoked []string `json:"already_revoked,omitempty"`
	// Unknown are those of a list of credentials that are none of the user's.
	Unknown []UnknownCredential `json:"unknown,omitempty"`
	// RemovedCollaborators are those that a call removed with the keys that
	// it revoked; the first of them if they are too many.
	RemovedCollaborators []Collaborator `json:"removed_collaborators,omitempty"`
	// Imported says what became of each key of an import, in their order.
	Imported []Imported `json:"imported,omitzero"`

	// Standing is what a verified credential is good for.
	Standing string `json:"standing,omitempty"`
	// Revocation is there if the verified credential is revoked.
	Revocation *Revocation `json:"revocation,omitempty"`
	// Explanations say how a request would be decided, one for each site.
	Explanations []Explanation `json:"explanations,omitzero"`
	// StoreCheck and StoreStats are of the whole store.
	StoreCheck *StoreCheck `json:"store_check,omitempty"`
	StoreStats *keys.Stats `json:"store_stats,omitempty"`
	// StoreClock says what accepting the clock did.
	StoreClock *keys.AcceptedClock `json:"store_clock,omitempty"`
	// backup is sent instead of all this.
	backup *keys.Backup

	// Next is given as after to go on with a list; empty at its end.
	Next string `json:"next,omitempty"`
}

// Status says how a request went.
type Status struct {
	Code        Code   `json:"code"`
	Description string `json:"description"`
	Details     string `json:"details,omitempty"`
	// Field is where the fault is in the body, such as keys[2].scopes.
	Field string `json:"field,omitempty"`
	// MissingScopes and MissingEndpoints are what a credential lacks, or what
	// scopes need.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// ReqID finds the request in the log.
	ReqID string `json:"req_id"`
}

// succeed answers a request that was done.
func succeed(w http.ResponseWriter, reqID string, a *Answer) {
	a.Status.Code, a.Status.Description, a.Status.ReqID = CodeOK, CodeOK.Description(), reqID
	write(w, a)
}

// fail answers a request that was refused.
func fail(w http.ResponseWriter, reqID string, e *Error) {
	if e.allow != nil {
		w.Header().Set("Allow", strings.Join(e.allow, ", "))
	}
	if e.Code == CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if e.Code == CodeThrottled {
		w.Header().Set("Retry-After", e.retryAfter)
	}
	write(w, &Answer{Status: Status{
		Code:          e.Code,
		Description:   e.Code.Description(),
		Details:       withoutCredentials(e.Error()),
		Field:         withoutCredentials(e.Field),
		MissingScopes: e.MissingScopes,
		ReqID:         reqID,
	}})
}

func write(w http.ResponseWriter, a *Answer) {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // only of a mistake in the types above
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	// An answer may hold a new credential, and every other may be outdated by
	// the next change.
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(a.Status.Code.HTTP())
	// A client that has gone away needs no answer.
	_, _ = w.Write(text)
}

// newRequestID makes up what a request is called in the log.
func newRequestID() string {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	return hex.EncodeToString(id[:])
}
