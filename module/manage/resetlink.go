package manage

import (
	"cmp"
	"crypto/rand"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// resetLife is how long a link to reset a password works.
const resetLife = time.Hour

// ResetPath is the path of the portal's page that resets a password. The code
// follows as the fragment, which browsers don't send.
const ResetPath = "/reset"

// ResetLink is a one-time link by which a user sets another password.
type ResetLink struct {
	// URL is the whole link. It is empty if the address of the portal isn't known.
	URL string `json:"url,omitempty"`
	// Path is the link below the address of the portal.
	Path string `json:"path"`
	// Code is what the page asks for if the link isn't used. It is shown only here.
	Code      string    `json:"code"`
	ExpiresAt time.Time `json:"expires_at"`
}

// readPortal reads the address of the portal, if the caller gives one.
func readPortal(o *object) string {
	text := o.optional("portal")
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		o.fail(refuse(CodeInvalid, o.field("portal"), "give the address of the portal, such as https://keys.example.com/portal"))
	}
	return strings.TrimSuffix(text, "/")
}

// createResetLink makes a link for the user of the path. A code is the user's ID
// and a random text.
func (r *request) createResetLink(tx *keys.Tx, portal string) (*Answer, error) {
	u, err := r.findUser(tx)
	switch {
	case err != nil:
		return nil, err
	case u.Suspended:
		return nil, refuse(CodeInvalid, "user_id", "this user is suspended; end the suspension first")
	case u.Email == "":
		return nil, refuse(CodeInvalid, "user_id", "this user has no e-mail address to sign in with; give them one first")
	}
	code := u.ID + "." + rand.Text()
	link := ResetLink{Path: ResetPath + "#" + code, Code: code, ExpiresAt: tx.Now().Add(resetLife).UTC()}
	if portal = cmp.Or(portal, r.api.Portal); portal != "" {
		link.URL = portal + link.Path
	}
	err = tx.AllowReset(u.ID, keys.PasswordReset{Digest: credential.DigestOf(code), Until: link.ExpiresAt})
	return &Answer{ResetLink: &link}, err
}

// passwordReset is another password, with the code of a link.
type passwordReset struct{ code, password string }

func readPasswordReset(o *object) passwordReset {
	return passwordReset{code: strings.TrimSpace(o.required("code")), password: o.required("password")}
}

// resetPassword sets another password. A wrong code, one that has expired, and one
// of an unknown user have the same answer.
func (r *request) resetPassword(in passwordReset) (*Answer, error) {
	id, _, _ := strings.Cut(in.code, ".")
	// Attempts are counted by user and address, so that nobody can keep the user
	// from using the link.
	attempt, wait := r.api.Directory.Throttle().Begin("reset "+id+" "+r.caller.Address, r.caller.Address)
	if attempt == nil {
		return nil, throttled(wait)
	}
	u, err := r.userOfReset(id)
	if err != nil {
		attempt.Abandon()
		return nil, err
	}
	if !u.Permits(in.code, r.api.Directory.Now()) {
		return nil, errResetCode()
	}
	hash, err := attempt.HashPassword(r.Context(), in.password, r.knownOf(&u)...)
	if err != nil {
		attempt.Excuse()
		return nil, err
	}
	err = r.api.Directory.UpdateFirst(r.Context(), keys.Actor{UserID: u.ID, Address: r.caller.Address}, func(tx *keys.Tx) error {
		ok, err := tx.ResetPassword(u.ID, in.code, hash)
		if errors.Is(err, keys.ErrNotFound) || err == nil && !ok {
			return errResetCode()
		}
		return err
	})
	endReset(attempt, err)
	return &Answer{}, err
}

// userOfReset returns the user of a code, or the zero user, whom no code permits
// anything.
func (r *request) userOfReset(id string) (u keys.User, err error) {
	if keys.CheckID("code", id) != nil {
		return u, nil
	}
	err = r.view(func(from keys.Reader) (err error) {
		u, err = from.User(id)
		return err
	})
	if errors.Is(err, keys.ErrNotFound) {
		return keys.User{}, nil
	}
	return u, err
}

func endReset(attempt *signin.Attempt, err error) {
	if err == nil {
		attempt.Succeed()
		return
	}
	attempt.Excuse()
}

func errResetCode() *Error {
	return refuse(CodeLoginFailed, "code", "this link is not valid: it was used, has expired, or a newer one replaced it; ask the operator of the service for another one")
}
