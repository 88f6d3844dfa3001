package portal

import (
	"cmp"
	"net/http"
	"strings"

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
	if code := cmp.Or(strings.TrimSpace(v.r.PostForm.Get("recovery")), v.r.PostForm.Get("code")); code != "" {
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
