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

// Cookie is the name of the cookie that holds the session. Its prefix makes browsers insist on HTTPS, on this
// host alone, and on the path / (RFC 6265bis, section 4.1.3.2).
const Cookie = "__Host-api-keys-session"

// visit is one request for a page.
type visit struct {
	portal *Portal
	w      http.ResponseWriter
	r      *http.Request
	// session is the whole credential, and user who is signed in; both are
	// empty on pages for everyone.
	session string
	user    *manage.User
	// section is the part of the navigation that the page belongs to, where its
	// address doesn't say it.
	section string
}

// signedIn finds out who is signed in, by asking the API.
func (v *visit) signedIn() error {
	c, err := v.r.Cookie(Cookie)
	if err != nil || c.Value == "" {
		return errSignIn
	}
	v.session = c.Value
	a, err := v.get("/v2/users/me")
	var no *refused
	if errors.As(err, &no) && no.Code.HTTP() < http.StatusInternalServerError {
		// It has ended, or was idle for too long, or its user is suspended,
		// which the page of the login shows.
		return errSignIn
	}
	if err != nil {
		return err
	}
	v.user = a.User
	return nil
}

// keep gives the browser a session.
func (v *visit) keep(session string, until time.Time) {
	http.SetCookie(v.w, &http.Cookie{
		Name: Cookie, Value: session, Path: "/", Expires: until,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// forget takes the session from the browser.
func (v *visit) forget() {
	http.SetCookie(v.w, &http.Cookie{
		Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}

// refused is what the API refuses.
type refused struct{ manage.Status }

// Error is what the API says.
func (e *refused) Error() string { return e.Details }

// get asks the API, and do has it change something.
func (v *visit) get(target string) (*manage.Answer, error) {
	return v.do(http.MethodGet, target, nil)
}

func (v *visit) do(method, target string, body any) (*manage.Answer, error) {
	a, err := v.portal.call(v.r, v.session, method, target, body)
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
		// A page doesn't show it, and has no newer one to send.
		return "It has been changed since, perhaps in another tab. Open this form again and repeat your change."
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

// mine is a target of the API about the user's own things; each part is one
// segment.
func mine(parts ...string) string {
	target := []string{"/v2/users/me"}
	for _, part := range parts {
		target = append(target, url.PathEscape(part))
	}
	return strings.Join(target, "/")
}

// goTo sends the browser to a page of ours, where done names what happened:
// one of [notices].
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
		then := ""
		if v.r.Method == http.MethodGet && v.r.URL.Path != v.portal.base+"/" {
			then = "?then=" + url.QueryEscape(strings.TrimPrefix(v.r.URL.Path, v.portal.base))
		}
		http.Redirect(v.w, v.r, v.portal.base+"/signin"+then, http.StatusSeeOther)
	case errors.Is(err, errMalformed):
		v.refuse(http.StatusBadRequest, "The form can't be read", "It is too large, or was changed on its way. Go back, and send it again.")
	case errors.Is(err, errReplayed):
		v.refuse(http.StatusConflict, "This form was used already", "Nothing was done a second time. If the form was open for long, reload the page and send it again.")
	case errors.As(err, &no):
		v.refuse(no.Code.HTTP(), no.Description, no.Details)
	default:
		v.portal.failed(v.r, err)
		v.refuse(http.StatusServiceUnavailable, "This doesn't work at the moment", "Something failed on our side, and nothing was changed. Try again in a while.")
	}
}

// refuse answers with a page that says what is wrong, and what to do.
func (v *visit) refuse(status int, title, text string) {
	if err := v.show(status, "problem", title, struct{ Text string }{text}); err != nil {
		v.portal.failed(v.r, err)
		http.Error(v.w, title, status)
	}
}
