package portal

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// collaboratorsPage lists the collaborators of an application.
type collaboratorsPage struct {
	App           *manage.App
	Collaborators []manage.Collaborator
	Next          string
}

func (v *visit) app() (*manage.App, error) {
	a, err := v.get(mine("apps", v.r.PathValue("app")))
	if err != nil {
		return nil, err
	}
	return a.App, nil
}

func (v *visit) listCollaborators() error {
	app, err := v.app()
	if err != nil {
		return err
	}
	a, err := v.get(mine("apps", app.ID, "collaborators") + after(v.r))
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "collaborators", "Collaborators of "+nameOf(app), collaboratorsPage{app, a.Collaborators, a.Next})
}

// collaboratorForm is the form that adds or changes a collaborator.
type collaboratorForm struct {
	keyForm
	User string
	// Everyone is true if all users who have an account are meant, and not one.
	Everyone bool
	// Exists is true if the collaborator exists already.
	Exists bool
}

func (v *visit) collaboratorForm() (*collaboratorForm, error) {
	f, err := v.keyForm()
	if err != nil {
		return nil, err
	}
	form := &collaboratorForm{keyForm: *f, User: v.r.PathValue("user")}
	form.share(v)
	if form.User == "" {
		return form, nil
	}
	c, err := v.collaborator(form.App.ID, form.User)
	if err != nil {
		return nil, err
	}
	form.Exists = true
	form.Scopes, form.Endpoints, form.Version = c.Scopes, c.Endpoints, fmt.Sprint(c.Version)
	return form, nil
}

// collaborator finds a collaborator in the list, which is short.
func (v *visit) collaborator(app, user string) (*manage.Collaborator, error) {
	next := ""
	for {
		query := "?per_page=1000"
		if next != "" {
			query += "&after=" + url.QueryEscape(next)
		}
		a, err := v.get(mine("apps", app, "collaborators") + query)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(a.Collaborators, func(c manage.Collaborator) bool { return c.User.ID == user }); i >= 0 {
			return &a.Collaborators[i], nil
		}
		if next = a.Next; next == "" {
			return nil, &refused{manage.Status{
				Code: manage.CodeNotFound, Description: "There is no such collaborator", Details: "The collaborator was removed, or never existed.",
			}}
		}
	}
}

func (v *visit) editCollaborator() error {
	f, err := v.collaboratorForm()
	if err != nil {
		return err
	}
	if preset := v.r.URL.Query().Get("preset"); preset != "" {
		f.choosePreset(preset)
	}
	return v.showCollaboratorForm(http.StatusOK, f)
}

func (v *visit) showCollaboratorForm(status int, f *collaboratorForm) error {
	title := "Add a collaborator"
	if f.Exists {
		title = "Change what " + whoIs(f.User) + " may do"
	}
	return v.show(status, "collaborator", title, f)
}

func (v *visit) saveCollaborator() error {
	f, err := v.collaboratorForm()
	if err != nil {
		return err
	}
	had := f.Endpoints
	f.read(v.r.PostForm)
	if !f.Exists {
		f.User, f.Everyone = v.r.PostForm.Get("user"), v.r.PostForm.Get("who") == "everyone"
	}
	if !v.lastStep() || f.Problem != nil {
		return v.showCollaboratorForm(http.StatusOK, f)
	}
	user := f.User
	switch {
	case f.Everyone:
		user = everyone
	case user == "":
		f.Problem = &manage.Status{Field: "user_id", Details: "Type the ID of the user, or choose everyone."}
		return v.showCollaboratorForm(http.StatusBadRequest, f)
	}
	// Select the scopes that others need too, as the form promises.
	for _, a := range f.Catalogue.complete(f.Scopes) {
		f.Scopes = append(f.Scopes, a.Scope)
	}
	c := map[string]any{"scopes": append([]string{}, f.Scopes...)}
	body := map[string]any{"collaborators": []any{c}}
	method := http.MethodPost
	if f.Exists {
		method, body["action"] = http.MethodPatch, "overwrite"
		c["version"] = number(f.Version)
	}
	if c["user_id"] = user; len(f.Endpoints) > 0 || len(had) > 0 {
		c["endpoints"] = append([]string{}, f.Endpoints...)
	}
	_, err = v.do(method, mine("apps", f.App.ID, "collaborators"), body)
	if no, ok := problems(err); ok {
		if changedMeanwhile(no) {
			return v.collaboratorConflict(f)
		}
		f.Problem = inPortalWords(no)
		return v.showCollaboratorForm(no.Code.HTTP(), f)
	}
	if err != nil {
		return err
	}
	return v.goTo("/apps/"+url.PathEscape(f.App.ID)+"/collaborators", "collaborator-saved")
}

// inPortalWords replaces refusals that name the API's calls and values.
func inPortalWords(no *manage.Status) *manage.Status {
	if fieldOf(no.Field) == "user_id" {
		switch {
		case no.Code == manage.CodeExists:
			no.Details = "This user is a collaborator already. Change what they may do in the list of collaborators."
		case strings.Contains(no.Details, everyone): // which the page has another field for
			no.Details = "This is not the ID of a user. An ID has letters, digits, - and _."
		}
	}
	return no
}

// everyone is the API's name of all users.
const everyone = "*"

// whoIs returns the name of a collaborator for people.
func whoIs(user string) string {
	if user == everyone {
		return "everyone"
	}
	return user
}

func (v *visit) listShared() error {
	a, err := v.get(mine("collaborations") + after(v.r))
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "shared", "Shared with me", a)
}

// settingsPage changes or deletes an application.
type settingsPage struct {
	App     *manage.App
	Name    string // as typed
	Problem *manage.Status
	Form    string
	// Conflict is set if the application was changed meanwhile.
	Conflict *conflict
}

func (v *visit) showSettings() error { return v.showSettingsWith(http.StatusOK, "", nil) }

func (v *visit) showSettingsWith(status int, form string, wrong *manage.Status) error {
	app, err := v.app()
	if err != nil {
		return err
	}
	page := settingsPage{App: app, Name: app.Name, Problem: wrong, Form: form}
	if form == "name" {
		page.Name = v.r.PostForm.Get("name")
	}
	return v.show(status, "settings", "Settings of "+nameOf(app), page)
}

func (v *visit) changeApp() error {
	app := v.r.PathValue("app")
	_, err := v.do(http.MethodPatch, mine("apps", app), map[string]any{"app": map[string]any{
		"name": v.r.PostForm.Get("name"), "version": number(v.r.PostForm.Get("version")),
	}})
	if no, ok := problems(err); ok {
		if changedMeanwhile(no) {
			return v.appConflict()
		}
		return v.showSettingsWith(no.Code.HTTP(), "name", no)
	}
	if err != nil {
		return err
	}
	return v.goTo("/apps/"+url.PathEscape(app)+"/settings", "app-changed")
}

func (v *visit) deleteApp() error {
	app := v.r.PathValue("app")
	if v.r.PostForm.Get("sure") != app {
		return v.showSettingsWith(http.StatusBadRequest, "delete", &manage.Status{
			Field: "sure", Details: "It is not the ID of this application. Type the ID that is shown at the top.",
		})
	}
	if _, err := v.do(http.MethodDelete, mine("apps", app), nil); err != nil {
		return err
	}
	return v.goTo("/apps", "app-deleted")
}
