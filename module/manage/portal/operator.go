package portal

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// The operator's pages are for users with the operator's role. For others they
// don't exist.

// operator makes a page one of the operator's.
func operator(serve func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if !v.user.Operator {
			return errNoPage
		}
		v.section = "operator"
		err := serve(v)
		var no *refused
		if errors.As(err, &no) && no.Code == manage.CodeNotFound && no.Field == "" {
			return errNoPage // the role was taken meanwhile
		}
		return err
	}
}

// operate calls the API as the operator.
func (v *visit) operate(method, target string, body any) (*manage.Answer, error) {
	return v.by(v.portal.operate, method, target, body)
}

// ofUser returns a path of the API below a user. Each part is one segment.
func ofUser(id string, parts ...string) string {
	target := []string{"/v2/users", url.PathEscape(id)}
	for _, part := range parts {
		target = append(target, url.PathEscape(part))
	}
	return strings.Join(target, "/")
}

// usersPage lists all users.
type usersPage struct {
	Users []manage.User
	// Standard is the plan of users without another plan. It may be empty.
	Standard string
	Next     string
	Find     string
	Problem  string
}

func (v *visit) listUsers() error {
	query := url.Values{"per_page": {"50"}}
	if after := v.r.URL.Query().Get("after"); after != "" {
		query.Set("after", after)
	}
	a, err := v.operate(http.MethodGet, "/v2/users?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	plans, err := v.plans()
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "operator", "Users", usersPage{Users: a.Users, Standard: standardPlan(plans), Next: a.Next})
}

// findUser goes to the user with an ID, or to the one who has a key.
func (v *visit) findUser() error {
	find := strings.TrimSpace(v.r.PostForm.Get("find"))
	a, err := v.operate(http.MethodGet, "/v2/keys/"+url.PathEscape(find), nil)
	if err == nil {
		return v.goTo(operatorPath(a.Key.UserID), "")
	}
	if a, err = v.operate(http.MethodGet, ofUser(find), nil); err == nil {
		return v.goTo(operatorPath(a.User.ID), "")
	}
	var no *refused
	if !errors.As(err, &no) {
		return err
	}
	page := usersPage{Find: find, Problem: "There is no user and no key with this ID."}
	if no.Code != manage.CodeNotFound {
		page.Find, page.Problem = "", "Give the ID of a user or of a key, and no whole key."
	}
	return v.show(http.StatusNotFound, "operator", "Users", page)
}

func operatorPath(user string) string { return "/operator/users/" + url.PathEscape(user) }

// userPage shows a user with their plan, apps and keys.
type userPage struct {
	Of   *manage.User
	Plan *planForm
	Apps []manage.App
	// NextApps is where the next page of apps begins.
	NextApps string
	Keys     []manage.Key
	Next     string
	// Self is true for the signed-in user, who can't suspend their own account.
	Self bool
}

func (v *visit) showUser() error {
	id := v.r.PathValue("user")
	a, err := v.operate(http.MethodGet, ofUser(id), nil)
	if err != nil {
		return err
	}
	page := userPage{Of: a.User, Self: a.User.ID == v.user.ID, Plan: &planForm{User: id}}
	v.fillPlan(page.Plan, a.User)
	if page.Plan.Plans, err = v.plans(); err != nil {
		return err
	}
	if a, err = v.listOfUser("apps", "apps"); err != nil {
		return err
	}
	page.Apps, page.NextApps = a.Apps, a.Next
	if a, err = v.listOfUser("keys", "after"); err != nil {
		return err
	}
	page.Keys, page.Next = a.Keys, a.Next
	return v.show(http.StatusOK, "operatoruser", "User "+page.Of.ID, page)
}

// listOfUser reads a list of the user in the path. The query field has the beginning
// of the page.
func (v *visit) listOfUser(list, field string) (*manage.Answer, error) {
	query := url.Values{"per_page": {"50"}}
	if after := v.r.URL.Query().Get(field); after != "" {
		query.Set("after", after)
	}
	return v.operate(http.MethodGet, ofUser(v.r.PathValue("user"), list)+"?"+query.Encode(), nil)
}

func (v *visit) suspendUser() error { return v.setSuspended(true, "user-suspended") }
func (v *visit) resumeUser() error  { return v.setSuspended(false, "user-resumed") }

func (v *visit) setSuspended(suspended bool, done string) error {
	id := v.r.PathValue("user")
	body := map[string]any{"user": map[string]any{"suspended": suspended}}
	if _, err := v.operate(http.MethodPatch, ofUser(id), body); err != nil {
		return err
	}
	return v.goTo(operatorPath(id), done)
}

// endSessionsOf signs a user out everywhere.
func (v *visit) endSessionsOf() error {
	id := v.r.PathValue("user")
	if _, err := v.operate(http.MethodDelete, ofUser(id, "sessions"), nil); err != nil {
		return err
	}
	return v.goTo(operatorPath(id), "sessions-ended")
}

// revokeOfUser asks for confirmation to revoke the selected keys of a user, and
// revokes them at the second step.
func (v *visit) revokeOfUser() error {
	id := v.r.PathValue("user")
	ids, back := v.r.PostForm["key"], operatorPath(id)
	if len(ids) == 0 {
		return v.goTo(back, "none-selected")
	}
	page := revokePage{Back: back, Action: back + "/revoke"}
	for _, key := range ids {
		a, err := v.operate(http.MethodGet, "/v2/keys/"+url.PathEscape(key), nil)
		if err != nil {
			return err
		}
		if a.Key.UserID != id {
			return errMalformed
		}
		page.Keys = append(page.Keys, *a.Key)
	}
	if !v.lastStep() {
		return v.show(http.StatusOK, "revoke", page.title(), page)
	}
	if _, err := v.operate(http.MethodDelete, "/v2/keys", map[string]any{"ids": slices.Compact(ids)}); err != nil {
		return err
	}
	return v.goTo(back, "key-revoked")
}

// listKeysOfAll lists the keys of all users, with the filters of one's own list.
func (v *visit) listKeysOfAll() error {
	p, err := v.keysOfAll()
	if err != nil {
		return err
	}
	p.paginate(v.r.URL.Query())
	return v.show(http.StatusOK, "operatorkeys", "All keys of all users", p)
}

// downloadKeysOfAll sends the keys that the list finds as CSV.
func (v *visit) downloadKeysOfAll() error {
	p, err := v.keysOfAll()
	if err != nil {
		return err
	}
	return v.sendCSV(p.Keys, "keys-of-all-users.csv")
}

// keysOfAll reads all keys of all users that the query selects, on one page.
func (v *visit) keysOfAll() (*allKeysPage, error) {
	p := &allKeysPage{Path: "/operator/keys", keyList: keyList{Everyone: true}}
	return p, v.selectKeys(p, v.portal.operate, "/v2/keys", v.r.URL.Query())
}

// operatorKeyPage shows a key of any user.
type operatorKeyPage struct {
	Key   *manage.Key
	State string
	Of    *manage.User
	// AppPlan and UserPlan are the plans of the app and the user, which limit the key
	// too. Each may be empty.
	AppPlan, UserPlan string
}

func (v *visit) showKeyOfAll() error {
	a, err := v.operate(http.MethodGet, "/v2/keys/"+url.PathEscape(v.r.PathValue("key")), nil)
	if err != nil {
		return err
	}
	page := operatorKeyPage{Key: a.Key}
	if a, err = v.operate(http.MethodGet, ofUser(page.Key.UserID), nil); err != nil {
		return err
	}
	page.Of, page.UserPlan = a.User, a.User.Plan
	page.State = page.Key.Standing(a.User.Suspended, time.Now())
	if app := page.Key.AppID(); app != "" {
		if a, err = v.operate(http.MethodGet, ofUser(page.Key.UserID, "apps", app), nil); err != nil {
			return err
		}
		page.AppPlan = a.App.Plan
	}
	if page.UserPlan == "" {
		plans, err := v.plans()
		if err != nil {
			return err
		}
		page.UserPlan = standardPlan(plans)
	}
	return v.show(http.StatusOK, "operatorkey", titleOf(page.Key), page)
}

// showWholeAudit lists the changes of all users.
func (v *visit) showWholeAudit() error {
	return v.audit(auditPage{Everyone: true}, "/v2/audit", v.portal.operate)
}
