package manage

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// The portal signs users in by two calls, which stand on no site: the first checks
// the password, and the second the code of the second factor. Both have the checks,
// limits and audit entries of login. A third call resets a forgotten password.

// SignInBase is the base path of [NewSignInMount].
const SignInBase = "/signin"

// halfLife is how long after the password a code may follow.
const halfLife = 5 * time.Minute

var signInCalls = []call{
	{"POST", "/v2/password", usersOnly(does(bodyOf(readPasswordStep), (*request).loginByPassword)), demand{accept: public}},
	{"POST", "/v2/code", usersOnly(does(bodyOf(readCodeStep), (*request).loginByCode)), demand{accept: public}},
	{"POST", "/v2/reset", usersOnly(does(bodyOf(readPasswordReset), (*request).resetPassword)), demand{accept: public}},
}

// NewSignInMount mounts the calls by which the portal signs users in.
func NewSignInMount() *Mount { return newMount(SignInBase, signInCalls) }

// HalfLogin is the answer to a right password of a user with a second factor.
type HalfLogin struct {
	// Half proves to the second call that the password was right. Only the
	// browser that sent the password may have it.
	Half string `json:"half,omitempty"`
	// HalfUntil is when Half stops working.
	HalfUntil *time.Time `json:"half_until,omitempty"`
}

// half is the content of [HalfLogin.Half].
type half struct {
	UserID string `json:"user"`
	// Email is the address as typed, by which attempts are counted.
	Email string    `json:"email"`
	Until time.Time `json:"until"`
	// Account is [accountState] at the time of the password.
	Account credential.Digest `json:"account"`
}

// accountState identifies a state of a user's account. Any change of the account,
// such as another password, makes another one.
func accountState(u *keys.User) credential.Digest {
	return credential.DigestOf("half\x00" + u.ID + "\x00" + strconv.FormatUint(u.Version, 10) + "\x00" + u.PasswordHash)
}

// halves returns the cipher of the store's half logins.
func (r *request) halves() cipher.AEAD {
	key := r.api.Directory.Secret("half logins")
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a block of another size
	}
	return aead
}

func (r *request) sealHalf(h half) (string, error) {
	text, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(r.halves().Seal(nil, nil, text, nil)), nil //nolint:gosec // the cipher makes a nonce itself
}

func (r *request) openHalf(text string) (h half, ok bool) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return h, false
	}
	opened, err := r.halves().Open(nil, nil, sealed, nil)
	if err != nil || json.Unmarshal(opened, &h) != nil {
		return h, false
	}
	return h, r.api.Directory.Now().Before(h.Until)
}

func readPasswordStep(o *object) signIn {
	return signIn{o.required("email"), proof{password: o.required("password")}}
}

// loginByPassword makes a session, or a half login if the user has a second
// factor.
func (r *request) loginByPassword(in signIn) (*Answer, error) {
	var begun *Answer
	in.codeMissing = func(u keys.User) error {
		until := r.api.Directory.Now().Add(halfLife).UTC()
		text, err := r.sealHalf(half{UserID: u.ID, Email: in.email, Until: until, Account: accountState(&u)})
		begun = &Answer{HalfLogin: HalfLogin{Half: text, HalfUntil: &until}}
		return err
	}
	answer, err := r.login(in)
	if err == nil && begun != nil {
		return begun, nil
	}
	return answer, err
}

// codeStep is the input of the second call.
type codeStep struct{ half, code string }

func readCodeStep(o *object) codeStep { return codeStep{o.required("half"), o.required("code")} }

// loginByCode makes a session of a half login. An attempt is counted as if the
// password had come with the code.
func (r *request) loginByCode(in codeStep) (answer *Answer, err error) {
	again := refuse(CodeLoginFailed, "half", "this took too long, or the account was changed; begin again with your password")
	h, ok := r.openHalf(in.half)
	if !ok {
		return nil, again
	}
	attempt, wait := r.api.Directory.Throttle().Begin(h.Email, r.caller.Address)
	if attempt == nil {
		return nil, throttled(wait)
	}
	var u keys.User
	err = r.view(func(from keys.Reader) (err error) {
		u, err = from.User(h.UserID)
		return err
	})
	switch {
	case errors.Is(err, keys.ErrNotFound), err == nil && (accountState(&u) != h.Account || !u.TwoFactor.Enabled):
		attempt.Abandon()
		return nil, again
	case err != nil:
		attempt.Abandon()
		return nil, err
	}
	p := proof{code: in.code, wrong: again, update: r.updateAs(u.ID)}
	err = r.proveCode(attempt, u, p, func(tx *keys.Tx) error {
		login, err := r.beginSession(tx, u.ID)
		answer = &Answer{Login: login}
		return err
	})
	return answer, err
}

// updateAs makes a change in the name of a user who is about to sign in.
func (r *request) updateAs(userID string) func(*signin.Attempt, func(*keys.Tx) error) error {
	return func(_ *signin.Attempt, fn func(*keys.Tx) error) error {
		return r.api.Directory.Update(r.Context(), keys.Actor{UserID: userID, Address: r.caller.Address}, fn)
	}
}
