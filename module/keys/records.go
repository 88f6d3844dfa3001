package keys

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Everyone in place of a user makes a collaboration one with all users.
const Everyone = "*"

// Operator is who acts through the admin endpoint or on the store itself; it
// is no user's id, for it has a character that those can't have.
const Operator = "(operator)"

// User owns apps and holds credentials.
type User struct {
	ID   string
	Name string
	// Email is what the user signs in with. No two users have the same, in
	// whatever case it is written.
	Email     string
	Suspended bool // its credentials are refused until this is taken back
	// PasswordHash is argon2id's, in PHC's form, as [HashPassword] makes it;
	// empty where the user has no password.
	PasswordHash string
	TwoFactor    TwoFactor
	CreatedAt    time.Time
	// ModifiedAt is when the record was last changed.
	ModifiedAt time.Time
	// Version counts the changes of the record, from 1, so that two who edit
	// it don't overwrite one another.
	Version uint64
	// Seq orders records by creation; the store gives it.
	Seq uint64
}

// TwoFactor is a user's second factor: one-time passwords by time (RFC 6238).
type TwoFactor struct {
	// Secret is shared with the user's device, in base32; empty where there is
	// no second factor.
	Secret string
	// Enabled says that it is asked for. Before, the secret only waits for the
	// user to show that the device has it.
	Enabled bool
	// LastStep is the time step of the newest password that was accepted. None
	// of this step or an earlier one is accepted again (RFC 6238, section
	// 5.2).
	LastStep uint64
	// RecoveryCodes are the digests of those that are left, each of which
	// stands in for a one-time password once.
	RecoveryCodes []Digest
}

// AppRef names an app: app ids are unique among those of one owner.
type AppRef struct {
	OwnerID, AppID string
}

// App is what app keys are tied to.
type App struct {
	AppRef
	Name                  string
	CreatedAt, ModifiedAt time.Time
	Version               uint64 // as a user's
	Seq                   uint64
}

// Credential is what a client presents: an app key, a personal access token,
// or a session. Its text is kept nowhere.
type Credential struct {
	Digest Digest
	// ID is the public id, which lists, logs and headers show.
	ID     string
	Kind   policy.Kind
	UserID string
	// AppID is the app of an app key, which UserID owns.
	AppID       string
	Description string
	Scopes      []string
	// Endpoints nil is no list: all endpoints.
	Endpoints             []string
	Disabled              bool
	CreatedAt, ModifiedAt time.Time
	// CreatedBy is the public id of the credential it was made with, or
	// [Operator].
	CreatedBy string
	// ExpiresAt zero is never.
	ExpiresAt time.Time
	// Idle is how long a session lives without being used; 0 is for good.
	Idle time.Duration
	// Address is where a session was begun from.
	Address string
	Version uint64 // as a user's
	Seq     uint64
}

// Usage is when a credential was last used, to the minute, and from which
// address.
type Usage struct {
	At      time.Time
	Address string
}

// CollaboratorRef names an invitation: to UserID (or [Everyone]), on an app.
type CollaboratorRef struct {
	AppRef
	UserID string
}

// Collaborator is an invitation of a user to someone else's app.
type Collaborator struct {
	CollaboratorRef
	Scopes []string
	// Endpoints nil is no list: all endpoints.
	Endpoints             []string
	CreatedAt, ModifiedAt time.Time
	// CreatedBy is the key ID of the credential that it was added with, or
	// [Operator]; empty for those that were added before this was kept.
	CreatedBy string
	Version   uint64 // as a user's
	Seq       uint64
}

// Digest is where the invitation is found in the cache, beside credentials.
// NUL can't stand in an id, so no two invitations share one.
func (r CollaboratorRef) Digest() Digest {
	return DigestOf(r.UserID + "\x00" + r.OwnerID + "\x00" + r.AppID)
}

// Tombstone is what stays of a revoked credential, for good: its digest can
// neither be minted nor imported again.
type Tombstone struct {
	Digest Digest
	// ID is the public id that the credential had, and UserID who held it.
	ID, UserID string
	// CreatedBy is the credential's, so that what it had made in turn is still
	// found by who made it.
	CreatedBy string
	At        time.Time
	Reason    string
}

// Totals are how many keys and apps a user has. Sessions are not keys.
type Totals struct {
	Keys, Apps uint64
}

// Deletion is that of a user (then AppID is empty) or an app that is gone, as
// long as records are left that belonged to it: none of them is good any more,
// and they are taken away step by step.
type Deletion struct {
	AppRef
	At time.Time
	By Actor
}

// The longest of each, in bytes.
const (
	maxID          = 48
	maxName        = 256
	maxEmail       = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxDescription = 1024
)

// The years that an expiry may lie in. Times are counted in nanoseconds, which
// end in 2262; and what is long past is a mistake for "never".
const FirstYear, LastYear = 2000, 2200

// CheckID refuses what can't be the id of a user or an app. field names it in
// the error.
func CheckID(field, id string) error {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return invalid(field, "%q is not an id: use 1 to %d letters, digits, - and _", id, maxID)
	}
	return nil
}

// checkUserID refuses the reserved id too.
func checkUserID(field, id string) error {
	if id == policy.Me {
		return invalid(field, "%q means the caller, so no user can have it", id)
	}
	return CheckID(field, id)
}

// checkEmail takes an address alone (RFC 5322, section 3.4.1), without a name.
func checkEmail(field, email string) error {
	if email == "" {
		return nil
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || a.Name != "" {
		return invalid(field, "it is no e-mail address, as ada@example.com")
	}
	return checkText(field, email, maxEmail)
}

// EmailKey is an e-mail address as addresses are compared: without regard to
// case, which no provider of note tells apart.
func EmailKey(email string) string { return strings.ToLower(email) }

func checkText(field, text string, most int) error {
	switch {
	case len(text) > most:
		return invalid(field, "%d bytes, more than %d", len(text), most)
	case !utf8.ValidString(text):
		return invalid(field, "it is not valid UTF-8")
	case strings.ContainsFunc(text, isControl):
		return invalid(field, "it has a control character")
	}
	return nil
}

// isControl says of a character that it would steer what shows the text, as the
// operator's terminal: by a code of its own (those of C1 too, which begin what
// ESC [ begins), by breaking the line, or by turning the direction of what
// follows it (CVE-2021-42574).
func isControl(c rune) bool {
	return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069'
}

func checkGrant(scopes, endpoints []string) error {
	for _, s := range scopes {
		if err := policy.CheckScopeName(s); err != nil {
			return invalid("scopes", "%v", err)
		}
	}
	for _, e := range endpoints {
		if err := policy.CheckEndpoint(e); err != nil {
			return invalid("endpoints", "%v", err)
		}
	}
	return nil
}
