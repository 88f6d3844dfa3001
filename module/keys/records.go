package keys

import (
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// Everyone in place of a user ID makes all users collaborators.
const Everyone = "*"

// Operator is the actor of changes through the admin endpoint or on the store
// itself. It can't be a user ID, because it has a character that user IDs can't
// have.
const Operator = "(operator)"

// User owns apps and holds credentials.
type User struct {
	ID   string
	Name string
	// Email is the address that the user signs in with. No two users have the
	// same address; case doesn't matter.
	Email     string
	Suspended bool // its credentials are refused
	// Operator is true for a user who has the operator's pages of the portal.
	Operator bool
	// Plan is the plan that limits all of the user's credentials together. If Plan is
	// empty, [policy.DefaultPlan] applies.
	Plan string
	// PasswordHash is an argon2id hash in PHC's form, made by [signin.HashPassword].
	// It is empty if the user has no password.
	PasswordHash string
	TwoFactor    signin.TwoFactor
	// Reset is the one-time link by which the user may set another password.
	Reset     PasswordReset
	CreatedAt time.Time
	// ModifiedAt is the time of the record's last change.
	ModifiedAt time.Time
	// Version counts the changes of the record, from 1, so that two editors
	// don't overwrite each other's changes.
	Version uint64
	// Seq orders records by creation; the store gives it.
	Seq uint64
}

// AppRef identifies an app. App IDs are unique for each owner.
type AppRef struct {
	OwnerID, AppID string
}

// App is an app of a user. App keys are tied to one app.
type App struct {
	AppRef
	Name string
	// Plan is the plan that limits all of the app's keys together, in addition to the
	// user's plan. It may be empty.
	Plan                  string
	CreatedAt, ModifiedAt time.Time
	Version               uint64 // as a user's
	Seq                   uint64
}

// Credential is what a client presents: an app key, a personal access token, or
// a session. Its text is not stored.
type Credential struct {
	Digest credential.Digest
	// ID is the key ID, which lists, logs and headers show.
	ID     string
	Kind   policy.Kind
	UserID string
	// AppID is the app of an app key, which UserID owns.
	AppID       string
	Description string
	Scopes      []string
	// Endpoints is nil if there is no list, which means all endpoints.
	Endpoints []string
	// Plan is the plan that limits this key, in addition to the plans of its app and
	// its user. It may be empty.
	Plan string
	// Limits are the key's own. They apply in addition to the key's plan.
	Limits policy.Limits
	// Addresses are the networks that requests may come from.
	Addresses policy.Addresses
	// Resources are the values of resources that the key may address.
	Resources             policy.Values
	Disabled              bool
	CreatedAt, ModifiedAt time.Time
	// CreatedBy is the key ID of the credential that it was made with,
	// [Operator], or the name of the import ([ImportSource.Name]).
	CreatedBy string
	// ExpiresAt is zero if the credential never expires.
	ExpiresAt time.Time
	// RotatedFrom is the key ID of the key that this one replaces, and RotatedTo
	// that of the key that replaces this one. Both are empty for keys that were never
	// rotated, and for rotations before store format 4.
	RotatedFrom, RotatedTo string
	// Origin is the digest of the first key of a series of rotations, zero for a key
	// that replaces none. The keys of a series share the usage of their limits.
	Origin credential.Digest
	// Idle is how long an unused session lives; 0 means without limit.
	Idle time.Duration
	// Address is the client's address at the login of a session.
	Address string
	// UserAgent is the name of the program that signed in, as it gave it.
	UserAgent string
	Version   uint64 // as a user's
	Seq       uint64
}

// Usage is when a credential was last used, to the minute, and from which
// address.
type Usage struct {
	At      time.Time
	Address string
}

// CollaboratorRef identifies a collaborator: UserID (or [Everyone]) on an app.
type CollaboratorRef struct {
	AppRef
	UserID string
}

// Collaborator lets a user use someone else's app.
type Collaborator struct {
	CollaboratorRef
	Scopes []string
	// Endpoints is nil if there is no list, which means all endpoints.
	Endpoints             []string
	CreatedAt, ModifiedAt time.Time
	// CreatedBy is the key ID of the credential that added the collaborator, or
	// [Operator]. It is empty for collaborators added before this was stored.
	CreatedBy string
	Version   uint64 // as a user's
	Seq       uint64
}

// Digest returns the digest of the collaborator in the cache, which also holds
// credentials. NUL can't occur in an ID, so no two collaborators share a
// digest.
func (r CollaboratorRef) Digest() credential.Digest {
	return credential.DigestOf(r.UserID + "\x00" + r.OwnerID + "\x00" + r.AppID)
}

// UserGroup returns the digest that stands for everything of a user in a
// [Change]. NUL can't occur in an ID, nor at the beginning of a credential.
func UserGroup(id string) credential.Digest { return credential.DigestOf("\x00" + id) }

// AppGroup is like [UserGroup] for an app.
func AppGroup(a AppRef) credential.Digest {
	return credential.DigestOf("\x00" + a.OwnerID + "\x00" + a.AppID)
}

// Tombstone is the permanent record of a revoked credential: its digest can't
// be minted or imported again.
type Tombstone struct {
	Digest credential.Digest
	// ID is the key ID of the credential. UserID is its holder.
	ID, UserID string
	// CreatedBy is that of the credential, so that the credentials it made can
	// still be traced to their maker.
	CreatedBy string
	At        time.Time
	Reason    string
}

// Totals are the numbers of keys and apps of a user. Sessions are not keys.
type Totals struct {
	Keys, Apps uint64
}

// Deletion is the unfinished deletion of a user (AppID is empty) or an app. The
// remaining records are no longer valid and are removed step by step.
type Deletion struct {
	AppRef
	At time.Time
	By Actor
}

// Maximum lengths in bytes.
const (
	maxID          = 48
	maxName        = 256
	maxEmail       = 254 // RFC 5321, section 4.5.3.1.3, less the brackets
	maxDescription = 1024
)

const (
	// FirstYear is the first year that an expiry may lie in. A time in the
	// distant past is probably meant as "never".
	FirstYear = 2000
	// LastYear is the last one. Times are counted in nanoseconds, which end in
	// 2262.
	LastYear = 2200
)

// CheckID returns an error if id can't be the ID of a user or an app. field is
// the name of the field in the error.
func CheckID(field, id string) error {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool {
		return c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}) {
		return invalid(field, "%q is not an id: use 1 to %d letters, digits, - and _", id, maxID)
	}
	return nil
}

// checkUserID is like [CheckID] but also refuses the reserved ID.
func checkUserID(field, id string) error {
	if id == policy.Me {
		return invalid(field, "%q means the caller, so no user can have it", id)
	}
	return CheckID(field, id)
}

// checkEmail accepts only an address (RFC 5322, section 3.4.1), without a name.
func checkEmail(field, email string) error {
	if email == "" {
		return nil
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || a.Name != "" {
		return invalid(field, "it is not an e-mail address such as ada@example.com")
	}
	return checkText(field, email, maxEmail)
}

// EmailKey returns an e-mail address in the form in which addresses are
// compared: in lower case, because no major provider distinguishes case.
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

// isControl reports whether a character would control the display of a text,
// such as the operator's terminal: by a control code (including C1, which can
// replace ESC [), by a line break, or by changing the direction of the text
// that follows (CVE-2021-42574).
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

// checkUse checks the plan, limits, addresses and resources of a credential.
func checkUse(c *Credential) error {
	if err := checkPlan(c.Plan); err != nil {
		return err
	}
	if err := c.Limits.Check(); err != nil {
		return invalid("limits", "%v", err)
	}
	if len(c.Addresses) > policy.MaxAddresses {
		return invalid("addresses", "%d networks, more than %d", len(c.Addresses), policy.MaxAddresses)
	}
	if err := c.Resources.Check(); err != nil {
		return invalid("resources", "%v", err)
	}
	return nil
}

// checkPlan checks the name of a plan. Only the configuration knows whether the plan
// exists.
func checkPlan(name string) error {
	if name == "" {
		return nil
	}
	if err := policy.CheckPlanName(name); err != nil {
		return invalid("plan", "%v", err)
	}
	return nil
}
