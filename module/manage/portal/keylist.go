package portal

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// keyList is a list of keys as one looks through it: searched, filtered,
// sorted, a page at a time.
type keyList struct {
	Keys []manage.Key
	// Total is how many there are, and Found how many of them are looked for.
	Total, Found int
	// More is true if there are more than are looked through.
	More bool

	Query, State, Sort string
	Page, Pages        int
	// Action is where the form leads that does something to several.
	Action string
	Now    time.Time
}

const (
	// maxLooked is how many keys are looked through; who has more finds them
	// by the API.
	maxLooked = 10_000
	perPage   = 50
)

// The orders of a list. The first is the one that it has by itself.
var sorts = []struct{ Name, Label string }{
	{"created", "Newest first"},
	{"used", "Last used first"},
	{"expires", "First to expire"},
	{"name", "By name"},
}

// The states that a key can be in.
var states = []struct{ Name, Label string }{
	{"active", "Active"}, {"disabled", "Disabled"}, {"expired", "Expired"},
}

// Sorts and States are what can be chosen.
func (keyList) Sorts() []struct{ Name, Label string } { return sorts }

// States are the filters.
func (keyList) States() []struct{ Name, Label string } { return states }

// keysOf reads a list of keys, all its pages.
func (v *visit) keysOf(target string, keep func(*manage.Key) bool) (list keyList, err error) {
	next := ""
	for {
		query := "?per_page=1000"
		if next != "" {
			query += "&after=" + url.QueryEscape(next)
		}
		a, err := v.get(target + query)
		if err != nil {
			return list, err
		}
		for _, k := range a.Keys {
			if keep(&k) {
				list.Keys = append(list.Keys, k)
			}
		}
		next = a.Next
		if next == "" || len(list.Keys) >= maxLooked {
			list.More = next != ""
			break
		}
	}
	list.Total = len(list.Keys)
	list.choose(v.r.URL.Query(), time.Now())
	return list, nil
}

// choose leaves what is looked for.
func (l *keyList) choose(in url.Values, now time.Time) {
	l.Query, l.State, l.Sort, l.Now = strings.TrimSpace(in.Get("q")), in.Get("state"), in.Get("sort"), now
	l.Keys = slices.DeleteFunc(l.Keys, func(k manage.Key) bool {
		return !matches(&k, l.Query) || l.State != "" && stateOf(&k, now) != l.State
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
			return b.CreatedAt.Compare(a.CreatedAt)
		}
	})
	l.Found = len(l.Keys)
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

func matches(k *manage.Key, query string) bool {
	text := strings.ToLower(k.Description + "\n" + k.KeyID + "\n" + strings.Join(k.Scopes, " "))
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// stateOf returns what a key is good for now. Its user is not suspended, because
// they are signed in.
func stateOf(k *manage.Key, now time.Time) string { return k.Standing(false, now) }

// Link is the list with another page.
func (l keyList) Link(page int) string {
	return looked(url.Values{"q": {l.Query}, "state": {l.State}, "sort": {l.Sort}, "page": {strconv.Itoa(page)}}.Encode())
}

// looked is the query of a list as it was looked through, from what a form says
// that it was: nothing else goes into the address.
func looked(text string) string {
	in, err := url.ParseQuery(strings.TrimPrefix(text, "?"))
	if err != nil {
		return ""
	}
	q := url.Values{}
	for _, name := range []string{"q", "state", "sort", "page"} {
		if value := in.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}
