package manage

import (
	"net"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// TwoFactor is a user's second factor. Its secrets are shown once.
type TwoFactor struct {
	Enabled bool `json:"enabled"`
	// Secret and OTPAuthURI, its form for authenticator apps to scan, are shown
	// when the factor is made. Recovery codes are shown then and when they are
	// renewed.
	Secret        string   `json:"secret,omitempty"`
	OTPAuthURI    string   `json:"otpauth_uri,omitempty"`
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
}

// createTwoFactor makes a second factor. Signing in requires the factor once it is
// enabled. Until then another may replace it.
func (r *request) createTwoFactor(tx *keys.Tx) (*Answer, error) {
	answer := &Answer{}
	_, err := tx.ChangeUser(r.user(), func(u *keys.User) error {
		if u.TwoFactor.Enabled {
			return refuse(CodeExists, "", "the second factor is on; turn it off first, by a DELETE of two_factor, or make new recovery codes alone, by a POST of two_factor/recovery_codes")
		}
		account := u.Email
		if account == "" {
			account = u.ID
		}
		made, uri, codes, err := signin.NewTwoFactor(r.issuer(), account)
		u.TwoFactor = made
		answer.TwoFactor = &TwoFactor{Secret: made.Secret, OTPAuthURI: uri, RecoveryCodes: codes}
		return err
	})
	return answer, err
}

// issuer returns the name that an authenticator app shows: that of the site, its
// host, or the brand if an app's label can't hold the others.
func (r *request) issuer() string {
	for _, name := range []string{r.api.Name, r.host()} {
		if name != "" && !strings.ContainsAny(name, ":[]/") {
			return name
		}
	}
	return r.api.Brand
}

// host returns the host that the request is for, without the port.
func (r *request) host() string {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		return r.Host
	}
	return host
}

func readCode(o *object) string { return o.required("code") }

// enableTwoFactor turns the second factor on if a code shows that the user's
// device has it. The user's other sessions end, because they began without it.
func (r *request) enableTwoFactor(code string) (*Answer, error) {
	_, attempt, err := r.beginInside()
	if err != nil {
		return nil, err
	}
	if wait := attempt.Code(); wait > 0 {
		attempt.Excuse()
		return nil, throttled(wait)
	}
	err = r.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeUser(r.user(), func(u *keys.User) error {
			switch t := &u.TwoFactor; {
			case t.Enabled:
				return refuse(CodeExists, "", "the second factor is on already")
			case t.Secret == "":
				return refuse(CodeNotFound, "", "there is no second factor to turn on; make one first, by a POST of two_factor")
			case !t.Enable(code, tx.Now()):
				return wrongCode()
			}
			return nil
		})
		return err
	})
	endAttempt(attempt, err)
	return &Answer{TwoFactor: &TwoFactor{Enabled: true}}, err
}

// deleteTwoFactor turns the second factor off. The operator does so without
// password or code, to help a user who has lost the device.
func (r *request) deleteTwoFactor(tx *keys.Tx) (*Answer, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	_, err := tx.ChangeUser(r.user(), func(u *keys.User) error {
		if u.TwoFactor.Secret == "" && !u.TwoFactor.Enabled {
			return refuse(CodeNotFound, "", "this user has no second factor")
		}
		u.TwoFactor = signin.TwoFactor{}
		return nil
	})
	return &Answer{TwoFactor: &TwoFactor{}}, err
}

// renewRecoveryCodes replaces the remaining recovery codes with new ones.
func (r *request) renewRecoveryCodes(tx *keys.Tx) (*Answer, error) {
	answer := &Answer{}
	_, err := tx.ChangeUser(r.user(), func(u *keys.User) error {
		if !u.TwoFactor.Enabled {
			return refuse(CodeNotFound, "", "the second factor is not on; a POST of two_factor makes one, with its recovery codes")
		}
		answer.TwoFactor = &TwoFactor{Enabled: true, RecoveryCodes: u.TwoFactor.RenewCodes()}
		return nil
	})
	return answer, err
}
