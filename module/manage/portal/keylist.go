package portal

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyList is one page of a searched, filtered and sorted list of keys.
type keyList struct {
	Keys []manage.Key
	// Total is the number of keys, and Found how many of them match.
	Total, Found int
	// More is true if there are more keys than were searched.
	More bool

	// Everyone is true if the keys are those of all users.
	Everyone bool

	Query, State, Sort string
	Page, Pages        int
	// Action is the target of the form that changes several keys.
	Action string
	Now    time.Time
}

const (
	// maxSearched is how many keys are searched. The API lists the others.
	maxSearched = 10_000
	perPage     = 50
)

// The orders of a list. The first is the default.
var sorts = []struct{ Name, Label string }{
	{"created", "Newest first"},
	{"used", "Last used first"},
	{"expires", "First to expire"},
	{"name", "By name"},
}

// The states of a key.
var states = []struct{ Name, Label string }{
	{"active", "Active"}, {"disabled", "Disabled"}, {"expired", "Expired"},
}

// Sorts returns the orders.
func (keyList) Sorts() []struct{ Name, Label string } { return sorts }

// States returns the filters.
func (keyList) States() []struct{ Name, Label string } { return states }

// keysOf reads all pages of a list of keys.
func (v *visit) keysOf(target string, keep func(*manage.Key) bool) (list keyList, err error) {
	if err := v.read(v.portal.call, &list, target+"?", maxSearched, keep); err != nil {
		return list, err
	}
	list.choose(v.r.URL.Query(), time.Now())
	return list, nil
}

// maxPages is how many pages of a list are read for one page of the portal. Pages
// of a filtered list may be empty.
const maxPages = 50

// read reads the pages of a list of keys by the API, up to a number of keys. target
// ends with a query to which more can be added.
func (v *visit) read(by Call, list *keyList, target string, most int, keep func(*manage.Key) bool) error {
	next := ""
	for range maxPages {
		query := "per_page=1000"
		if next != "" {
			query += "&after=" + url.QueryEscape(next)
		}
		a, err := v.by(by, http.MethodGet, target+query, nil)
		if err != nil {
			return err
		}
		for _, k := range a.Keys {
			if keep(&k) {
				list.Keys = append(list.Keys, k)
			}
		}
		next = a.Next
		if next == "" || len(list.Keys) >= most {
			break
		}
	}
	list.More = next != ""
	list.Total = len(list.Keys)
	return nil
}

// choose searches, filters and sorts the list, and keeps one page.
func (l *keyList) choose(in url.Values, now time.Time) {
	l.State = in.Get("state")
	l.search(in, now)
	l.paginate(in)
}

// search searches, filters and sorts the list.
func (l *keyList) search(in url.Values, now time.Time) {
	l.Query, l.Sort, l.Now = strings.TrimSpace(in.Get("q")), in.Get("sort"), now
	l.Keys = slices.DeleteFunc(l.Keys, func(k manage.Key) bool {
		return !l.matches(&k) || l.State != "" && stateOf(&k, now) != l.State
	})
	slices.SortStableFunc(l.Keys, func(a, b manage.Key) int {
		switch l.Sort {
		case "name":
			return strings.Compare(strings.ToLower(a.Description), strings.ToLower(b.Description))
		case "used":
			return compareTimes(b.LastUsedAt, a.LastUsedAt)
		case "expires":
			// Never is last.
			return cmp.Or(cmp.Compare(boolInt(a.ExpiresAt == nil), boolInt(b.ExpiresAt == nil)), compareTimes(a.ExpiresAt, b.ExpiresAt))
		default:
			return cmp.Or(compareTimes(b.RevokedAt, a.RevokedAt), b.CreatedAt.Compare(a.CreatedAt))
		}
	})
	l.Found = len(l.Keys)
}

// paginate keeps one page of the list.
func (l *keyList) paginate(in url.Values) {
	l.Pages = max(1, (l.Found+perPage-1)/perPage)
	l.Page, _ = strconv.Atoi(in.Get("page"))
	l.Page = min(max(l.Page, 1), l.Pages)
	l.Keys = l.Keys[(l.Page-1)*perPage : min(l.Page*perPage, l.Found)]
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareTimes(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return a.Compare(*b)
}

// matches reports whether a key has all words of the search.
func (l *keyList) matches(k *manage.Key) bool {
	text := strings.ToLower(k.Description + "\n" + k.KeyID + "\n" + k.AppID() + "\n" + strings.Join(k.Scopes, " "))
	if l.Everyone {
		text += "\n" + strings.ToLower(k.UserID)
	}
	for word := range strings.FieldsSeq(strings.ToLower(l.Query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// stateOf returns the state of a key now. Its user is signed in, and so not
// suspended.
func stateOf(k *manage.Key, now time.Time) string { return k.Standing(false, now) }

// Link returns the query of another page of the list.
func (l keyList) Link(page int) string { return l.query(page, "state", l.State) }

// query returns the query of another page of the list with a filter.
func (l *keyList) query(page int, filter, value string) string {
	return listQuery(url.Values{"q": {l.Query}, filter: {value}, "sort": {l.Sort}, "page": {strconv.Itoa(page)}}.Encode())
}

// listQuery returns the query of a list from the hidden field of a form. It keeps
// only known fields, so that nothing else gets into the address.
func listQuery(text string) string {
	in, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil {
		return ""
	}
	q := url.Values{}
	for _, name := range []string{"q", "state", "show", "sort", "page"} {
		if value := in.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
