package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyPage is one key, and what can be done with it.
type keyPage struct {
	Key *manage.Key
	App *manage.App // nil of a token
	// Back leads to the list that it is in.
	Back        string
	May, MayNot string
	State       string
	Problem     *manage.Status
}

// What names the key.
func (p *keyPage) What() string {
	if p.App == nil {
		return "token"
	}
	return "key"
}

// key reads the key that the path names.
func (v *visit) key() (*keyPage, error) {
	a, err := v.get(mine("keys", v.r.PathValue("key")))
	if err != nil {
		return nil, err
	}
	p := &keyPage{Key: a.Key, Back: "/tokens", State: stateOf(a.Key, time.Now())}
	v.section = "tokens"
	if len(a.Key.Apps) > 0 {
		app, err := v.get(mine("apps", a.Key.Apps[0].ID))
		if err != nil {
			return nil, err
		}
		p.App, p.Back, v.section = app.App, "/apps/"+url.PathEscape(app.App.ID), "apps"
	}
	return p, nil
}

func (v *visit) showKey() error { return v.showKeyWith(http.StatusOK, nil) }

func (v *visit) showKeyWith(status int, wrong *manage.Status) error {
	p, err := v.key()
	if err != nil {
		return err
	}
	c, err := v.catalogue()
	if err != nil {
		return err
	}
	f := &keyForm{App: p.App}
	p.May, p.MayNot = c.inWords(p.Key.Scopes, f.Where())
	p.Problem = wrong
	return v.show(status, "key", titleOf(p.Key), p)
}

// titleOf is what a key is called, as far as it fits a heading.
func titleOf(k *manage.Key) string {
	const most = 100
	if k.Description == "" {
		return k.KeyID
	}
	if text := []rune(k.Description); len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return k.Description
}

func (v *visit) editKey() error {
	f, _, err := v.editForm()
	if err != nil {
		return err
	}
	return v.showKeyForm(http.StatusOK, f, "keyform", "Change "+titleOf(f.Key))
}

// editForm is the form of a key that there is, filled in with what it has.
func (v *visit) editForm() (*keyForm, *keyPage, error) {
	p, err := v.key()
	if err != nil {
		return nil, nil, err
	}
	f, err := v.keyForm()
	if err != nil {
		return nil, nil, err
	}
	k := p.Key
	f.Key, f.App = k, p.App
	f.Description, f.Scopes, f.Endpoints = k.Description, k.Scopes, k.Endpoints
	f.Version = fmt.Sprint(k.Version)
	if k.ExpiresAt != nil {
		f.Expires, f.Date = "keep", k.ExpiresAt.UTC().Format(time.DateOnly)
		f.Lives = slices.Concat([]life{{"keep", "As it is: " + k.ExpiresAt.UTC().Format(exactly), 0}}, lives)
	}
	return f, p, nil
}

func (v *visit) changeKey() error {
	f, p, err := v.editForm()
	if err != nil {
		return err
	}
	had := f.Endpoints
	f.read(v.r.PostForm)
	title := "Change " + titleOf(f.Key)
	if v.r.PostForm.Get("preset") != "" {
		return v.showKeyForm(http.StatusOK, f, "keyform", title)
	}
	change, wrong := f.body()
	switch step := v.r.PostForm.Get("step"); {
	case step == stepForm || wrong != nil:
		f.Problem = wrong
		return v.showKeyForm(http.StatusOK, f, "keyform", title)
	case step == stepReview:
		f.review()
		return v.showKeyForm(http.StatusOK, f, "keyreview", title)
	}
	change["id"] = p.Key.KeyID
	if len(had) > 0 && len(f.Endpoints) == 0 {
		// No list would be all endpoints: the API says so, and how to go on.
		change["endpoints"] = []string{}
	}
	if version := f.Version; version != "" {
		change["version"] = number(version)
	}
	_, err = v.do(http.MethodPatch, mine("keys"), map[string]any{"keys": []any{change}, "action": "overwrite"})
	if no, ok := problems(err); ok {
		f.Problem = no
		return v.showKeyForm(no.Code.HTTP(), f, "keyform", title)
	}
	if err != nil {
		return err
	}
	return v.goTo("/keys/"+url.PathEscape(p.Key.KeyID), "key-changed")
}

// number is a whole number of a form, in JSON's form; another text is left for
// the API to refuse.
func number(text string) any {
	var n uint64
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil {
		return text
	}
	return n
}

func (v *visit) disableKey() error { return v.switchKey(true, "key-disabled") }
func (v *visit) enableKey() error  { return v.switchKey(false, "key-enabled") }

func (v *visit) switchKey(disabled bool, done string) error {
	id := v.r.PathValue("key")
	_, err := v.do(http.MethodPatch, mine("keys"), map[string]any{"keys": []any{map[string]any{"id": id, "disabled": disabled}}})
	if no, ok := problems(err); ok {
		return v.showKeyWith(no.Code.HTTP(), no)
	}
	if err != nil {
		return err
	}
	return v.goTo("/keys/"+url.PathEscape(id), done)
}

// graces are how long the old key may go on after a rotation.
var graces = []struct{ Name, Label string }{
	{"", "Ends now"}, {"1h", "Goes on for an hour"}, {"24h", "Goes on for a day"}, {"168h", "Goes on for a week"},
}

func (v *visit) askRotate() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "rotate", "Rotate "+titleOf(p.Key), map[string]any{"Page": p, "Graces": graces})
}

func (v *visit) rotateKey() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	grace := v.r.PostForm.Get("grace")
	body := map[string]any{}
	if grace != "" {
		body["grace"] = grace
	}
	a, err := v.do(http.MethodPost, mine("keys", p.Key.KeyID, "rotate"), body)
	if no, ok := problems(err); ok {
		return v.showKeyWith(no.Code.HTTP(), no)
	}
	if err != nil {
		return err
	}
	page := v.secret(a.Key, p.App)
	page.Note = "The old " + p.What() + " is refused from now on."
	if grace != "" {
		page.Note = "The old " + p.What() + " goes on until its grace is over. Put the new one in its place by then."
	}
	return v.show(http.StatusOK, "secret", "Your new "+p.What(), page)
}

// revokePage asks whether keys are to be revoked, and says what happens then.
type revokePage struct {
	Keys   []manage.Key
	Back   string
	Action string
	// List is how the list was looked through that they were ticked in.
	List string
	// Tokens is true if personal access tokens are among them, which may have
	// made keys that can be revoked along.
	Tokens bool
}

func (v *visit) askRevoke() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	page := revokePage{
		Keys: []manage.Key{*p.Key}, Back: "/keys/" + url.PathEscape(p.Key.KeyID), Tokens: p.App == nil,
		Action: "/keys/" + url.PathEscape(p.Key.KeyID) + "/revoke",
	}
	return v.show(http.StatusOK, "revoke", page.title(), page)
}

// Many reports whether there are several.
func (p revokePage) Many() bool { return len(p.Keys) > 1 }

// title asks about them; which they are stands below.
func (p revokePage) title() string {
	what := "key"
	if p.Tokens {
		what = "token"
	}
	if p.Many() {
		return fmt.Sprintf("Revoke %d %ss?", len(p.Keys), what)
	}
	return "Revoke this " + what + "?"
}

func (v *visit) revokeKey() error {
	p, err := v.key()
	if err != nil {
		return err
	}
	return v.revoke([]string{p.Key.KeyID}, p.Back)
}

// revoke revokes keys, and those that tokens among them have made where that is
// wished: afterwards, when none can make another, and when it doesn't matter
// that one has made another of them.
func (v *visit) revoke(ids []string, back string) error {
	if _, err := v.do(http.MethodDelete, mine("keys"), map[string]any{"ids": ids}); err != nil {
		return err
	}
	if v.r.PostForm.Get("minted") != "" {
		for _, id := range ids {
			_, err := v.do(http.MethodPost, mine("keys", "revoke"), map[string]any{"minted_by": id})
			if err != nil {
				return err
			}
		}
	}
	return v.goTo(back, "key-revoked")
}

// revokeSeveral asks about those that were ticked in a list, and revokes them
// when it comes back with the answer.
func (v *visit) revokeSeveral() error {
	ids, path := v.r.PostForm["key"], "/tokens"
	if app := v.r.PathValue("app"); app != "" {
		path = "/apps/" + url.PathEscape(app)
	}
	list := looked(v.r.PostForm.Get("list"))
	back := path + list
	if len(ids) == 0 {
		return v.goTo(back, "none-chosen")
	}
	if v.lastStep() {
		return v.revoke(ids, back)
	}
	page := revokePage{Back: back, Action: path + "/revoke", List: list, Tokens: path == "/tokens"}
	for _, id := range ids {
		a, err := v.get(mine("keys", id))
		if err != nil {
			return err
		}
		page.Keys = append(page.Keys, *a.Key)
	}
	return v.show(http.StatusOK, "revoke", page.title(), page)
}

func (v *visit) listTokens() error {
	list, err := v.keysOf(mine("keys"), func(k *manage.Key) bool { return k.Type == manage.TypePAT })
	if err != nil {
		return err
	}
	list.Action = "/tokens/revoke"
	return v.show(http.StatusOK, "tokens", "Personal access tokens", list)
}
