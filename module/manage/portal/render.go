package portal

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

//go:embed pages assets
var files embed.FS

// templates returns the pages, each with the layout. They are parsed when the
// first portal is made, because a Caddy without a portal needs none.
var templates = sync.OnceValue(func() map[string]*template.Template {
	layout := template.Must(template.New("layout").Funcs(functions).ParseFS(files, "pages/layout.html", "pages/part*.html"))
	list, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		panic(err) // only for a mistake in the pattern
	}
	all := map[string]*template.Template{}
	for _, file := range list {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "layout" || strings.HasPrefix(name, "part") {
			continue
		}
		all[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, file))
	}
	return all
})

// view is the data of a page.
type view struct {
	Base, Version string
	Brand         *Brand
	// Section is the part of the navigation that the page belongs to.
	Section string
	Title   string
	User    *manage.User
	Notice  string
	Now     time.Time
	Data    any

	visit *visit
}

// Form returns the one-time token of a form.
func (v *view) Form() string { return v.visit.portal.forms.make(v.visit.session) }

// show answers with a page.
func (v *visit) show(status int, name, title string, data any) error {
	t, ok := templates()[name]
	if !ok {
		return fmt.Errorf("there is no page %s", name)
	}
	section := v.section
	if section == "" {
		section, _, _ = strings.Cut(strings.TrimPrefix(v.r.URL.Path, v.portal.base+"/"), "/")
	}
	// Render the whole page before sending it, because half a page is useless.
	var text bytes.Buffer
	err := t.ExecuteTemplate(&text, "layout", &view{
		Base: v.portal.base, Version: version(), Brand: &v.portal.brand, Section: section, Title: title, User: v.user,
		Notice: notices[v.r.URL.Query().Get("done")], Now: time.Now(), Data: data, visit: v,
	})
	if err != nil {
		return fmt.Errorf("making the page %s: %w", name, err)
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	// An error means that the client has gone away.
	_, _ = v.w.Write(text.Bytes())
	return nil
}

// notices are the texts about a completed action, by the word in the address. So
// the address contains nothing that came from a user.
var notices = map[string]string{
	"signed-out":           "You are signed out.",
	"session-ended":        "Your session has ended, so nothing was done. Sign in again.",
	"form-kept":            "Your session has ended, so nothing was done. Sign in, and your form is there again, as you filled it in.",
	"key-changed":          "The changes are in effect.",
	"key-disabled":         "The key is disabled. It is refused until you enable it again.",
	"key-enabled":          "The key is enabled.",
	"key-revoked":          "Revoked. Requests are refused from now on.",
	"app-changed":          "The changes are in effect.",
	"app-deleted":          "The application is deleted, and its keys are refused from now on.",
	"collaborator-saved":   "The collaborator's grant is in effect.",
	"left-app":             "You have left the application. Your tokens are refused there from now on, unless it is open to everyone.",
	"collaborator-removed": "The collaborator is removed, and their live requests have ended.",
	"password-changed":     "Your password is changed, and your other sessions have ended.",
	"password-reset":       "Your password is changed, and all your sessions have ended. Sign in with the new password.",
	"factor-on":            "The second factor is on, and your other sessions have ended.",
	"factor-off":           "The second factor is off, and your other sessions have ended.",
	"sessions-ended":       "Those sessions have ended.",
	"user-suspended":       "The user is suspended. All their keys and sessions are refused from now on.",
	"user-resumed":         "The user is no longer suspended. Their keys work again.",
	"plan-changed":         "The plan is changed. It applies from now on.",
	"none-selected":        "Nothing was selected, so nothing was done.",
}

// functions are the functions for templates.
var functions = template.FuncMap{
	"time":       timeElement,
	"exact":      exactTime,
	"who":        whoIs,
	"moment":     func(at time.Time) string { return at.UTC().Format(exactly) },
	"icon":       icon,
	"field":      fieldOf,
	"join":       strings.Join,
	"short":      shortList,
	"agent":      agentName,
	"dict":       dict,
	"name":       func(k manage.Key) string { return titleOf(&k) },
	"state":      func(k manage.Key, now time.Time) string { return stateOf(&k, now) },
	"day":        dayInWords,
	"figure":     figure,
	"planlimits": func(p manage.Plan) []string { return limitsInWords(p.Limits) },
	"bounds":     boundsOf,
	"values":     func(k manage.Key) []string { return manage.ValueTexts(k.Resources) },
	"limits":     func(k manage.Key) []string { return limitsInWords(k.Limits) },
	"add":        func(a, b int) int { return a + b },
}

// exactly is the format of exact times.
const exactly = "2 January 2006, 15:04 UTC"

// timeElement shows a relative time, with the exact time as its title.
func timeElement(now time.Time, at any) template.HTML {
	t := timeOf(at)
	if t.IsZero() {
		return "never"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // times alone
		t.Format(time.RFC3339), t.Format(exactly), relative(now, t)))
}

// exactTime shows both times, because a title needs a mouse.
func exactTime(now time.Time, at any) template.HTML {
	t := timeOf(at)
	if t.IsZero() {
		return "never"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s <span class="hint">%s</span></time>`, //nolint:gosec // times alone
		t.Format(time.RFC3339), relative(now, t), t.Format(exactly)))
}

// timeOf returns a time, or the time that a pointer points to, or zero for nil.
func timeOf(at any) time.Time {
	switch at := at.(type) {
	case time.Time:
		return at.UTC()
	case *time.Time:
		if at != nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

// relative returns a time relative to now, such as "in 3 days" or "5 minutes ago".
func relative(now, t time.Time) string {
	d := now.Sub(t)
	form := "%s ago"
	if d < 0 {
		d, form = -d, "in %s"
	}
	for _, unit := range []struct {
		name string
		is   time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if n := int((d + unit.is/2) / unit.is); d >= unit.is || n > 0 && unit.name == "minute" && d >= time.Minute/2 {
			n = max(n, 1)
			name := unit.name
			if n != 1 {
				name += "s"
			}
			return fmt.Sprintf(form, fmt.Sprintf("%d %s", n, name))
		}
	}
	return "now"
}

// shortList returns the first few elements of a list, and the number of the others.
func shortList(list []string) string {
	const most = 3
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}

// dict passes several values to a part of a page.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict takes names and values")
	}
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is not a name", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}

// version changes with the assets, so browsers may cache them forever.
var version = sync.OnceValue(func() string {
	h := sha256.New()
	err := fs.WalkDir(files, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(text), text)
		return err
	})
	if err != nil {
		panic(err) // only for a mistake in the program
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
})

// asset serves a style sheet, a script or a picture.
func (p *Portal) asset(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.PathValue("name"))
	text, kind := p.brand.asset(name, r.PathValue("version"))
	if kind != "" && name == logoName {
		lockLogo(w.Header())
	}
	if kind == "" && r.PathValue("version") == version() {
		if own, err := files.ReadFile("assets/" + name); err == nil {
			text, kind = string(own), assetTypes[path.Ext(name)]
		}
	}
	if kind == "" {
		v := &visit{portal: p, w: w, r: r}
		v.refuse(http.StatusNotFound, "This file doesn't exist", "It belonged to an earlier version. Reload the page.")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = io.WriteString(w, text)
}

// assetTypes are the media types of the program's own assets.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}
