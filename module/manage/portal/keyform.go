package portal

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyForm is the form in which a key is made or changed, as it was filled in.
type keyForm struct {
	// App is the application of the key; without one it is a personal access
	// token. Key is the one that is changed, nil for a new one.
	App *manage.App
	Key *manage.Key

	Description string
	// Expires is one of [lives], or date, which Date says.
	Expires, Date string
	Scopes        []string
	Endpoints     []string

	Catalogue *catalogue
	Lives     []life
	// Added are scopes that were ticked along, at the review.
	Added       []addition
	May, MayNot string
	// Problem is what the API says is wrong.
	Problem *manage.Status
	Version string
}

// Has reports whether a scope is ticked.
func (f *keyForm) Has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// HasEndpoint reports whether an endpoint is ticked.
func (f *keyForm) HasEndpoint(endpoint string) bool { return slices.Contains(f.Endpoints, endpoint) }

// Others are scopes that the key has and that aren't offered, hidden ones for
// example: they stay unless they are removed.
func (f *keyForm) Others() (list []string) {
	has := f.Scopes
	if f.Key != nil {
		has = slices.Concat(has, f.Key.Scopes)
	}
	for _, s := range has {
		if _, offered := f.Catalogue.needs[s]; !offered && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// OtherEndpoints are the endpoints of which the same is true.
func (f *keyForm) OtherEndpoints() (list []string) {
	has := f.Endpoints
	if f.Key != nil {
		has = slices.Concat(has, f.Key.Endpoints)
	}
	for _, e := range has {
		if !slices.Contains(f.Catalogue.Endpoints, e) && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	return list
}

// What names the key that is made or changed.
func (f *keyForm) What() string {
	if f.App == nil {
		return "token"
	}
	return "key"
}

// Where says what the key is good for.
func (f *keyForm) Where() string {
	if f.App == nil {
		return "in all of your applications, and in those shared with you as far as that permits"
	}
	return "in the application " + nameOf(f.App)
}

func nameOf(a *manage.App) string {
	if a.Name == "" {
		return a.ID
	}
	return a.Name
}

// life is how long a key lives.
type life struct {
	Name, Label string
	is          time.Duration
}

const aDay = 24 * time.Hour

// lives are those to choose from.
var lives = []life{
	{"never", "Never", 0},
	{"7d", "In 7 days", 7 * aDay},
	{"30d", "In 30 days", 30 * aDay},
	{"90d", "In 90 days", 90 * aDay},
	{"1y", "In a year", 365 * aDay},
	{"date", "On a date", 0},
}

// The steps of a key's form: it is filled in, then read through, then done.
// Only the last changes anything.
const (
	stepForm   = "form"
	stepReview = "review"
	stepDone   = "done"
)

// keyForm begins a form for the application that the path names, if it names
// one.
func (v *visit) keyForm() (*keyForm, error) {
	c, err := v.catalogue()
	if err != nil {
		return nil, err
	}
	f := &keyForm{Catalogue: c, Lives: lives, Expires: "never"}
	if id := v.r.PathValue("app"); id != "" {
		a, err := v.get(mine("apps", id))
		if err != nil {
			return nil, err
		}
		f.App = a.App
	}
	return f, nil
}

// read takes what was filled in.
func (f *keyForm) read(in url.Values) {
	f.Description = in.Get("description")
	f.Expires, f.Date = in.Get("expires"), in.Get("date")
	f.Scopes, f.Endpoints = in["scope"], in["endpoint"]
	f.Version = in.Get("version")
	if preset := in.Get("preset"); preset != "" {
		f.Scopes = f.Catalogue.Preset(preset)
	}
}

// body is the key as the API wants it. A date that can't be read is a problem
// of the form.
func (f *keyForm) body() (map[string]any, *manage.Status) {
	key := map[string]any{"description": f.Description, "scopes": append([]string{}, f.Scopes...)}
	if len(f.Endpoints) > 0 {
		key["endpoints"] = f.Endpoints
	}
	at, wrong := f.expiry()
	if wrong != nil {
		return nil, wrong
	}
	switch {
	case !at.IsZero():
		key["expires_at"] = at.UTC().Format(time.RFC3339)
	case f.Key != nil && f.Expires == "never":
		key["expires_at"] = nil
	}
	return key, nil
}

func (f *keyForm) expiry() (at time.Time, wrong *manage.Status) {
	for _, l := range lives {
		if l.Name == f.Expires && l.is > 0 {
			return time.Now().Add(l.is).Truncate(time.Minute), nil
		}
	}
	if f.Expires != "date" {
		return at, nil
	}
	at, err := time.Parse(time.DateOnly, f.Date)
	if err != nil || !at.After(time.Now()) {
		return at, &manage.Status{Field: "expires_at", Details: "Choose a day from tomorrow on."}
	}
	return at, nil
}

// review works out what a key would have, with what its scopes need.
func (f *keyForm) review() {
	f.Added = f.Catalogue.complete(f.Scopes)
	for _, a := range f.Added {
		f.Scopes = append(f.Scopes, a.Scope)
	}
	slices.Sort(f.Scopes)
	f.May, f.MayNot = f.Catalogue.inWords(f.Scopes, f.Where())
}

// showKeyForm answers with the form, or at the review with what it would do.
func (v *visit) showKeyForm(status int, f *keyForm, page, title string) error {
	return v.show(status, page, title, f)
}

// fieldOf is the field of a form that the API's name means: scopes of
// keys[0].scopes.
func fieldOf(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return path
}

func (v *visit) newKey() error {
	f, err := v.keyForm()
	if err != nil {
		return err
	}
	f.Expires = "90d"
	if preset := v.r.URL.Query().Get("preset"); preset != "" {
		f.Scopes = f.Catalogue.Preset(preset)
	}
	return v.showKeyForm(http.StatusOK, f, "keyform", "Create a "+f.What())
}

func (v *visit) createKey() error {
	f, err := v.keyForm()
	if err != nil {
		return err
	}
	f.read(v.r.PostForm)
	title := "Create a " + f.What()
	if v.r.PostForm.Get("preset") != "" {
		return v.showKeyForm(http.StatusOK, f, "keyform", title)
	}
	key, wrong := f.body()
	if step := v.r.PostForm.Get("step"); step == stepForm || wrong != nil {
		f.Problem = wrong
		return v.showKeyForm(http.StatusOK, f, "keyform", title)
	} else if step == stepReview {
		f.review()
		return v.showKeyForm(http.StatusOK, f, "keyreview", title)
	}
	if f.App == nil {
		key["type"] = manage.TypePAT
	} else {
		key["apps"] = []any{map[string]string{"id": f.App.ID}}
	}
	a, err := v.do(http.MethodPost, mine("keys"), map[string]any{"keys": []any{key}})
	if no, ok := problems(err); ok {
		f.Problem = no
		return v.showKeyForm(no.Code.HTTP(), f, "keyform", title)
	}
	if err != nil {
		return err
	}
	return v.showSecret("Your new "+f.What(), &a.Keys[0], f.App)
}

// secretPage shows a credential, this once.
type secretPage struct {
	Key *manage.Key
	App *manage.App
	// Curl is a command that uses it.
	Curl string
	// Back leads to the list that it is in.
	Back string
	// Note says what became of the old one, of a rotation.
	Note string
}

// What names what is shown.
func (p secretPage) What() string {
	if p.App == nil {
		return "token"
	}
	return "key"
}

func (v *visit) showSecret(title string, k *manage.Key, app *manage.App) error {
	return v.show(http.StatusOK, "secret", title, v.secret(k, app))
}

func (v *visit) secret(k *manage.Key, app *manage.App) secretPage {
	p := secretPage{Key: k, App: app, Back: "/tokens"}
	path := "/myscopes"
	if app != nil {
		p.Back = "/apps/" + url.PathEscape(app.ID)
		path = "/users/" + url.PathEscape(app.UserID) + "/apps/" + url.PathEscape(app.ID) + path
	}
	p.Curl = "curl -H " + quoted("Authorization: Key "+k.ID) + " " + quoted(v.scheme()+"://"+v.r.Host+v.portal.api+path)
	return p
}

// scheme is that of the site as the browser sees it, which a proxy in front may
// hide. The cookie of the session lives where there is HTTPS, and on the
// browser's own machine: elsewhere no key is to be sent in the clear.
func (v *visit) scheme() string {
	host, _, err := net.SplitHostPort(v.r.Host)
	if err != nil {
		host = v.r.Host
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	own := host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
	if v.r.TLS == nil && own {
		return "http"
	}
	return "https"
}

// quoted is a text as a shell takes it for one word. A host can have a $ or a ;
// in it.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// problems returns the mistakes that the API found in a form. If nobody is
// signed in, or the API fails, that isn't a problem of the form.
func problems(err error) (*manage.Status, bool) {
	var no *refused
	if !errors.As(err, &no) {
		return nil, false
	}
	if no.Code == manage.CodeLoginFailed {
		return &no.Status, true
	}
	switch no.Code.HTTP() {
	case http.StatusBadRequest, http.StatusConflict, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return &no.Status, true
	}
	return nil, false
}
