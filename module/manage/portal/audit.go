package portal

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// auditPage lists changes.
type auditPage struct {
	Entries      []auditRow
	Next         string
	App, Key, By string
	Since, Until string
	Problem      *manage.Status
	Applied      bool
	// Everyone is true if the changes are those of all users, or of User.
	Everyone bool
	User     string
}

// auditRow is an entry in words.
type auditRow struct {
	manage.AuditEntry
	What, Changes string
}

// actions translates the actions of the log.
var actions = map[string]string{
	"user.create": "account created", "user.change": "account changed", "user.delete": "account deleted",
	"user.reset_link": "link made to reset the password", "user.reset_password": "password reset by a link",
	"app.create": "application created", "app.change": "application changed", "app.delete": "application deleted",
	"key.create": "key created", "key.import": "key imported", "key.change": "key changed",
	"key.rotate": "key created by a rotation", "key.revoke": "key revoked",
	"session.create": "signed in", "session.end": "session ended",
	"collaborator.add": "collaborator added", "collaborator.change": "collaborator changed", "collaborator.remove": "collaborator removed",
	"store.restore": "restored from a backup",
	"store.clock":   "clock accepted",
}

func (v *visit) showAudit() error { return v.audit(auditPage{}, mine("audit"), v.portal.call) }

// audit shows the changes that a call lists.
func (v *visit) audit(page auditPage, target string, by Call) error {
	in := v.r.URL.Query()
	page.App, page.Key, page.By, page.Since, page.Until = in.Get("app"), in.Get("key"), in.Get("by"), in.Get("since"), in.Get("until")
	query := url.Values{"per_page": {"50"}, "order": {"newest"}}
	set := func(name, value, suffix string) {
		if value != "" {
			query.Set(name, value+suffix)
			page.Applied = true
		}
	}
	if page.Everyone {
		page.User = in.Get("user")
		set("user_id", page.User, "")
	}
	set("app_id", page.App, "")
	set("key_id", page.Key, "")
	set("actor", page.By, "")
	set("since", page.Since, "T00:00:00Z")
	set("until", page.Until, "T23:59:59Z")
	if next := in.Get("after"); next != "" {
		query.Set("after", next)
	}
	a, err := v.by(by, http.MethodGet, target+"?"+query.Encode(), nil)
	if no, ok := problems(err); ok {
		page.Problem = no
		return v.show(no.Code.HTTP(), "audit", "Audit", page)
	}
	if err != nil {
		return err
	}
	for _, e := range a.Entries {
		page.Entries = append(page.Entries, auditRow{e, inWords(e.Action), changes(e)})
	}
	if a.Next != "" {
		q := v.r.URL.Query()
		q.Set("after", a.Next)
		q.Del("done")
		page.Next = "?" + q.Encode()
	}
	return v.show(http.StatusOK, "audit", "Audit", page)
}

func inWords(action string) string {
	if words, ok := actions[action]; ok {
		return words
	}
	return action
}

// changes lists the fields of a changed record, before and after.
func changes(e manage.AuditEntry) string {
	var before, after map[string]any
	// Only objects are shown.
	_ = json.Unmarshal(e.Before, &before)
	_ = json.Unmarshal(e.After, &after)
	if before == nil || after == nil {
		return ""
	}
	if after["reason"] == "revoked" {
		delete(after, "reason") // the action says so
	}
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before[name]
		is, has := after[name]
		label := strings.ReplaceAll(name, "_", " ")
		switch {
		case !has && !strings.HasSuffix(e.Action, ".change"):
			continue // the record is gone
		case !has:
			list = append(list, fmt.Sprintf("%s: %s → %s", label, said(was), unsaid(was)))
		case had:
			list = append(list, fmt.Sprintf("%s: %s → %s", label, said(was), said(is)))
		default:
			list = append(list, fmt.Sprintf("%s: %s", label, said(is)))
		}
	}
	return strings.Join(list, "; ")
}

// unsaid returns the new value, in words, of a field that was removed.
func unsaid(was any) string {
	if _, ok := was.(bool); ok {
		return "no"
	}
	return "none"
}

func said(value any) string {
	switch value := value.(type) {
	case nil:
		return "none"
	case bool:
		if value {
			return "yes"
		}
		return "no"
	case string:
		if t, err := time.Parse(time.RFC3339, value); err == nil {
			return t.UTC().Format(exactly)
		}
		return value
	case []any:
		var list []string
		for _, v := range value {
			list = append(list, fmt.Sprint(v))
		}
		return strings.Join(list, ", ")
	case map[string]any:
		var list []string
		for _, name := range slices.Sorted(maps.Keys(value)) {
			list = append(list, name+" "+said(value[name]))
		}
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(value)
}
