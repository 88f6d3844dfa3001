package manage

import (
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// proof is what identifies a user: the password, and a code if the second factor
// is on.
type proof struct {
	password, code string
	// wrong is the answer to a wrong password.
	wrong *Error
	// codeMissing, if set, handles a right password without a code.
	codeMissing func(keys.User) error
	// update makes the change.
	update func(*signin.Attempt, func(*keys.Tx) error) error
}

// prove makes a change if the proof is good, and counts the attempt accordingly. u
// is the user as read just before, or the zero user.
func (r *request) prove(attempt *signin.Attempt, u keys.User, p proof, change func(*keys.Tx) error) error {
	right, err := attempt.CheckPassword(r.Context(), u.PasswordHash, p.password)
	if err != nil {
		attempt.Abandon()
		return err
	}
	if !right {
		return p.wrong
	}
	return r.proveCode(attempt, u, p, change)
}

// proveCode is the rest of prove after the right password.
func (r *request) proveCode(attempt *signin.Attempt, u keys.User, p proof, change func(*keys.Tx) error) error {
	if u.Suspended {
		attempt.Excuse()
		return errSuspended()
	}
	if u.TwoFactor.Enabled {
		if p.code == "" {
			attempt.Excuse()
			if p.codeMissing != nil {
				return p.codeMissing(u)
			}
			return refuse(CodeLoginFailed, "code", "the password is right, and this user has a second factor: send the code of the authenticator app too, or a recovery code")
		}
		if wait := attempt.Code(); wait > 0 {
			attempt.Excuse()
			return throttled(wait)
		}
	}
	err := p.update(attempt, func(tx *keys.Tx) error {
		if err := stillProven(tx, u, p); err != nil {
			return err
		}
		return change(tx)
	})
	endAttempt(attempt, err)
	return err
}

// stillProven checks the user again in the transaction of the change, and uses up
// the code.
func stillProven(tx *keys.Tx, was keys.User, p proof) error {
	u, err := tx.User(was.ID)
	if errors.Is(err, keys.ErrNotFound) {
		return p.wrong
	}
	switch {
	case err != nil:
		return err
	case u.PasswordHash != was.PasswordHash:
		return p.wrong
	case u.Suspended:
		return errSuspended()
	case u.TwoFactor.Enabled != was.TwoFactor.Enabled:
		return refuse(CodeConflict, "", "the second factor was just turned on or off; try again")
	case !u.TwoFactor.Enabled:
		return nil
	}
	if ok, err := tx.AcceptCode(u.ID, p.code); err != nil || ok {
		return err
	}
	return wrongCode()
}

// endAttempt ends an attempt whose password was right.
func endAttempt(attempt *signin.Attempt, err error) {
	var e *Error
	switch {
	case err == nil:
		attempt.Succeed()
	case errors.As(err, &e) && e.Code == CodeLoginFailed:
		// The attempt counts as a failure already.
	default:
		attempt.Excuse()
	}
}

func wrongCode() *Error {
	return refuse(CodeLoginFailed, "code", "the code is wrong, or was used already; wait for the next one of the authenticator app")
}

func errSuspended() *Error {
	return refuse(CodeKeyInvalid, "", "this user is suspended; ask the operator of the service")
}

// throttled refuses another attempt until the wait is over.
func throttled(wait time.Duration) *Error {
	seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
	e := refuse(CodeThrottled, "", "too many attempts to sign in; try again in %s seconds", seconds)
	e.retryAfter = seconds
	return e
}

func readProof(o *object) proof {
	return proof{password: o.required("password"), code: o.optional("code")}
}

// proves is the frame of a change of the caller's own account, which requires
// the password again.
func proves(fn func(*request, *keys.Tx) (*Answer, error)) frame {
	return usersOnly(does(bodyOf(readProof), func(r *request, p proof) (answer *Answer, err error) {
		err = r.proving("password", p, func(tx *keys.Tx) (err error) {
			answer, err = fn(r, tx)
			return err
		})
		return answer, err
	}))
}

// proving makes a change of the caller's own account, which requires the password
// again, and a code if the second factor is on. field is the password's field in
// the body.
func (r *request) proving(field string, p proof, change func(*keys.Tx) error) error {
	u, attempt, err := r.beginInside()
	if err != nil {
		return err
	}
	p.wrong = refuse(CodeLoginFailed, field, "it is not the user's password")
	if p.update == nil {
		p.update = func(_ *signin.Attempt, change func(*keys.Tx) error) error { return r.update(change) }
	}
	return r.prove(attempt, u, p, change)
}

// beginInside begins an attempt of the user of the path, who holds a session.
func (r *request) beginInside() (u keys.User, attempt *signin.Attempt, err error) {
	err = r.view(func(from keys.Reader) (err error) {
		u, err = r.findUser(from)
		return err
	})
	if err != nil {
		return u, nil, err
	}
	attempt, wait := r.api.Directory.Throttle().BeginInside(u.ID, r.caller.Address)
	if attempt == nil {
		return u, nil, throttled(wait)
	}
	return u, attempt, nil
}

// passwordChange is a new password with its proof.
type passwordChange struct {
	proof
	next string
}

func readPasswordChange(o *object) passwordChange {
	return passwordChange{
		proof{password: o.required("current_password"), code: o.optional("code")},
		o.required("password"),
	}
}

// changePassword ends the user's other sessions.
func (r *request) changePassword(in passwordChange) (*Answer, error) {
	var hash string
	in.update = func(attempt *signin.Attempt, change func(*keys.Tx) error) (err error) {
		var u keys.User
		err = r.view(func(from keys.Reader) (err error) {
			u, err = r.findUser(from)
			return err
		})
		if err != nil {
			return err
		}
		// Hash before the transaction, because other changes wait for that.
		if hash, err = attempt.HashPassword(r.Context(), in.next, r.knownOf(&u)...); err != nil {
			return err
		}
		return r.withdraw(change) // the other sessions end
	}
	return &Answer{}, r.proving("current_password", in.proof, func(tx *keys.Tx) error {
		_, err := tx.ChangeUser(r.user(), func(u *keys.User) error {
			u.PasswordHash = hash
			return nil
		})
		return err
	})
}
