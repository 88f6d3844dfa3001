package portal

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// Cookie is the name of the session's cookie. Its prefix makes browsers require
// HTTPS, this host only, and the path / (RFC 6265bis, section 4.1.3.2).
const Cookie = "__Host-api-keys-session"

// visit is one request for a page.
type visit struct {
	portal *Portal
	w      http.ResponseWriter
	r      *http.Request
	// session is the whole credential, and user the signed-in user. Both are empty
	// on pages for everyone.
	session string
	user    *manage.User
	// section is the part of the navigation that the page belongs to, if its address
	// doesn't tell.
	section string
	page    page
	// first is true if this visit makes the change of its form.
	first bool
}

// signedIn looks up the signed-in user by the API.
func (v *visit) signedIn() error {
	c, err := v.r.Cookie(Cookie)
	if err != nil || c.Value == "" {
		return errSignIn
	}
	v.session = c.Value
	a, err := v.get("/v2/users/me")
	var no *refused
	if errors.As(err, &no) && no.Code.HTTP() < http.StatusInternalServerError {
		// The session has ended or was idle for too long, or its user is suspended,
		// which the sign-in page shows.
		return errSignIn
	}
	if err != nil {
		return err
	}
	v.user = a.User
	return nil
}

// keep stores a session in the browser.
func (v *visit) keep(session string, until time.Time) {
	http.SetCookie(v.w, &http.Cookie{
		Name: Cookie, Value: session, Path: "/", Expires: until,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// forget removes the session from the browser.
func (v *visit) forget() {
	http.SetCookie(v.w, &http.Cookie{
		Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// refused is a refusal by the API.
type refused struct{ manage.Status }

// Error returns the details of the refusal.
func (e *refused) Error() string { return e.Details }

// get reads from the API.
func (v *visit) get(target string) (*manage.Answer, error) {
	return v.do(http.MethodGet, target, nil)
}

// do calls the API.
func (v *visit) do(method, target string, body any) (*manage.Answer, error) {
	return v.by(v.portal.call, method, target, body)
}

// by makes a call of the API.
func (v *visit) by(call Call, method, target string, body any) (*manage.Answer, error) {
	a, err := call(v.r, v.session, method, target, body)
	if err != nil {
		return nil, err
	}
	if a.Status.Code != manage.CodeOK {
		a.Status.Details = sentence(a.Status.Details, a.Status.Field)
		return nil, &refused{a.Status}
	}
	return a, nil
}

// sentence returns the API's error text for a page: without the API's name of
// the field, because the page shows the text next to the field.
func sentence(details, field string) string {
	if fieldOf(field) == "version" {
		// Pages don't show versions, and have no newer one to send.
		return "It was changed since you opened this form, perhaps in another tab. Open the form again and repeat your change."
	}
	if field != "" {
		details = strings.TrimPrefix(details, field+": ")
	}
	first, size := utf8.DecodeRuneInString(details)
	if size == 0 {
		return ""
	}
	details = string(unicode.ToUpper(first)) + details[size:]
	if last, _ := utf8.DecodeLastRuneInString(details); !unicode.IsPunct(last) || strings.ContainsRune(`)]"'*`, last) {
		details += "."
	}
	return details
}

// mine returns a path of the API below the user. Each part is one segment.
func mine(parts ...string) string {
	target := []string{"/v2/users/me"}
	for _, part := range parts {
		target = append(target, url.PathEscape(part))
	}
	return strings.Join(target, "/")
}

// goTo redirects the browser to a page of the portal. done names one of [notices]
// for that page.
func (v *visit) goTo(path, done string) error {
	if done != "" {
		mark := "?"
		if strings.Contains(path, "?") {
			mark = "&"
		}
		path += mark + "done=" + done + "#notice"
	}
	http.Redirect(v.w, v.r, v.portal.base+path, http.StatusSeeOther)
	return nil
}

// fail answers a visit that ended with an error.
func (v *visit) fail(err error) {
	var no *refused
	switch {
	case errors.Is(err, errSignIn):
		v.forget()
		if v.keeps() {
			_ = v.signInAgain() // a redirect alone, which doesn't fail
			return
		}
		then := ""
		if v.r.Method == http.MethodGet && v.r.URL.Path != v.portal.base+"/" {
			then = "?then=" + url.QueryEscape(strings.TrimPrefix(v.r.URL.Path, v.portal.base))
		}
		http.Redirect(v.w, v.r, v.portal.base+"/signin"+then, http.StatusSeeOther)
	case errors.Is(err, errNoPage):
		v.noPage()
	case errors.Is(err, errMalformed):
		v.refuse(http.StatusBadRequest, "The form can't be read", "It is too large, or arrived damaged. Go back, and send it again.")
	case errors.Is(err, errReplayed):
		if v.keeps() && !v.portal.forms.spent(v.r.PostForm.Get("form")) {
			v.sendAgain(http.StatusConflict, "This form was open for too long", "Nothing was done. You may also have signed in again meanwhile.")
			return
		}
		v.refuse(http.StatusConflict, "This form was already used", "Nothing was done a second time. If the form was open for a long time, reload the page and send it again.")
	case errors.As(err, &no):
		if v.keeps() && no.Code.HTTP() >= http.StatusInternalServerError {
			v.sendAgain(no.Code.HTTP(), no.Description, no.Details)
			return
		}
		v.refuse(no.Code.HTTP(), no.Description, no.Details)
	default:
		v.portal.failed(v.r, err)
		if v.keeps() {
			v.sendAgain(http.StatusServiceUnavailable, "This doesn't work at the moment", "Something failed on our side. If you send the form again, check first whether it was done.")
			return
		}
		v.refuse(http.StatusServiceUnavailable, "This doesn't work at the moment", "Something failed on our side, and nothing was changed. Try again later.")
	}
}

// noPage answers for a page that doesn't exist.
func (v *visit) noPage() {
	v.refuse(http.StatusNotFound, "This page doesn't exist", "Check the address, or go to the start page.")
}

// refuse answers with a page that shows a problem and the remedy.
func (v *visit) refuse(status int, title, text string) {
	if err := v.show(status, "problem", title, struct{ Text string }{text}); err != nil {
		v.portal.failed(v.r, err)
		http.Error(v.w, title, status)
	}
}

// sendAgain answers a form that could not be handled, so that nothing typed is lost.
func (v *visit) sendAgain(status int, title, text string) {
	if err := v.again(status, title, text, v.path(), v.r.PostForm); err != nil {
		v.portal.failed(v.r, err)
		http.Error(v.w, title, status)
	}
}
