package portal

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// halfCookie is the name of the cookie that proves that a user has entered the
// password, until the code of the second factor follows. Its path is that of the
// sign-in pages, so nothing behind the gate gets it.
const halfCookie = "__Secure-api-keys-half"

// codeForm is the form of the page that asks for the code of the second factor.
type codeForm struct {
	Then string
	// Recovery is true if a recovery code was sent.
	Recovery bool
	Problem  *manage.Status
}

// askCode asks for the code of the second factor. A user who hasn't entered the
// password is asked for that first.
func (v *visit) askCode() error {
	if v.half() == "" {
		return v.goTo("/signin", "")
	}
	return v.show(http.StatusOK, "signincode", "Enter your code", codeForm{Then: ours(v.r.URL.Query().Get("then"))})
}

func (v *visit) signInByCode() error {
	f := codeForm{Then: ours(v.r.PostForm.Get("then")), Recovery: v.r.PostForm.Get("recovery") != ""}
	if v.half() == "" {
		return v.beginAgain(f.Then)
	}
	a, err := v.by(v.portal.signIn, http.MethodPost, "/v2/code", map[string]string{"half": v.half(), "code": v.r.PostForm.Get("code")})
	if no, ok := errors.AsType[*refused](err); ok {
		if no.Field == "half" {
			v.keepHalf("", time.Time{})
			return v.beginAgain(f.Then)
		}
		f.Problem = &no.Status
		return v.show(no.Code.HTTP(), "signincode", "Enter your code", f)
	}
	if err != nil {
		return err
	}
	v.keepHalf("", time.Time{})
	return v.begin(a, f.Then)
}

// beginAgain asks for the password, because it was entered too long ago.
func (v *visit) beginAgain(then string) error {
	return v.show(http.StatusUnauthorized, "signin", "Sign in", signInForm{
		Then: then, Problem: "It took too long, or your account was changed. Begin again with your password.",
	})
}

// half returns the proof that this browser sent the right password.
func (v *visit) half() string {
	c, err := v.r.Cookie(halfCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// keepHalf stores the proof of the password in the browser; an empty proof
// removes it.
func (v *visit) keepHalf(half string, until time.Time) {
	c := &http.Cookie{
		Name: halfCookie, Value: half, Path: v.portal.base + "/signin", Expires: until,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
	if half == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}
