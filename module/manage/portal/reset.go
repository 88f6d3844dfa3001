package portal

import (
	"net/http"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// resetPage is the form by which a user with a one-time link sets another password.
type resetPage struct {
	// Code is the code of the link, as typed, if it is right.
	Code    string
	Problem *manage.Status
}

// askReset shows the form. The code is in the fragment of the link, which browsers
// don't send: the script moves it to the form, or the user pastes it.
func (v *visit) askReset() error {
	return v.show(http.StatusOK, "reset", "Reset your password", resetPage{})
}

func (v *visit) resetPassword() error {
	in := v.r.PostForm
	p := resetPage{Code: in.Get("code")}
	if in.Get("password") != in.Get("again") {
		p.Problem = &manage.Status{Field: "again", Details: "It differs from the new password. Type both again."}
		return v.show(http.StatusBadRequest, "reset", "Reset your password", p)
	}
	_, err := v.by(v.portal.signIn, http.MethodPost, "/v2/reset", map[string]string{"code": p.Code, "password": in.Get("password")})
	if no, ok := problems(err); ok {
		p.Problem = no
		if no.Field == "code" {
			p.Code = ""
		}
		return v.show(no.Code.HTTP(), "reset", "Reset your password", p)
	}
	if err != nil {
		return err
	}
	return v.goTo("/signin", "password-reset")
}
