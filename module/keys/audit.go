package keys

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
)

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
	Previous, Hash credential.Digest
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
	Anchor credential.Digest
	// Last is the newest entry. Hash is its hash.
	Last uint64
	Hash credential.Digest
}

// Actions of the audit log.
const (
	ActionUserCreate         = "user.create"
	ActionUserChange         = "user.change"
	ActionUserDelete         = "user.delete"
	ActionUserResetLink      = "user.reset_link"
	ActionUserResetPassword  = "user.reset_password"
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
