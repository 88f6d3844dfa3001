package portal

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// signInForm is the form of the sign-in page, as filled in except for the password.
type signInForm struct {
	Email, Then string
	// Code is true if the second factor is required.
	Code    bool
	Problem string
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
	body := map[string]string{"email": f.Email, "password": in.Get("password")}
	if code := strings.TrimSpace(in.Get("code")); code != "" {
		body["code"] = code
	}
	a, err := v.do(http.MethodPost, "/v2/login", body)
	if no, ok := errors.AsType[*refused](err); ok {
		f.Problem, f.Code = no.Details, no.Field == "code"
		return v.show(no.Code.HTTP(), "signin", "Sign in", f)
	}
	if err != nil {
		return err
	}
	v.keep(a.SessionToken, *a.ExpiresAt)
	if f.Then == "" {
		f.Then = "/apps"
	}
	return v.goTo(f.Then, "")
}

func (v *visit) signOut() error {
	if _, err := v.do(http.MethodPost, "/v2/logout", nil); err != nil {
		return err
	}
	v.forget()
	return v.goTo("/signin", "signed-out")
}
