package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyPage is one key, with its actions.
type keyPage struct {
	Key *manage.Key
	App *manage.App // nil for a token
	// Back is the path of the list with the key.
	Back string
	// Reach is what the key can call if it is valid, and Words says it.
	Reach   *reach
	Words   string
	State   string
	Problem *manage.Status
	// Rotation is nil for a key that was never rotated.
	Rotation *rotation
	// Question asks whether the key can make a request.
	Question *question
	// Limits are those of the key, its app and its user.
	Limits *limitsView
	// Activity is what the key was used for, and History its newest changes.
	Activity *activityView
	History  []auditRow
}

// What returns the word for the key: key or token.
func (p *keyPage) What() string {
	if p.App == nil {
		return "token"
	}
	return "key"
}

// key reads the key of the path.
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
	p, err := v.keyToShow()
	if err != nil {
		return err
	}
	p.Problem = wrong
	return v.show(status, "key", titleOf(p.Key), p)
}

// keyToShow reads the key of the path, with what it can call.
func (v *visit) keyToShow() (*keyPage, error) {
	p, err := v.key()
	if err != nil {
		return nil, err
	}
	f := &keyForm{App: p.App}
	h := v.holderOf(p.App != nil, p.Key.Scopes, p.Key.Endpoints)
	h.Caller.Resources = p.Key.Resources
	p.Reach = reachOf(h, v.portal.sites())
	p.Words, p.Question = p.Reach.Words(f.Where()), &question{Method: http.MethodGet}
	if p.Rotation, err = v.rotationOf(p.Key); err != nil {
		return nil, err
	}
	if p.Limits, err = v.limitsOf(p); err != nil {
		return nil, err
	}
	if p.Activity, err = v.activityOf(p); err != nil {
		return nil, err
	}
	p.History, err = v.historyOf(p.Key)
	return p, err
}

// titleOf returns the name of a key, shortened for a heading.
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
	f.Bounds.Asked = v.r.URL.Query().Has("limits")
	return v.showKeyForm(http.StatusOK, f, "keyform", "Change "+titleOf(f.Key))
}

// editForm returns the form of an existing key, filled in with its fields.
func (v *visit) editForm() (*keyForm, *keyPage, error) {
	p, err := v.key()
	if err != nil {
		return nil, nil, err
	}
	f, err := v.boundedForm()
	if err != nil {
		return nil, nil, err
	}
	k := p.Key
	f.Key, f.App = k, p.App
	f.Catalogue.full = v.holderOf(p.App != nil, []string{all}, nil)
	f.Description, f.Scopes, f.Endpoints = k.Description, k.Scopes, k.Endpoints
	f.Version = fmt.Sprint(k.Version)
	f.Bounds.fill(k)
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
		// Without a list the key would have all endpoints. The API refuses an empty
		// list, and its answer names the remedy.
		change["endpoints"] = []string{}
	}
	if version := f.Version; version != "" {
		change["version"] = number(version)
	}
	_, err = v.do(http.MethodPatch, mine("keys"), map[string]any{"keys": []any{change}, "action": "overwrite"})
	if no, ok := problems(err); ok {
		if changedMeanwhile(no) {
			return v.keyConflict(f)
		}
		f.Problem = no
		return v.showKeyForm(no.Code.HTTP(), f, "keyform", title)
	}
	if err != nil {
		return err
	}
	return v.goTo("/keys/"+url.PathEscape(p.Key.KeyID), "key-changed")
}

// number returns a whole number from a form for JSON. It leaves another text for
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

func (v *visit) listTokens() error {
	list, err := v.keysOf(mine("keys"), func(k *manage.Key) bool { return k.Type == manage.TypePAT })
	if err != nil {
		return err
	}
	list.Action = "/tokens/revoke"
	return v.show(http.StatusOK, "tokens", "Personal access tokens", list)
}
