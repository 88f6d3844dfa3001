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

// Answer is the body of every answer: the status, and the result of the call.
type Answer struct {
	Status Status `json:"status"`

	User  *User  `json:"user,omitempty"`
	Users []User `json:"users,omitzero"`
	App   *App   `json:"app,omitempty"`
	Apps  []App  `json:"apps,omitzero"`
	Key   *Key   `json:"key,omitempty"`
	Keys  []Key  `json:"keys,omitzero"`
	// Scopes is the catalogue, and Endpoints are the endpoints that keys can be
	// limited to.
	Scopes    []Scope  `json:"scope_deps,omitzero"`
	Endpoints []string `json:"endpoint_names,omitzero"`
	// ScopeResources describe the resources of the scopes in Scopes.
	ScopeResources []ScopeResource `json:"scope_resources,omitzero"`
	// Plans are the plans of the configuration. Resources are the names of the
	// resources that its sites declare.
	Plans     []Plan   `json:"plans,omitzero"`
	Resources []string `json:"resource_names,omitzero"`
	*MyScopes
	Collaborators  []Collaborator  `json:"collaborators,omitzero"`
	Collaborations []Collaboration `json:"collaborations,omitzero"`
	// Entries are entries of the audit log.
	Entries      []AuditEntry       `json:"entries,omitzero"`
	Verification *AuditVerification `json:"verification,omitempty"`
	StatusCode   *StatusCode        `json:"status_code,omitempty"`
	Statuses     []StatusCode       `json:"statuses,omitzero"`
	Login
	HalfLogin
	TwoFactor *TwoFactor `json:"two_factor,omitempty"`
	ResetLink *ResetLink `json:"reset_link,omitempty"`
	Sessions  []Session  `json:"sessions,omitzero"`
	// SessionIDs are the IDs of the sessions that a call ended.
	SessionIDs []string `json:"session_ids,omitzero"`
	// Count is how many keys a bulk call revoked.
	Count *int `json:"count,omitempty"`
	// KeyIDs are the key IDs of the keys that a call revoked, or the first of
	// them if they are too many.
	KeyIDs []string `json:"key_ids,omitempty"`
	// AlreadyRevoked are the elements of KeyIDs that were revoked before.
	AlreadyRevoked []string `json:"already_revoked,omitempty"`
	// Unknown are the elements of a list of credentials that don't belong to the
	// user.
	Unknown []UnknownCredential `json:"unknown,omitempty"`
	// RemovedCollaborators are the collaborators that a call removed with the keys
	// that it revoked, or the first of them if they are too many.
	RemovedCollaborators []Collaborator `json:"removed_collaborators,omitempty"`
	// Imported are the outcomes of an import, one for each key in order.
	Imported []Imported `json:"imported,omitzero"`

	// Standing is the state of a verified credential.
	Standing string `json:"standing,omitempty"`
	// Revocation is set if the verified credential is revoked.
	Revocation *Revocation `json:"revocation,omitempty"`
	// Explanations explain the decision of a request, one for each site.
	Explanations []Explanation `json:"explanations,omitzero"`
	// Operations are what a key can call. Near are operations that it lacks
	// little for. Operation is the answer about one request.
	Operations []Operation `json:"operations,omitzero"`
	Near       []Operation `json:"near,omitzero"`
	Operation  *Operation  `json:"operation,omitempty"`
	// Activity is what a key was used for.
	Activity *Activity `json:"activity,omitempty"`
	// LimitUses are the limits of a key, and how much of each is used.
	LimitUses []LimitUse `json:"limit_uses,omitzero"`
	// StoreCheck and StoreStats are about the whole store.
	StoreCheck *StoreCheck `json:"store_check,omitempty"`
	StoreStats *keys.Stats `json:"store_stats,omitempty"`
	// StoreClock is the result of accepting the clock.
	StoreClock *keys.AcceptedClock `json:"store_clock,omitempty"`
	// Fleet are the nodes that share the store. Reconciled is what they took back
	// into it.
	Fleet      *keys.Fleet      `json:"fleet,omitempty"`
	Reconciled *keys.Reconciled `json:"reconciled,omitempty"`
	// backup, if set, is sent instead of the JSON.
	backup *keys.Backup

	// Next is the value of after for the next page of a list, or empty at its
	// end.
	Next string `json:"next,omitempty"`
}

// Status is the outcome of a request.
type Status struct {
	Code        Code   `json:"code"`
	Description string `json:"description"`
	Details     string `json:"details,omitempty"`
	// Field is the field of the body with the mistake, such as keys[2].scopes.
	Field string `json:"field,omitempty"`
	// MissingScopes and MissingEndpoints are what a credential lacks, or what
	// scopes need.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// ReqID identifies the request in the log.
	ReqID string `json:"req_id"`
}

// succeed answers a successful request.
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
	status := e.Status()
	status.ReqID = reqID
	write(w, &Answer{Status: status})
}

// Status returns the error as the API answers it, without a request ID.
func (e *Error) Status() Status {
	return Status{
		Code:          e.Code,
		Description:   e.Code.Description(),
		Details:       withoutCredentials(e.Error()),
		Field:         withoutCredentials(e.Field),
		MissingScopes: e.MissingScopes,
	}
}

func write(w http.ResponseWriter, a *Answer) {
	text, err := json.Marshal(a)
	if err != nil {
		panic(err) // only for a mistake in the types above
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)))
	// An answer may hold a new credential, and the next change may outdate any
	// other.
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(a.Status.Code.HTTP())
	// An error means that the client has gone away.
	_, _ = w.Write(text)
}

// newRequestID generates the ID of a request in the log.
func newRequestID() string {
	var id [16]byte
	rand.Read(id[:]) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	return hex.EncodeToString(id[:])
}
