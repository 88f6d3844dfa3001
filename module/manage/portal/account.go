package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"

	"github.com/boombuler/barcode/qr"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// accountPage is the user's own account.
type accountPage struct {
	Sessions []manage.Session
	// Problem is the API's refusal of the form named Form.
	Problem *manage.Status
	Form    string
}

// Wrong returns the refusal of the form of a name, or nil.
func (p accountPage) Wrong(form string) *manage.Status {
	if p.Form != form {
		return nil
	}
	return p.Problem
}

func (v *visit) showAccount() error { return v.showAccountWith(http.StatusOK, "", nil) }

func (v *visit) showAccountWith(status int, form string, wrong *manage.Status) error {
	a, err := v.get(mine("sessions") + "?per_page=1000")
	if err != nil {
		return err
	}
	return v.show(status, "account", "Account", accountPage{Sessions: a.Sessions, Problem: wrong, Form: form})
}

// ownChange changes the account by the API. It shows a refusal at the form of that
// name, and then returns a nil answer.
func (v *visit) ownChange(form, method, target string, body any) (*manage.Answer, error) {
	a, err := v.do(method, target, body)
	if no, ok := problems(err); ok {
		return nil, v.showAccountWith(no.Code.HTTP(), form, no)
	}
	return a, err
}

// proof returns what the user must enter again before the account changes.
func (v *visit) proof(password string) map[string]string {
	body := map[string]string{password: v.r.PostForm.Get("password")}
	if code := v.r.PostForm.Get("code"); code != "" {
		body["code"] = code
	}
	return body
}

func (v *visit) changePassword() error {
	next := v.r.PostForm.Get("new")
	if next != v.r.PostForm.Get("again") {
		return v.showAccountWith(http.StatusBadRequest, "password", &manage.Status{
			Field: "again", Details: "It differs from the new password. Type both again.",
		})
	}
	body := v.proof("current_password")
	body["password"] = next
	if a, err := v.ownChange("password", http.MethodPost, mine("password"), body); a == nil {
		return err
	}
	return v.goTo("/account", "password-changed")
}

// factorPage sets up a second factor. Its secrets are shown only once.
type factorPage struct {
	QR      template.HTML
	Secret  string
	Codes   []string
	Problem *manage.Status
}

func (v *visit) beginFactor() error {
	a, err := v.ownChange("factor", http.MethodPost, mine("two_factor"), v.proof("password"))
	if a == nil {
		return err
	}
	code, err := qrCode(a.TwoFactor.OTPAuthURI)
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "factor", "Set up your second factor", factorPage{
		QR: code, Secret: a.TwoFactor.Secret, Codes: a.TwoFactor.RecoveryCodes,
	})
}

// qrCode draws a text for a device to scan. The drawing is part of the page, so
// that the secret is nowhere else.
func qrCode(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("drawing a QR code: %w", err)
	}
	const margin = 4 // modules, as ISO/IEC 18004 requires
	size := code.Bounds().Dx()
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg class="qr" data-secret role="img" aria-label="QR code with the secret" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges"><rect width="%[1]d" height="%[1]d" fill="#fff"/><path d="`, size+2*margin)
	for y := range size {
		for x := range size {
			if dark, _, _, _ := code.At(x, y).RGBA(); dark == 0 {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+margin, y+margin)
			}
		}
	}
	b.WriteString(`" fill="#000"/></svg>`)
	return template.HTML(b.String()), nil //nolint:gosec // only numbers
}

func (v *visit) enableFactor() error {
	_, err := v.do(http.MethodPost, mine("two_factor", "enable"), map[string]string{"code": v.r.PostForm.Get("code")})
	if no, ok := problems(err); ok {
		return v.show(no.Code.HTTP(), "factor", "Set up your second factor", factorPage{Problem: no})
	}
	if err != nil {
		return err
	}
	return v.goTo("/account", "factor-on")
}

func (v *visit) removeFactor() error {
	if a, err := v.ownChange("factor", http.MethodDelete, mine("two_factor"), v.proof("password")); a == nil {
		return err
	}
	return v.goTo("/account", "factor-off")
}

func (v *visit) newCodes() error {
	a, err := v.ownChange("codes", http.MethodPost, mine("two_factor", "recovery_codes"), v.proof("password"))
	if a == nil {
		return err
	}
	return v.show(http.StatusOK, "codes", "Your new recovery codes", a.TwoFactor.RecoveryCodes)
}

func (v *visit) endSessions() error {
	var body any
	if ids := v.r.PostForm["session"]; len(ids) > 0 {
		body = map[string]any{"ids": ids}
	}
	if a, err := v.ownChange("sessions", http.MethodDelete, mine("sessions"), body); a == nil {
		return err
	}
	return v.goTo("/account", "sessions-ended")
}
