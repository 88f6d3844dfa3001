package portal

import (
	"net/http"
	"net/url"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// removePage asks for confirmation before a collaborator is removed, or leaves.
type removePage struct {
	App   *manage.App // nil for a user who leaves
	AppID string
	// Owner is the owner of the app that the user leaves.
	Owner string
	User  string
}

func (v *visit) askRemoveCollaborator() error {
	app, err := v.app()
	if err != nil {
		return err
	}
	c, err := v.collaborator(app.ID, v.r.PathValue("user"))
	if err != nil {
		return err
	}
	page := removePage{App: app, AppID: app.ID, User: c.User.ID}
	return v.show(http.StatusOK, "remove", "Remove "+whoIs(page.User)+"?", page)
}

func (v *visit) removeCollaborator() error {
	app := v.r.PathValue("app")
	_, err := v.do(http.MethodDelete, mine("apps", app, "collaborators"), map[string]any{"ids": []string{v.r.PostForm.Get("user")}})
	if err != nil {
		return err
	}
	return v.goTo("/apps/"+url.PathEscape(app)+"/collaborators", "collaborator-removed")
}

func (v *visit) askLeave() error {
	page := removePage{AppID: v.r.URL.Query().Get("app"), Owner: v.r.URL.Query().Get("owner")}
	return v.show(http.StatusOK, "remove", "Leave "+page.AppID+"?", page)
}

func (v *visit) leave() error {
	app := map[string]string{"id": v.r.PostForm.Get("app"), "user_id": v.r.PostForm.Get("owner")}
	if _, err := v.do(http.MethodDelete, mine("collaborations"), map[string]any{"apps": []any{app}}); err != nil {
		return err
	}
	return v.goTo("/shared", "left-app")
}
