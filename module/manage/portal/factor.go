package portal

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/boombuler/barcode/qr"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// factorPage sets up a second factor. The API answers its secrets once. The form
// carries them, so that a mistyped code keeps the set-up.
type factorPage struct {
	// URI is the secret as authenticator apps read it, and QR its drawing.
	URI     string
	QR      template.HTML
	Secret  string
	Codes   []string
	Saved   bool
	Problem *manage.Status
}

// longestURI is the longest URI that a QR code is drawn of.
const longestURI = 1000

// draw completes the page by its URI, if it has one.
func (p *factorPage) draw() (err error) {
	uri, err := url.Parse(p.URI)
	if err != nil || uri.Scheme != "otpauth" || len(p.URI) > longestURI {
		p.URI, p.Codes = "", nil
		return nil
	}
	p.Secret = uri.Query().Get("secret")
	p.QR, err = qrCode(p.URI)
	return err
}

func (v *visit) showFactor(status int, p factorPage) error {
	if err := p.draw(); err != nil {
		return err
	}
	return v.show(status, "factor", "Set up your second factor", p)
}

func (v *visit) beginFactor() error {
	a, err := v.ownChange("factor", http.MethodPost, mine("two_factor"), v.proof("password"))
	if a == nil {
		return err
	}
	return v.showOnce("/account/factor", factorSecrets{a.TwoFactor.OTPAuthURI, a.TwoFactor.RecoveryCodes})
}

// factorSecrets are the secrets of a second factor on their way to the page that
// shows them.
type factorSecrets struct {
	URI   string
	Codes []string
}

func (v *visit) setUpFactor() error {
	var s factorSecrets
	switch ok, err := v.takeOnce(&s); {
	case err != nil:
		return err
	case !ok:
		return v.secretsGone("Set up your second factor", "The secret and the recovery codes were shown once. The second factor is not on until you have entered a code. Begin again if you did not finish.")
	}
	return v.showFactor(http.StatusOK, factorPage{URI: s.URI, Codes: s.Codes})
}

// secretsGone explains that secrets of the account were shown before.
func (v *visit) secretsGone(title, text string) error {
	return v.show(http.StatusOK, "secretsgone", title, struct{ Text string }{text})
}

// qrCode draws a text for a device to scan. The drawing is part of the page, so
// that the secret is nowhere else.
func qrCode(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("drawing a QR code: %w", err)
	}
	const margin = 4 // modules; ISO/IEC 18004 requires them
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
	in := v.r.PostForm
	p := factorPage{URI: in.Get("uri"), Codes: in["recovery"], Saved: in.Get("saved") != ""}
	if !p.Saved {
		p.Problem = &manage.Status{Field: "saved", Details: "Save the recovery codes first, and confirm it here."}
		return v.showFactor(http.StatusBadRequest, p)
	}
	_, err := v.do(http.MethodPost, mine("two_factor", "enable"), map[string]string{"code": strings.TrimSpace(in.Get("code"))})
	if no, ok := problems(err); ok {
		p.Problem = no
		return v.showFactor(no.Code.HTTP(), p)
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
	return v.showOnce("/account/codes", factorSecrets{Codes: a.TwoFactor.RecoveryCodes})
}

func (v *visit) showCodes() error {
	const title = "Your new recovery codes"
	var s factorSecrets
	switch ok, err := v.takeOnce(&s); {
	case err != nil:
		return err
	case !ok:
		return v.secretsGone(title, "These recovery codes were shown once. If you did not save them, make new ones: the old ones no longer work then.")
	}
	return v.show(http.StatusOK, "codes", title, s.Codes)
}
