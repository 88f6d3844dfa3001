package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Limits of sessions: the longest life in all and unused (NIST SP 800-63B-4,
// section 2.2.3), and the number a user may have. One more ends the oldest.
const (
	sessionLife = 24 * time.Hour
	sessionIdle = time.Hour
	maxSessions = 100
)

// Login is the answer to a sign-in.
type Login struct {
	UserID string `json:"v2_user_id,omitempty"`
	// SessionToken is the whole credential, which is shown only here.
	SessionToken string `json:"session_token,omitempty"`
	// ExpiresAt is the latest end of the session.
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// signIn is the input of a sign-in.
type signIn struct {
	email string
	proof
}

func readLogin(o *object) signIn {
	return signIn{o.required("email"), proof{password: o.required("password"), code: o.optional("code")}}
}

// login makes a session. It gives the same answer, after the same work, for an
// unknown address, a user without a password, and a wrong password.
func (r *request) login(in signIn) (answer *Answer, err error) {
	attempt, wait := r.api.Directory.Throttle().Begin(in.email, r.caller.Address)
	if attempt == nil {
		return nil, throttled(wait)
	}
	var u keys.User
	err = r.view(func(from keys.Reader) (err error) {
		u, err = from.UserByEmail(in.email)
		if errors.Is(err, keys.ErrNotFound) {
			return nil // the check below finds no password
		}
		return err
	})
	if err != nil {
		attempt.Abandon()
		return nil, err
	}
	in.wrong = refuse(CodeLoginFailed, "", "the e-mail address or the password is wrong, or no password was ever set")
	in.update = r.updateAs(u.ID)
	err = r.prove(attempt, u, in.proof, func(tx *keys.Tx) error {
		login, err := r.beginSession(tx, u.ID)
		answer = &Answer{Login: login}
		return err
	})
	return answer, err
}

// beginSession makes a session, and ends the user's sessions that have expired or
// are too many.
func (r *request) beginSession(tx *keys.Tx, userID string) (Login, error) {
	var live, expired []keys.Credential
	for c, err := range tx.Sessions(userID, 0) {
		if err != nil {
			return Login{}, err
		}
		s, err := r.readSession(tx, c)
		switch {
		case err != nil:
			return Login{}, err
		case s.over(tx.Now()):
			expired = append(expired, c)
		default:
			live = append(live, c)
		}
	}
	for _, c := range expired {
		if err := tx.Revoke(c.ID, "expired"); err != nil {
			return Login{}, err
		}
	}
	for ; len(live) >= maxSessions; live = live[1:] {
		if err := tx.Revoke(live[0].ID, "too many sessions"); err != nil {
			return Login{}, err
		}
	}
	token, id := credential.Mint(r.api.Brand, policy.Session)
	c, err := tx.CreateCredential(keys.Credential{
		Kind: policy.Session, UserID: userID, ID: id, Digest: credential.DigestOf(token),
		ExpiresAt: tx.Now().Add(sessionLife).UTC(), Idle: sessionIdle, Address: r.caller.Address, UserAgent: r.userAgent(),
	})
	if err != nil {
		return Login{}, err
	}
	return Login{UserID: userID, SessionToken: token, ExpiresAt: &c.ExpiresAt}, nil
}

// logout ends the session of the call.
func (r *request) logout(tx *keys.Tx) (*Answer, error) {
	return &Answer{}, tx.Revoke(r.own.ID, "signed out")
}

// notOperator refuses the calls that only a user can make.
func (r *request) notOperator() error {
	if r.caller.Operator {
		return refuse(CodeInvalid, "", "this call is for users on a site, and the operator needs no session or password: to set a user's password, PATCH /v2/users/USER; to remove a second factor, DELETE /v2/users/USER/two_factor; to end sessions, DELETE /v2/users/USER/sessions")
	}
	return nil
}
