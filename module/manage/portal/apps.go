package portal

import (
	"net/http"
	"net/url"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// appsPage lists the applications, with the form for a new one.
type appsPage struct {
	Apps       []manage.App
	Next, Name string
	ID         string
	// Problem is the API's refusal of the form.
	Problem *manage.Status
}

func (v *visit) listApps() error { return v.showApps(http.StatusOK, appsPage{}) }

func (v *visit) showApps(status int, page appsPage) error {
	a, err := v.get(mine("apps") + after(v.r))
	if err != nil {
		return err
	}
	page.Apps, page.Next = a.Apps, a.Next
	return v.show(status, "apps", "Applications", page)
}

// after returns the API's query for the requested page of a list.
func after(r *http.Request) string {
	if next := r.URL.Query().Get("after"); next != "" {
		return "?after=" + url.QueryEscape(next)
	}
	return ""
}

func (v *visit) createApp() error {
	name, id := v.r.PostForm.Get("name"), v.r.PostForm.Get("id")
	app := map[string]string{"name": name}
	if id != "" {
		app["id"] = id
	}
	a, err := v.do(http.MethodPost, mine("apps"), map[string]any{"apps": []any{app}})
	if no, ok := problems(err); ok {
		return v.showApps(no.Code.HTTP(), appsPage{Name: name, ID: id, Problem: no})
	}
	if err != nil {
		return err
	}
	return v.handOver(&a.Keys[0], "Application created", "It comes with its first key, which may do everything there.")
}

// appPage is one application, with its keys.
type appPage struct {
	App  *manage.App
	List keyList
}

func (v *visit) showApp() error {
	id := v.r.PathValue("app")
	a, err := v.get(mine("apps", id))
	if err != nil {
		return err
	}
	page := appPage{App: a.App}
	page.List, err = v.keysOf(mine("apps", id, "keys"), func(*manage.Key) bool { return true })
	if err != nil {
		return err
	}
	page.List.Action = "/apps/" + url.PathEscape(id) + "/revoke"
	return v.show(http.StatusOK, "app", nameOf(a.App), page)
}
