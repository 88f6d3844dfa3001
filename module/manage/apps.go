package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// App is an app in the API's form.
type App struct {
	ID         string    `json:"id"`
	UserID     string    `json:"user_id"`
	Name       string    `json:"name"`
	Plan       string    `json:"plan,omitempty"` // limits all keys of the app together
	CreatedAt  time.Time `json:"created_at"`
	ModifiedAt time.Time `json:"modified_at"`
	Version    uint64    `json:"version"` // as a key's
}

func showApp(a keys.App) App {
	return App{
		ID: a.AppID, UserID: a.OwnerID, Name: a.Name, Plan: a.Plan,
		CreatedAt: a.CreatedAt.UTC(), ModifiedAt: a.ModifiedAt.UTC(), Version: a.Version,
	}
}

// findApp reads the app that the path names.
func (r *request) findApp(from keys.Reader) (keys.App, error) {
	if _, err := r.findUser(from); err != nil {
		return keys.App{}, err
	}
	a, err := from.App(r.app())
	if errors.Is(err, keys.ErrNotFound) {
		return a, refuse(CodeNotFound, "app_id", "this user has no such app")
	}
	return a, err
}

func (r *request) getApp(from keys.Reader) (*Answer, error) {
	a, err := r.findApp(from)
	return &Answer{App: new(showApp(a))}, err
}

func (r *request) listApps(from keys.Reader, p page) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	found, next, err := take(from.Apps(r.user(), p.after), p, func(a keys.App) uint64 { return a.Seq }, everyOne)
	return &Answer{Apps: show(found, showApp), Next: next}, err
}

// appFields are the fields of an app that a request sets. A nil field stays
// unchanged.
type appFields struct {
	path, id string
	userID   *string
	name     *string
	plan     *string
	version  *uint64
}

func readApp(o *object) appFields {
	f := appFields{path: o.path}
	o.text("id", &f.id)
	f.userID = given(o.text, "user_id")
	f.name = given(o.text, "name")
	f.plan = given(o.text, "plan")
	f.version = given(o.number, "version")
	for _, name := range ignoredOfApps {
		delete(o.fields, name)
	}
	return f
}

// ignoredOfApps are fields that programs for Clarifai's service send. They concern
// the upstream, such as the default model, and grant nothing, so they are ignored
// rather than refused.
var ignoredOfApps = []string{"default_workflow_id", "default_workflow", "default_language_id", "default_language"}

// ownedBy refuses an owner who isn't the user of the path. element is the path of
// the app in the body.
func (r *request) ownedBy(owner *string, element string) error {
	switch {
	case owner == nil, *owner == r.user(), *owner == policy.Me && r.user() == r.caller.UserID:
		return nil
	}
	return refuse(CodeInvalid, join(element, "user_id"), "it is not the user of the path, who has to own the app")
}

// createApps makes apps, each with a first key that grants everything there that
// the caller may grant.
func (r *request) createApps(tx *keys.Tx, list []appFields) (*Answer, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	answer := &Answer{}
	for _, f := range list {
		if err := r.ownedBy(f.userID, f.path); err != nil {
			return nil, err
		}
		a := keys.App{AppRef: keys.AppRef{OwnerID: r.user(), AppID: f.id}}
		if a.AppID == "" {
			a.AppID = newID()
		}
		if err := r.givenPlan(f.path, f.plan, ""); err != nil {
			return nil, err
		}
		set(&a.Name, f.name)
		set(&a.Plan, f.plan)
		a, err := tx.CreateApp(a)
		if err != nil {
			return nil, locate(f.path, err)
		}
		c := keys.Credential{
			Kind: policy.AppKey, UserID: a.OwnerID, AppID: a.AppID,
			Description: "Created with the app",
		}
		r.grantAll(&c)
		key, _, err := r.mint(tx, c)
		if err != nil {
			return nil, locate(f.path, err)
		}
		answer.Apps = append(answer.Apps, showApp(a))
		answer.Keys = append(answer.Keys, key)
	}
	return answer, nil
}

func readAppChange(o *object) appFields { return readOne(o, "app", readApp) }

// checkAppChange refuses an owner or ID that differs from the path.
func (r *request) checkAppChange(f *appFields) error {
	if err := r.ownedBy(f.userID, f.path); err != nil {
		return err
	}
	if f.id != "" && f.id != r.app().AppID {
		return refuse(CodeInvalid, join(f.path, "id"), "it is not the ID in the path, and an ID never changes")
	}
	return nil
}

func (r *request) changeApp(tx *keys.Tx, f appFields) (*Answer, error) {
	if _, err := r.findApp(tx); err != nil {
		return nil, err
	}
	a, err := tx.ChangeApp(r.app(), func(a *keys.App) error {
		if err := r.givenPlan(f.path, f.plan, a.Plan); err != nil {
			return err
		}
		set(&a.Name, f.name)
		set(&a.Plan, f.plan)
		return sameVersion(f.path, f.version, a.Version)
	})
	return &Answer{App: new(showApp(a))}, locate(f.path, err)
}

func (r *request) deleteApp(tx *keys.Tx) (*Answer, error) {
	if _, err := r.findApp(tx); err != nil {
		return nil, err
	}
	return &Answer{}, tx.DeleteApp(r.app())
}
