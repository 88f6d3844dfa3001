package portal

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// A browser drops the answer to a form when the user sends the form again, for example
// by a double click. So the form is handled once, and the second answer leads to the
// same page as the first.

// ending is the answer that led from a form to the next page.
type ending struct {
	Location string
	Cookies  []string
}

// longestForm is how long a form may take to be handled, even if the browser has
// dropped the request.
const longestForm = time.Minute

// onceForm is a form that must be handled once.
type onceForm struct {
	id formID
	// secret is known to the sender alone. It encrypts the ending, which may
	// contain cookies.
	secret  []byte
	content [sha256.Size]byte
	life    time.Duration
}

// onceForm returns the form of this request, if it must be handled once.
func (v *visit) onceForm() (*onceForm, bool) {
	pg := v.page
	if v.r.Method != http.MethodPost || pg.steps && !v.lastStep() || pg.open && !pg.once {
		return nil, false
	}
	content := strings.Join([]string{v.r.URL.Path, v.r.URL.RawQuery, v.r.PostForm.Encode()}, "\x00")
	f := &onceForm{content: sha256.Sum256([]byte(content)), life: formLife}
	if pg.open {
		// There is no session, and so no token. The code in the form works once, so
		// only the same form at the same time leads to the same page.
		f.secret, f.life = mac(v.half(), "form", content), 0
		f.id = formID(mac(string(f.secret), "id", ""))
		return f, true
	}
	token := v.r.PostForm.Get("form")
	if c, err := v.r.Cookie(Cookie); err == nil {
		v.session = c.Value
	}
	id, ok := v.portal.forms.check(v.session, token)
	f.id, f.secret = id, mac(v.session, "form", token)
	return f, ok
}

// handleOnce handles a form. If the form was sent before, handleOnce repeats the
// answer.
func (v *visit) handleOnce(f *onceForm) error {
	for {
		s, first := v.portal.forms.begin(f.id, f.content, f.life)
		if first {
			return v.handleFirst(f, s)
		}
		if s.content != f.content {
			return v.handle() // which refuses the token
		}
		select {
		case <-s.done:
		case <-v.r.Context().Done():
			return nil // nobody waits for the answer
		}
		if !s.free {
			return v.repeat(f, s)
		}
	}
}

// handleFirst handles a form that was not sent before, whether or not the browser
// waits for the answer.
func (v *visit) handleFirst(f *onceForm, s *submission) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), longestForm)
	defer cancel()
	v.r, v.first = v.r.WithContext(ctx), true
	header := v.w.Header()
	earlier := len(header["Set-Cookie"])
	err = errUnfinished // for a panic
	defer func() {
		s.failure = v.unclear(err)
		if to := header.Get("Location"); err == nil && to != "" {
			s.ending = f.seal(ending{to, header["Set-Cookie"][earlier:]})
		}
		if len(s.ending) > maxEnding {
			s.ending, s.failure = nil, errReplayed
		}
		s.free = s.ending == nil && s.failure == nil
		user := ""
		if v.user != nil {
			user = v.user.ID
		}
		v.portal.forms.end(f.id, s, user)
	}()
	return v.handle()
}

// unclear returns the error if the error leaves unclear whether the form made its
// change. Without a signed-in user nothing was tried, or the form makes its change at
// most once by itself.
func (v *visit) unclear(err error) error {
	var no *refused
	switch {
	case v.user == nil, errors.Is(err, errMalformed), errors.Is(err, errNoPage),
		errors.As(err, &no) && no.Code.HTTP() < http.StatusInternalServerError:
		return nil
	}
	return err
}

// repeat answers a form that was sent again. If the page of the first answer shows a
// secret, the page can show the secret again. A session that has ended meanwhile gets
// no cookies and no secret, and the next page asks the user to sign in.
func (v *visit) repeat(f *onceForm, s *submission) error {
	ended := false
	if !v.page.open {
		err := v.signedIn()
		if ended = errors.Is(err, errSignIn); err != nil && !ended {
			return err
		}
	}
	if s.failure != nil {
		return s.failure
	}
	e, err := f.open(s.ending)
	if err != nil {
		return err
	}
	if ended {
		v.forget()
	} else {
		for _, cookie := range e.Cookies {
			v.w.Header().Add("Set-Cookie", cookie)
		}
		allOnce.again(holder{session: v.session}, strings.TrimPrefix(e.Location, v.portal.base), time.Now())
	}
	http.Redirect(v.w, v.r, e.Location, http.StatusSeeOther)
	return nil
}

func (f *onceForm) seal(e ending) []byte {
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // only for a type that JSON can't encode
	}
	return cipherOf(f.secret).Seal(nil, nil, text, f.id[:]) //nolint:gosec // the cipher makes a nonce itself
}

func (f *onceForm) open(sealed []byte) (e ending, err error) {
	text, err := cipherOf(f.secret).Open(nil, nil, sealed, f.id[:])
	if err != nil {
		return e, err
	}
	return e, json.Unmarshal(text, &e)
}
