package portal

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// signInForm is the form of the sign-in page, as filled in except for the password.
type signInForm struct {
	Email, Then string
	Problem     string
}

// home redirects to the first page, the applications.
func (v *visit) home() error { return v.goTo("/apps", "") }

func (v *visit) showSignIn() error {
	return v.show(http.StatusOK, "signin", "Sign in", signInForm{Then: ours(v.r.URL.Query().Get("then"))})
}

// ours returns then if it is a path within the portal, or an empty string. It
// checks the decoded path, because browsers resolve %2e%2e too.
func ours(then string) string {
	u, err := url.Parse(then)
	if err != nil || u.IsAbs() || u.Host != "" || u.RawQuery != "" || u.Fragment != "" || !strings.HasPrefix(then, "/") ||
		strings.ContainsRune(u.Path, '\\') || path.Clean(u.Path) != u.Path {
		return ""
	}
	return then
}

func (v *visit) signIn() error {
	in := v.r.PostForm
	f := signInForm{Email: in.Get("email"), Then: ours(in.Get("then"))}
	a, err := v.by(v.portal.signIn, http.MethodPost, "/v2/password", map[string]string{"email": f.Email, "password": in.Get("password")})
	if no, ok := errors.AsType[*refused](err); ok {
		f.Problem = no.Details
		return v.show(no.Code.HTTP(), "signin", "Sign in", f)
	}
	if err != nil {
		return err
	}
	if a.Half == "" {
		return v.begin(a, f.Then)
	}
	v.keepHalf(a.Half, *a.HalfUntil)
	target := "/signin/code"
	if f.Then != "" {
		target += "?then=" + url.QueryEscape(f.Then)
	}
	return v.goTo(target, "")
}

// begin begins the session of an answer, and goes on to a page.
func (v *visit) begin(a *manage.Answer, then string) error {
	v.keep(a.SessionToken, *a.ExpiresAt)
	if then == "" {
		then = "/apps"
	}
	return v.goTo(then, "")
}

func (v *visit) signOut() error {
	if _, err := v.do(http.MethodPost, "/v2/logout", nil); err != nil {
		return err
	}
	v.forget()
	return v.goTo("/signin", "signed-out")
}
