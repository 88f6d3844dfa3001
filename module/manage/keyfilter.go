package manage

import (
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// keySearch is one page of the selected keys of a list.
type keySearch struct {
	page
	keyFilter
	// newest lists the latest revocation first.
	newest bool
}

// keyFilter selects keys: those that match all fields. The zero keyFilter selects
// all keys that aren't revoked.
type keyFilter struct {
	// state is one of the standings of a key, or empty for every living key.
	state string
	app   string
	plan  string
	kind  policy.Kind
	// unusedFor selects keys that weren't used for so long, or never and were
	// created so long ago. expiresWithin selects keys that expire within that time.
	unusedFor, expiresWithin time.Duration
	// fullAccess and neverExpires select by a yes or no.
	fullAccess, neverExpires yesNo
}

// yesNo is an optional true or false.
type yesNo int

const (
	either yesNo = iota
	yes
	no
)

func (want yesNo) is(v bool) bool { return want == either || (want == yes) == v }

// keyStates are the values of state in a query.
var keyStates = []string{StandingActive, StandingDisabled, StandingExpired, StandingRevoked}

// readKeySearch reads the input of a call that lists keys.
func (r *request) readKeySearch(s *keySearch) (err error) {
	query, unreadable := url.ParseQuery(r.URL.RawQuery)
	if unreadable == nil { // pageOf refuses an unreadable query
		if err := r.readKeyFilter(query, s); err != nil {
			return err
		}
	}
	places := r.cursors()
	switch {
	case s.state == StandingRevoked && s.newest:
		places = places.of("revoked, newest first")
	case s.state == StandingRevoked:
		places = places.of("revoked")
	default:
		places.everyone = r.user() == ""
	}
	s.page, err = r.pageOf(places)
	return err
}

func (r *request) readKeyFilter(query url.Values, s *keySearch) error {
	kinds := []string{TypeAppKey, TypePAT}
	order, kind := "", ""
	for _, want := range []struct {
		name string
		into *string
		from []string
	}{{"state", &s.state, keyStates}, {"type", &kind, kinds}, {"order", &order, []string{"oldest", "newest"}}} {
		if !query.Has(want.name) {
			continue
		}
		*want.into = query.Get(want.name)
		if len(query[want.name]) > 1 || !slices.Contains(want.from, *want.into) {
			return refuse(CodeInvalid, want.name, "it has to be one of %s", strings.Join(want.from, ", "))
		}
	}
	for of, name := range types {
		if name == kind {
			s.kind = of
		}
	}
	if err := readTimes(query, s); err != nil {
		return err
	}
	if err := readFlags(query, s); err != nil {
		return err
	}
	if query.Has("app_id") {
		s.app = query.Get("app_id")
		switch {
		case r.vars["app_id"] != "":
			return refuse(CodeInvalid, "app_id", "the path names the app already")
		case len(query["app_id"]) > 1 || keys.CheckID("app_id", s.app) != nil:
			return refuse(CodeInvalid, "app_id", "it has to be the ID of one app")
		}
	}
	if query.Has("plan") {
		s.plan = query.Get("plan")
		if len(query["plan"]) > 1 || policy.CheckPlanName(s.plan) != nil {
			return refuse(CodeInvalid, "plan", "it has to be the name of one plan")
		}
	}
	if app := r.vars["app_id"]; app != "" {
		s.app = app
	}
	return s.agree(order)
}

// agree refuses filters that don't go together.
func (s *keySearch) agree(order string) error {
	s.newest = order == "newest"
	revoked := s.state == StandingRevoked
	switch {
	case s.newest && !revoked:
		return refuse(CodeInvalid, "order", "only revoked keys can be listed with the newest first; the others are listed in the order of their creation")
	case revoked && s.unusedFor != 0:
		return refuse(CodeInvalid, "unused_for", "revoked keys have no last use; leave out either unused_for or state")
	case s.expiresWithin != 0 && s.state != "" && s.state != StandingActive && s.state != StandingDisabled:
		return refuse(CodeInvalid, "expires_within", "expired and revoked keys don't expire any more; leave out either expires_within or state")
	}
	return nil
}

func readTimes(query url.Values, s *keySearch) error {
	for _, want := range []struct {
		name string
		into *time.Duration
	}{{"unused_for", &s.unusedFor}, {"expires_within", &s.expiresWithin}} {
		if !query.Has(want.name) {
			continue
		}
		d, ok := parseDuration(query.Get(want.name))
		if !ok || d <= 0 || len(query[want.name]) > 1 {
			return refuse(CodeInvalid, want.name, "it has to be one time such as 90d or 36h")
		}
		*want.into = d
	}
	return nil
}

func readFlags(query url.Values, s *keySearch) error {
	for _, want := range []struct {
		name string
		into *yesNo
	}{{"full_access", &s.fullAccess}, {"never_expires", &s.neverExpires}} {
		if !query.Has(want.name) {
			continue
		}
		switch value := query.Get(want.name); {
		case len(query[want.name]) > 1 || value != "true" && value != "false":
			return refuse(CodeInvalid, want.name, "it has to be true or false")
		case value == "true":
			*want.into = yes
		default:
			*want.into = no
		}
	}
	return nil
}

// covers reports whether a filter selects a key, whose last use is known if the
// filter asks for it.
func (f *keyFilter) covers(k *Key, now time.Time) bool {
	return (f.state == "" || k.Standing(false, now) == f.state) &&
		(f.app == "" || k.AppID() == f.app) && (f.plan == "" || k.Plan == f.plan) && (f.kind == 0 || k.Type == types[f.kind]) &&
		f.fullAccess.is(k.FullAccess()) && f.neverExpires.is(k.ExpiresAt == nil) &&
		(f.expiresWithin == 0 || k.ExpiresWithin(f.expiresWithin, now)) &&
		(f.unusedFor == 0 || k.UnusedFor(f.unusedFor, now))
}

var days = regexp.MustCompile(`(\d+)d`)

// parseDuration reads a time such as 90d, 36h or 1d12h. A day has 24 hours.
func parseDuration(text string) (time.Duration, bool) {
	tooLong := false
	text = days.ReplaceAllStringFunc(text, func(part string) string {
		n, err := strconv.Atoi(part[:len(part)-1])
		if err != nil || n > math.MaxInt64/int(24*time.Hour) {
			tooLong = true
			return part
		}
		return strconv.Itoa(n*24) + "h"
	})
	d, err := time.ParseDuration(text)
	return d, err == nil && !tooLong
}
