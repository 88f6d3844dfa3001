package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

const (
	// soon is when a key counts as expiring, and forgotten when as unused.
	soon      = 7 * 24 * time.Hour
	forgotten = 90 * 24 * time.Hour
	// maxRevoked is how many revoked keys are shown, the latest first.
	maxRevoked = 1000
)

// selection is a filter of the page of all keys.
type selection struct {
	Name, Label string
	has         func(k *manage.Key, now time.Time) bool
	// Count is how many keys it selects.
	Count int
}

// showRevoked is the name of the selection of revoked keys, which are no part of
// the list of the others.
const showRevoked = "revoked"

// selections are the filters. The first one selects all keys.
var selections = []selection{
	{Name: "", Label: "All", has: func(*manage.Key, time.Time) bool { return true }},
	{Name: "active", Label: "Active", has: inState("active")},
	{Name: "disabled", Label: "Disabled", has: inState("disabled")},
	{Name: "expired", Label: "Expired", has: inState("expired")},
	{Name: "expiring", Label: "Expiring in 7 days", has: func(k *manage.Key, now time.Time) bool { return k.ExpiresWithin(soon, now) }},
	{Name: "unused", Label: "Unused for 90 days", has: func(k *manage.Key, now time.Time) bool { return k.UnusedFor(forgotten, now) }},
	{Name: "full", Label: "Full access", has: func(k *manage.Key, _ time.Time) bool { return k.FullAccess() }},
	{Name: "never", Label: "Never expires", has: func(k *manage.Key, _ time.Time) bool { return k.ExpiresAt == nil }},
}

func inState(state string) func(*manage.Key, time.Time) bool {
	return func(k *manage.Key, now time.Time) bool { return stateOf(k, now) == state }
}

// allKeysPage lists the keys of all applications, and the tokens.
type allKeysPage struct {
	keyList
	Selections []selection
	// Show is the name of the selection.
	Show string
	// Path is the path of the page.
	Path string
}

// Revoked reports whether the page shows revoked keys, with which nothing can be
// done.
func (p *allKeysPage) Revoked() bool { return p.Show == showRevoked }

func (v *visit) listAllKeys() error {
	p, err := v.allKeys()
	if err != nil {
		return err
	}
	p.paginate(v.r.URL.Query())
	p.Action = "/keys/revoke"
	return v.show(http.StatusOK, "allkeys", "All keys", p)
}

// allKeys reads the keys that the query selects, all of them on one page.
func (v *visit) allKeys() (*allKeysPage, error) { return v.allKeysOf(v.r.URL.Query()) }

func (v *visit) allKeysOf(query url.Values) (*allKeysPage, error) {
	p := &allKeysPage{Path: "/keys"}
	return p, v.selectKeys(p, v.portal.call, mine("keys"), query)
}

// selectKeys reads the keys of a list of the API that a query selects.
func (v *visit) selectKeys(p *allKeysPage, by Call, target string, query url.Values) error {
	now, most := time.Now(), maxSearched
	p.Show, p.Selections = query.Get("show"), slices.Clone(selections)
	target += "?"
	if p.Revoked() {
		target, most = target+"state=revoked&order=newest&", maxRevoked
	}
	if err := v.read(by, &p.keyList, target, most, func(*manage.Key) bool { return true }); err != nil {
		return err
	}
	has := selections[0].has
	for i := range p.Selections {
		s := &p.Selections[i]
		for _, k := range p.Keys {
			if !p.Revoked() && s.has(&k, now) {
				s.Count++
			}
		}
		if s.Name == p.Show {
			has = s.has
		}
	}
	p.Keys = slices.DeleteFunc(p.Keys, func(k manage.Key) bool { return !has(&k, now) })
	p.search(query, now)
	return nil
}

// Link returns the query of another page of the list.
func (p *allKeysPage) Link(page int) string { return p.link(p.Show, page) }

// LinkTo returns the query of a selection, with the same search and order.
func (p *allKeysPage) LinkTo(show string) string { return p.link(show, 1) }

func (p *allKeysPage) link(show string, page int) string {
	return p.keyList.query(page, "show", show)
}

// revokeOfAll asks for confirmation to revoke the keys that were selected in the
// list of all keys, or everything that the list found, and revokes them at the
// second step.
func (v *visit) revokeOfAll() error {
	list := listQuery(v.r.PostForm.Get("list"))
	back := "/keys" + list
	ids := v.r.PostForm["key"]
	if v.lastStep() {
		if len(ids) == 0 {
			return v.goTo(back, "none-selected")
		}
		return v.revoke(ids, v.r.PostForm["maker"], back)
	}
	found := url.Values{}
	everything := v.r.URL.Query().Get("all") != ""
	if everything {
		found, _ = url.ParseQuery(strings.TrimPrefix(list, "?")) // listQuery made it
	}
	p, err := v.allKeysOf(found)
	if err != nil {
		return err
	}
	page := revokePage{Back: back, Action: "/keys/revoke", List: list}
	for _, k := range p.Keys {
		if k.RevokedAt == nil && (everything || slices.Contains(ids, k.KeyID)) {
			page.Keys = append(page.Keys, k)
		}
	}
	if len(page.Keys) == 0 {
		return v.goTo(back, "none-selected")
	}
	page.complete()
	return v.show(http.StatusOK, "revoke", page.title(), page)
}
