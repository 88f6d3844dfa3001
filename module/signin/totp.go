package signin

import (
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// One-time passwords are what every authenticator app makes: SHA-1, six
// digits, 30 seconds (RFC 6238), of a secret as long as the hash (RFC 4226,
// section 4). One step to either side is for clocks that differ.
const (
	otpPeriod = 30 // seconds
	otpSecret = 20 // bytes
	otpDigits = otp.DigitsSix
	otpSkew   = 1 // steps
)

// Recovery codes have more than 112 bits, so a plain hash is enough (NIST SP
// 800-63B, section 5.1.2.2).
const (
	recoveryCodes  = 10
	recoveryBytes  = 15 // 120 bits, which base32 makes into 24 letters
	recoveryLength = recoveryBytes * 8 / 5
	recoveryGroup  = 4 // letters between two dashes
)

// TwoFactor is a user's second factor: one-time passwords by time (RFC 6238).
type TwoFactor struct {
	// Secret is shared with the user's device, in base32. It is empty if there
	// is no second factor.
	Secret string
	// Enabled is true if the factor is required. Before that, the secret waits
	// until the user proves that the device has it.
	Enabled bool
	// LastStep is the time step of the newest password that was accepted. None
	// of this step or an earlier one is accepted again (RFC 6238, section
	// 5.2).
	LastStep uint64
	// RecoveryCodes are the digests of the unused codes. Each replaces a
	// one-time password once.
	RecoveryCodes []credential.Digest
}

// NewTwoFactor makes a second factor that isn't enabled yet. It also returns
// the address from which an authenticator app reads the secret, and the
// recovery codes; both are shown once. The app displays issuer and account.
func NewTwoFactor(issuer, account string) (t TwoFactor, uri string, codes []string, err error) {
	key, err := totp.Generate(totp.GenerateOpts{
		Issuer: issuer, AccountName: account,
		Period: otpPeriod, SecretSize: otpSecret, Digits: otpDigits, Algorithm: otp.AlgorithmSHA1,
	})
	if err != nil {
		return t, "", nil, fmt.Errorf("making a second factor: %w", err)
	}
	t.Secret = key.Secret()
	codes = t.RenewCodes()
	return t, key.URL(), codes, nil
}

// RenewCodes replaces the remaining recovery codes and returns the new ones, to
// be shown once.
func (t *TwoFactor) RenewCodes() (codes []string) {
	t.RecoveryCodes = nil
	for range recoveryCodes {
		random := make([]byte, recoveryBytes)
		rand.Read(random) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
		code := strings.ToLower(base32.StdEncoding.EncodeToString(random))
		t.RecoveryCodes = append(t.RecoveryCodes, credential.DigestOf(code))
		groups := slices.Collect(slices.Chunk([]byte(code), recoveryGroup))
		shown := make([]string, len(groups))
		for i, g := range groups {
			shown[i] = string(g)
		}
		codes = append(codes, strings.Join(shown, "-"))
	}
	return codes
}

// Enable turns the second factor on, if the code shows that the user's device
// has the secret. A recovery code doesn't show that.
func (t *TwoFactor) Enable(code string, now time.Time) bool {
	if !t.AcceptPassword(code, now) {
		return false
	}
	t.Enabled = true
	return true
}

// AcceptPassword accepts a one-time password, whether or not the second factor
// is enabled. Each is accepted once: its step must be newer than that of the
// last one.
func (t *TwoFactor) AcceptPassword(code string, now time.Time) bool {
	code = plainCode(code)
	// Without a secret, anyone could compute the passwords.
	if t.Secret == "" || len(code) != otpDigits.Length() {
		return false
	}
	step := uint64(max(now.Unix(), otpPeriod*otpSkew) / otpPeriod)
	for s := step - otpSkew; s <= step+otpSkew; s++ {
		if s <= t.LastStep {
			continue
		}
		// A secret that can't be decoded matches nothing.
		if ok, err := hotp.ValidateCustom(code, s, t.Secret, hotp.ValidateOpts{Digits: otpDigits, Algorithm: otp.AlgorithmSHA1}); ok && err == nil {
			t.LastStep = s
			return true
		}
	}
	return false
}

// AcceptRecovery accepts a recovery code and removes it.
func (t *TwoFactor) AcceptRecovery(code string) bool {
	code = plainCode(code)
	if len(code) != recoveryLength {
		return false
	}
	i := slices.Index(t.RecoveryCodes, credential.DigestOf(code))
	if i < 0 {
		return false
	}
	t.RecoveryCodes = slices.Concat(t.RecoveryCodes[:i], t.RecoveryCodes[i+1:])
	return true
}

// plainCode returns a code without separators.
func plainCode(code string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "").Replace(strings.TrimSpace(code)))
}
