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

// keyForm is the form that makes or changes a key, as filled in.
type keyForm struct {
	// App is the key's application, or nil for a personal access token. Key is the
	// key to change, or nil for a new one.
	App *manage.App
	Key *manage.Key

	Description string
	// Expires is the name of one of [lives]. Date is the date for the life date.
	Expires, Date string
	Scopes        []string
	Endpoints     []string
	// Operations are operations whose scopes are selected too. Exact limits the
	// key to the endpoints of these operations.
	Operations []string
	Exact      bool
	// Bounds are the key's limits. They are nil for a collaborator.
	Bounds *boundsForm

	Catalogue *catalogue
	Lives     []life
	// Added are scopes that the review selected too.
	Added []addition
	// Reach is what the key can call, once it is reviewed.
	Reach *reach
	// Problem is the API's refusal of the form.
	Problem *manage.Status
	Version string
	// Conflict is set if the record was changed since the form was opened.
	Conflict *conflict
}

// Has reports whether a scope is selected.
func (f *keyForm) Has(scope string) bool { return slices.Contains(f.Scopes, scope) }

// HasEndpoint reports whether an endpoint is selected.
func (f *keyForm) HasEndpoint(endpoint string) bool { return slices.Contains(f.Endpoints, endpoint) }

// Others returns the scopes that the key has but that aren't offered, such as
// hidden ones. They stay unless they are cleared.
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

// OtherEndpoints returns the endpoints that the key has but that aren't offered.
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

// What returns the word for the key: key or token.
func (f *keyForm) What() string {
	if f.App == nil {
		return "token"
	}
	return "key"
}

// Where describes where the key is valid.
func (f *keyForm) Where() string {
	if f.App == nil {
		return "in all of your applications, and in those shared with you as far as their owners permit"
	}
	return "in the application " + nameOf(f.App)
}

func nameOf(a *manage.App) string {
	if a.Name == "" {
		return a.ID
	}
	return a.Name
}

// life is a choice of how long a key lives.
type life struct {
	Name, Label string
	is          time.Duration
}

const aDay = 24 * time.Hour

// lives are the choices.
var lives = []life{
	{"never", "Never", 0},
	{"7d", "In 7 days", 7 * aDay},
	{"30d", "In 30 days", 30 * aDay},
	{"90d", "In 90 days", 90 * aDay},
	{"1y", "In a year", 365 * aDay},
	{"date", "On a date", 0},
}

// The steps of a key's form. Only the last changes anything.
const (
	stepForm   = "form"
	stepReview = "review"
	stepDone   = "done"
)

// keyForm returns an empty form for the application of the path, if any.
func (v *visit) keyForm() (*keyForm, error) {
	c, err := v.catalogue()
	if err != nil {
		return nil, err
	}
	f := &keyForm{Catalogue: c, Lives: lives, Expires: "never"}
	c.full = v.holderOf(v.r.PathValue("app") != "", []string{all}, nil)
	if id := v.r.PathValue("app"); id != "" {
		a, err := v.get(mine("apps", id))
		if err != nil {
			return nil, err
		}
		f.App = a.App
	}
	return f, nil
}

// boundedForm is keyForm with the fields for the key's limits.
func (v *visit) boundedForm() (*keyForm, error) {
	f, err := v.keyForm()
	if err != nil {
		return nil, err
	}
	f.Bounds, err = v.boundsForm()
	return f, err
}

// read reads the filled-in fields.
func (f *keyForm) read(in url.Values) {
	f.Description = in.Get("description")
	f.Expires, f.Date = in.Get("expires"), in.Get("date")
	f.Scopes, f.Endpoints = in["scope"], in["endpoint"]
	f.Version = in.Get("version")
	f.Operations, f.Exact = in["operation"], in.Get("exact") != ""
	f.chooseLevels(in)
	if f.Bounds != nil {
		f.Bounds.read(in)
	}
	if preset := in.Get("preset"); preset != "" {
		f.choosePreset(preset)
		return
	}
	f.chooseOperations()
}

// body returns the key for the API, or a problem with the form.
func (f *keyForm) body() (map[string]any, *manage.Status) {
	if f.Problem != nil {
		return nil, f.Problem
	}
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
	if wrong := f.Bounds.check(); wrong != nil {
		return nil, wrong
	}
	f.Bounds.body(key, f.Key)
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
		return at, &manage.Status{Field: "expires_at", Details: "Choose tomorrow or a later day."}
	}
	return at, nil
}

// review selects the scopes that the selected ones need, and works out what the
// key can call.
func (f *keyForm) review() {
	f.Added = f.Catalogue.complete(f.Scopes)
	for _, a := range f.Added {
		f.Scopes = append(f.Scopes, a.Scope)
	}
	slices.Sort(f.Scopes)
	f.Reach = f.Now()
}

// showKeyForm answers with the form or its review.
func (v *visit) showKeyForm(status int, f *keyForm, page, title string) error {
	return v.show(status, page, title, f)
}

// fieldOf returns the form's field for the API's name: scopes for keys[0].scopes. A
// resource may have the name of any other field, so it stays resources.model.
func fieldOf(path string) string {
	if i := strings.Index(path, "resources."); i >= 0 {
		return path[i:]
	}
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[i+1:]
	}
	return path
}

func (v *visit) newKey() error {
	f, err := v.boundedForm()
	if err != nil {
		return err
	}
	f.Expires = "90d"
	if preset := v.r.URL.Query().Get("preset"); preset != "" {
		f.choosePreset(preset)
	}
	return v.showKeyForm(http.StatusOK, f, "keyform", "Create a "+f.What())
}

func (v *visit) createKey() error {
	f, err := v.boundedForm()
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
	return v.handOver(&a.Keys[0], "Your new "+f.What(), "")
}

// scheme returns the site's scheme as the browser sees it, which a proxy may hide.
// The session's cookie works only over HTTPS and on the browser's own machine.
// Elsewhere the command must not send a key in the clear.
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

// quoted quotes a text for a shell. A host can contain $ or ;.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// problems returns the mistakes that the API found in a form. An ended session or a
// failure of the API is not a mistake in the form.
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
