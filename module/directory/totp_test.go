package directory_test

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

func codeAt(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	code, err := totp.GenerateCode(secret, at)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func newTwoFactor(t *testing.T) (signin.TwoFactor, []string) {
	t.Helper()
	made, _, codes, err := signin.NewTwoFactor("api.example.com", "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	return made, codes
}

func TestNewTwoFactor(t *testing.T) {
	made, uri, codes, err := signin.NewTwoFactor("api.example.com", "alice@example.com")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(made.Secret)
	if err != nil || len(secret) != 20 {
		t.Errorf("the secret has %d bytes, %v", len(secret), err)
	}
	if made.Enabled || made.LastStep != 0 {
		t.Errorf("made %+v, want one that waits", made)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/api.example.com:alice@example.com" {
		t.Errorf("the address is %s (%v)", uri, err)
	}
	want := url.Values{"secret": {made.Secret}, "issuer": {"api.example.com"}, "period": {"30"}, "digits": {"6"}, "algorithm": {"SHA1"}}
	if u.Query().Encode() != want.Encode() {
		t.Errorf("the address has %v, want %v", u.Query(), want)
	}
	if len(codes) != 10 || len(made.RecoveryCodes) != 10 {
		t.Fatalf("%d codes, %d digests", len(codes), len(made.RecoveryCodes))
	}
	form := regexp.MustCompile(`^([a-z2-7]{4}-){5}[a-z2-7]{4}$`)
	seen := map[string]bool{}
	for i, code := range codes {
		if !form.MatchString(code) || seen[code] {
			t.Errorf("code %s", code)
		}
		seen[code] = true
		if made.RecoveryCodes[i] != credential.DigestOf(strings.ReplaceAll(code, "-", "")) {
			t.Errorf("what is stored of code %d is not its digest", i)
		}
	}
	again, _ := newTwoFactor(t)
	if again.Secret == made.Secret || again.RecoveryCodes[0] == made.RecoveryCodes[0] {
		t.Error("two second factors are the same")
	}
}

// noon is the beginning of a step.
var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func TestEnable(t *testing.T) {
	made, codes := newTwoFactor(t)
	for _, c := range []struct {
		name, code string
		right      bool
	}{
		{"now", codeAt(t, made.Secret, noon), true},
		{"in two parts", codeAt(t, made.Secret, noon)[:3] + " " + codeAt(t, made.Secret, noon)[3:], true},
		{"clock 30 s behind", codeAt(t, made.Secret, noon.Add(-time.Second)), true},
		{"clock 30 s ahead", codeAt(t, made.Secret, noon.Add(30*time.Second)), true},
		{"clock a minute behind", codeAt(t, made.Secret, noon.Add(-31*time.Second)), false},
		{"clock a minute ahead", codeAt(t, made.Secret, noon.Add(60*time.Second)), false},
		{"empty", "", false},
		{"five digits", codeAt(t, made.Secret, noon)[:5], false},
		{"seven digits", "0" + codeAt(t, made.Secret, noon), false},
		{"a recovery code", codes[0], false},
	} {
		t.Run(c.name, func(t *testing.T) {
			factor := made
			if factor.Enable(c.code, noon) != c.right || factor.Enabled != c.right {
				t.Errorf("enabled: %v, want %v", factor.Enabled, c.right)
			}
			if len(factor.RecoveryCodes) != 10 {
				t.Errorf("%d recovery codes are left", len(factor.RecoveryCodes))
			}
		})
	}
	for name, secret := range map[string]string{"empty": "", "damaged": "no base32!"} {
		factor := signin.TwoFactor{Secret: secret}
		if factor.Enable(codeAt(t, "", noon), noon) || factor.Enable("000000", noon) {
			t.Errorf("%s secret: a code is right", name)
		}
	}
}

// withTwoFactor gives alice a second factor that is on.
func withTwoFactor(t *testing.T, d *directory.Directory) (signin.TwoFactor, []string) {
	t.Helper()
	factor, codes := newTwoFactor(t)
	factor.Enabled = true
	update(t, d, func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.TwoFactor = factor
			return nil
		})
		return err
	})
	return factor, codes
}

func readUser(t *testing.T, d *directory.Directory) (u keys.User) {
	t.Helper()
	err := d.View(t.Context(), func(r keys.Reader) (err error) {
		u, err = r.User("alice")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// accepted makes a change with a code, 50 times at once, and returns how often
// it was accepted.
func acceptedAtOnce(t *testing.T, d *directory.Directory, code string) int {
	t.Helper()
	var wg sync.WaitGroup
	var accepted atomic.Int32
	start := make(chan struct{})
	errWrong := errors.New("wrong code")
	for range 50 {
		wg.Go(func() {
			<-start
			err := d.Update(t.Context(), operator, func(tx *keys.Tx) error {
				ok, err := tx.AcceptCode("alice", code)
				if err == nil && !ok {
					return errWrong
				}
				return err
			})
			if err == nil {
				accepted.Add(1)
			} else if !errors.Is(err, errWrong) {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	return int(accepted.Load())
}

func TestCodeIsAcceptedOnce(t *testing.T) {
	d, _, _ := newDirectory(t)
	factor, codes := withTwoFactor(t, d)
	before := readUser(t, d)
	// Of the next step, so that it is still good should one end now.
	code := codeAt(t, factor.Secret, d.Now().Add(30*time.Second))
	if n := acceptedAtOnce(t, d, code); n != 1 {
		t.Errorf("a one-time password was accepted %d times", n)
	}
	u := readUser(t, d)
	if u.TwoFactor.LastStep == 0 || u.Version != before.Version || len(u.TwoFactor.RecoveryCodes) != 10 {
		t.Errorf("afterwards the user is %+v", u)
	}
	if n := acceptedAtOnce(t, d, codeAt(t, factor.Secret, d.Now().Add(-30*time.Second))); n != 0 {
		t.Errorf("that of an earlier step was accepted %d times", n)
	}
	for i, written := range []string{
		codes[3],
		strings.ToUpper(codes[4]),
		strings.ReplaceAll(codes[5], "-", ""),
		" " + strings.ReplaceAll(codes[6], "-", " ") + "\n",
	} {
		if n := acceptedAtOnce(t, d, written); n != 1 {
			t.Errorf("recovery code %q was accepted %d times", written, n)
		}
		if n := len(readUser(t, d).TwoFactor.RecoveryCodes); n != 9-i {
			t.Errorf("%d recovery codes are left, want %d", n, 9-i)
		}
	}
	if n := acceptedAtOnce(t, d, "aaaa-bbbb-cccc-dddd-eeee-ffff"); n != 0 {
		t.Errorf("one that there never was, %d times", n)
	}
	// The log shows that one was used, and not which.
	var used int
	err := d.View(t.Context(), func(r keys.Reader) error {
		for e, err := range r.AuditEntries("alice", 0) {
			if err != nil {
				return err
			}
			if strings.Contains(string(e.After), "recovery_codes_left") {
				used++
			}
			if text := fmt.Sprintf("%s%s", e.Before, e.After); strings.Contains(text, factor.Secret) || strings.Contains(text, codes[3][:4]) {
				t.Errorf("the audit log has %s", text)
			}
		}
		return nil
	})
	if err != nil || used != 4 {
		t.Errorf("the audit log has %d uses, %v", used, err)
	}
}

func TestCodeOfSecondFactorThatIsOff(t *testing.T) {
	d, _, _ := newDirectory(t)
	factor, codes := newTwoFactor(t)
	update(t, d, func(tx *keys.Tx) error {
		_, err := tx.ChangeUser("alice", func(u *keys.User) error {
			u.TwoFactor = factor
			return nil
		})
		return err
	})
	for _, code := range []string{codes[0], codeAt(t, factor.Secret, d.Now())} {
		if n := acceptedAtOnce(t, d, code); n != 0 {
			t.Errorf("a code of a second factor that waits was accepted %d times", n)
		}
	}
	err := d.Update(t.Context(), operator, func(tx *keys.Tx) error {
		_, err := tx.AcceptCode("nobody", codes[0])
		return err
	})
	if !errors.Is(err, keys.ErrNotFound) {
		t.Errorf("of a user that isn't there: %v", err)
	}
}
