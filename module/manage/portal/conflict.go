package portal

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// conflict is how a form differs from its record, which was changed since the form
// was opened.
type conflict struct {
	Differences []difference
	// Theirs is the path of the page with what is saved.
	Theirs string
}

// difference is one field of which the form and the record have other values.
type difference struct {
	Field        string
	Yours, Saved side
}

// side is a value: of a list, the elements that only this side has.
type side struct {
	Text string
	Only []string
}

// changedMeanwhile reports whether the API refused a form because of its version.
func changedMeanwhile(no *manage.Status) bool {
	return no.Code == manage.CodeConflict && fieldOf(no.Field) == "version"
}

func (c *conflict) text(field, yours, saved string) {
	if yours != saved {
		c.Differences = append(c.Differences, difference{field, side{Text: orNone(yours)}, side{Text: orNone(saved)}})
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// list compares two lists whose order doesn't matter. empty is the word for a list
// without elements.
func (c *conflict) list(field, empty string, yours, saved []string) {
	mine, theirs := only(yours, saved), only(saved, yours)
	if len(mine)+len(theirs) == 0 && (len(yours) == 0) == (len(saved) == 0) {
		return
	}
	word := func(list []string) string {
		if len(list) == 0 {
			return empty
		}
		return "nothing else"
	}
	c.Differences = append(c.Differences, difference{field, side{word(yours), mine}, side{word(saved), theirs}})
}

// only returns the elements of a list that another list lacks.
func only(list, other []string) (some []string) {
	for _, s := range list {
		if !slices.Contains(other, s) {
			some = append(some, s)
		}
	}
	slices.Sort(some)
	return some
}

// keyConflict shows the form of a key again, with what differs from the key as it
// is saved now. Sending the form again saves it over that.
func (v *visit) keyConflict(f *keyForm) error {
	now, p, err := v.editForm()
	if err != nil {
		return err
	}
	c := &conflict{Theirs: "/keys/" + url.PathEscape(p.Key.KeyID)}
	c.text("Description", f.Description, now.Description)
	if f.Expires != "keep" {
		yours, _ := f.expiry() // it was checked before it was sent
		c.text("Expires", expiryText(yours), expiryText(timeOf(p.Key.ExpiresAt)))
	}
	c.list("Scopes", "none", f.Scopes, now.Scopes)
	c.list("Endpoints", "all", f.Endpoints, now.Endpoints)
	f.Bounds.conflicts(c, now.Bounds)
	f.Conflict, f.Version, f.Key, f.Lives = c, now.Version, now.Key, now.Lives
	if f.Expires == "keep" {
		f.Expires, f.Date = now.Expires, now.Date
	}
	return v.showKeyForm(http.StatusConflict, f, "keyform", "Change "+titleOf(f.Key))
}

// collaboratorConflict is keyConflict for a collaborator.
func (v *visit) collaboratorConflict(f *collaboratorForm) error {
	now, err := v.collaboratorForm()
	if err != nil {
		return err
	}
	c := &conflict{Theirs: "/apps/" + url.PathEscape(f.App.ID) + "/collaborators/of/" + url.PathEscape(f.User)}
	c.list("Scopes", "none", f.Scopes, now.Scopes)
	c.list("Endpoints", "all", f.Endpoints, now.Endpoints)
	f.Conflict, f.Version = c, now.Version
	return v.showCollaboratorForm(http.StatusConflict, f)
}

// appConflict is keyConflict for the name of an application.
func (v *visit) appConflict() error {
	app, err := v.app()
	if err != nil {
		return err
	}
	page := settingsPage{App: app, Name: v.r.PostForm.Get("name"), Form: "name", Conflict: &conflict{Theirs: "/apps/" + url.PathEscape(app.ID) + "/settings"}}
	page.Conflict.text("Name", page.Name, app.Name)
	return v.show(http.StatusConflict, "settings", "Settings of "+nameOf(app), page)
}

func expiryText(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Format(exactly)
}
