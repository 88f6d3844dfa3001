package portal

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// kept are the forms that arrived after their session had ended. A user who signs
// in again gets their form back. Forms hold no password and no key, because only
// those of [keeping] are kept.
type kept struct {
	mu   sync.Mutex
	byID map[string]keptForm
	// order has the IDs, the oldest first.
	order []string
}

// allKept are the kept forms of the process.
var allKept kept

const (
	// keptLife is how long a form waits for its user.
	keptLife = 30 * time.Minute
	// maxKept and maxKeptSize bound the memory that strangers can take.
	maxKept     = 200
	maxKeptSize = 16 << 10
)

// keptCookie is the name of the cookie with the ID of the form that this browser
// sent. Without it, a stranger could have a form kept for a user, and lead the user
// to it by a link.
const keptCookie = "__Secure-api-keys-kept"

// keptForm is one form as it was sent.
type keptForm struct {
	who, path string
	form      url.Values
	until     time.Time
}

// keeping are the addresses of the forms in which people type. Forms with a
// password are not among them.
var keeping = []string{
	"/apps", "/apps/{app}/new", "/apps/{app}/settings", "/apps/{app}/collaborators/new", "/apps/{app}/collaborators/of/{user}",
	"/tokens/new", "/keys/{key}/change",
}

// put keeps a form and returns its ID, or an empty string if it is too large.
func (k *kept) put(f keptForm, now time.Time) string {
	if len(f.form.Encode()) > maxKeptSize {
		return ""
	}
	random := make([]byte, 16)
	rand.Read(random) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	id := base64.RawURLEncoding.EncodeToString(random)
	f.until = now.Add(keptLife)
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.order) > 0 && (len(k.order) >= maxKept || k.byID[k.order[0]].until.Before(now)) {
		delete(k.byID, k.order[0])
		k.order = k.order[1:]
	}
	if k.byID == nil {
		k.byID = map[string]keptForm{}
	}
	k.byID[id] = f
	k.order = append(k.order, id)
	return id
}

// get returns a form of a user.
func (k *kept) get(id, who string, now time.Time) (keptForm, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.byID[id]
	return f, ok && f.who == who && now.Before(f.until)
}

// keeps reports whether the request is a form that must not be lost.
func (v *visit) keeps() bool {
	return v.r.Method == http.MethodPost && v.r.PostForm.Get("form") != "" && slices.Contains(keeping, v.page.path)
}

// signInAgain leads to the sign-in page, and from there back to the form.
func (v *visit) signInAgain() error {
	id := allKept.put(keptForm{who: v.r.PostForm.Get("sender"), path: v.path(), form: v.r.PostForm}, time.Now())
	if id == "" {
		return v.goTo("/signin", "session-ended")
	}
	http.SetCookie(v.w, &http.Cookie{
		Name: keptCookie, Value: id, Path: v.portal.base + "/kept", MaxAge: int(keptLife.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return v.goTo("/signin?then="+url.QueryEscape("/kept/"+id), "form-kept")
}

// path returns the path of the request below the portal.
func (v *visit) path() string { return strings.TrimPrefix(v.r.URL.Path, v.portal.base) }

// keptPage shows a form again that could not be handled, as it was typed.
type keptPage struct {
	Text, Action, Button string
	// Typed are the texts that people see, and Fields all fields.
	Typed, Fields []keptField
}

type keptField struct{ Name, Value string }

// keptLabels are the labels of what people type, by the field's name.
var keptLabels = map[string]string{
	"description": "Description", "id": "ID", "name": "Name", "user": "User ID", "scope": "Scopes", "endpoint": "Endpoints",
	"plan": "Plan", "rate": "Rate", "quota": "Quota", "concurrent": "Requests at the same time", "addresses": "Allowed addresses",
}

// again shows a form with everything that was typed, to be sent again. A form
// with steps is opened at its first step.
func (v *visit) again(status int, title, text, path string, form url.Values) error {
	p := keptPage{Text: text, Action: path, Button: "Send it again"}
	form = maps.Clone(form)
	delete(form, "form")
	delete(form, "sender")
	if form.Has("step") || form.Has("preset") || form.Has("scope") {
		form.Set("step", stepForm)
		delete(form, "preset")
		p.Button = "Back to the form"
	}
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, value := range form[name] {
			p.Fields = append(p.Fields, keptField{name, value})
		}
		if label, text := keptLabels[name], shortList(form[name]); label != "" && text != "" {
			p.Typed = append(p.Typed, keptField{label, text})
		}
	}
	return v.show(status, "kept", title, p)
}

// showKept gives a user a form back after signing in.
func (v *visit) showKept() error {
	id := v.r.PathValue("id")
	f, ok := allKept.get(id, v.user.ID, time.Now())
	if c, err := v.r.Cookie(keptCookie); !ok || err != nil || c.Value != id {
		return v.show(http.StatusNotFound, "problem", "This form is no longer kept", struct{ Text string }{
			"Forms are kept for half an hour, for the user who filled them in. Nothing was done.",
		})
	}
	return v.again(http.StatusOK, "Your form is still here", "Nothing was done yet, because your session had ended.", f.path, f.form)
}
