package differential

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

var (
	tagLine = regexp.MustCompile(`(?i)\r\nX-(?:Forwarded|Upstream)-Tag: (\S+)\r\n`)
	// huge are lengths that the strict reader would make room for.
	huge = regexp.MustCompile(`(?i)content-length: *(-|\+|\d{6})|(?m)^[0-9a-f]{5,}\r$`)
)

// judge says what is wrong with an exchange: every request that the gate
// allowed, and no other, is to be the same one to the upstream, of the same
// caller, to the same owner and app, with the same header and body.
func (d *differential) judge(x *exchange, raw []byte) error {
	told := map[string]*reading{}
	refused := map[string]bool{}
	for _, h := range x.readings {
		switch {
		case h.Refused != "":
			found := tagLine.FindStringSubmatch(h.Body)
			if found == nil {
				return fmt.Errorf("the upstream couldn't read %q (%s), which the gate never allowed", h.Body, h.Refused)
			}
			refused[found[1]] = true
			continue
		case h.Error != "":
			return fmt.Errorf("the upstream couldn't make out a request: %s: %+v", h.Error, h)
		case told[h.Tag] != nil:
			return fmt.Errorf("the upstream was sent one request twice: %+v", h)
		}
		if number, _, _ := strings.Cut(h.Tag, "."); number != strconv.FormatInt(x.number, 10) {
			n, err := strconv.ParseInt(number, 10, 64)
			// An incomplete request may be seen when its time is over.
			if err != nil || n > x.number || h.Whole {
				return fmt.Errorf("the upstream was sent a request that the gate never allowed: %+v", h)
			}
			continue
		}
		told[h.Tag] = h
	}
	var answered []string
	for _, a := range x.allowed {
		h := told[a.tag]
		delete(told, a.tag)
		switch {
		case refused[a.tag]:
			continue
		case h == nil && a.whole:
			return fmt.Errorf("the upstream never saw a request that the gate allowed: %+v", a)
		case h == nil:
			continue
		case h.Whole && !a.whole:
			return fmt.Errorf("a request that was broken off is whole to the upstream: %+v", h)
		}
		if a.whole {
			answered = append(answered, a.tag)
		}
		if err := d.same(a, h); err != nil {
			return fmt.Errorf("%w:\nthe gate allowed %+v\nthe upstream saw %+v", err, a, h)
		}
	}
	for _, h := range told {
		return fmt.Errorf("the upstream was sent a request that the gate never allowed: %+v", h)
	}
	var got []string
	for _, found := range tagLine.FindAllSubmatch(x.answers, -1) {
		got = append(got, string(found[1]))
	}
	if !slices.Equal(got, answered) {
		return fmt.Errorf("the client was sent the answers to %q, want those to %q: %q", got, answered, x.answers)
	}
	return strictly(x, raw)
}

// strictly compares what Caddy's server read with what a reader to the letter
// of RFC 9112 reads, as far as that gets. Some requests Caddy answers before
// any handler of a site sees them.
func strictly(x *exchange, raw []byte) error {
	if huge.Match(raw) {
		return nil
	}
	in := bufio.NewReader(bytes.NewReader(raw))
	for i, got := range x.arrived {
		want, err := corpus.ReadStrictly(in)
		for err == nil && (got.method != want.Method || got.target != want.Target) {
			want, err = corpus.ReadStrictly(in)
		}
		switch a := got.allowed; {
		case errors.Is(err, io.EOF) && in.Buffered() == 0 && want == nil:
			return fmt.Errorf("request %d is %s %s to Caddy, and none to the letter", i, got.method, got.target)
		case err != nil:
			return nil
		case a != nil && (!a.whole || a.text != string(want.Body)):
			return fmt.Errorf("the body of request %d is %q (whole: %v) to Caddy, and %q to the letter", i, a.text, a.whole, want.Body)
		}
	}
	return nil
}

func (d *differential) same(a *allowed, h *reading) error {
	path, _, _ := strings.Cut(h.Target, "?")
	decoded, err := url.PathUnescape(a.path)
	switch {
	case h.Method != a.method:
		return fmt.Errorf("another method")
	case a.route == nil:
		return fmt.Errorf("no route has that")
	case h.Operation != a.route.String():
		return fmt.Errorf("the operation is %s to the gate, and %q to the upstream", a.route, h.Operation)
	case path != a.path || err != nil || h.Path != decoded:
		return fmt.Errorf("another path")
	case !a.route.AllowsEncodedSlash() && strings.Count(h.Path, "/") != strings.Count(path, "/"):
		return fmt.Errorf("another number of segments, where it is decoded before it is split")
	case len(h.Trailers) > 0:
		return fmt.Errorf("trailers")
	case h.Whole && h.Body != a.text:
		return fmt.Errorf("another body")
	}
	want, err := d.identity(a, h)
	if err != nil {
		return err
	}
	return sameHeader(a, h, want)
}

// identity checks that the caller may do what the upstream understood, and
// answers what the upstream is to be told.
func (d *differential) identity(a *allowed, h *reading) (want map[string]string, err error) {
	if a.route.Accepts().Public() {
		return nil, nil
	}
	c, known := d.holders[a.identity[1]]
	if !known || c.Disabled || !c.ExpiresAt.IsZero() && c.ExpiresAt.Before(time.Now()) {
		return nil, fmt.Errorf("nobody was let in")
	}
	if c.Kind != policy.Session && !subset(a.route.Scopes, c.Scopes) {
		return nil, fmt.Errorf("a scope is missing")
	}
	owner, app, err := c.UserID, "", error(nil)
	var owners, apps []string
	if v := h.Variables["user_id"]; v != "" {
		owners = append(owners, v)
	}
	if v := h.Variables["app_id"]; v != "" {
		apps = append(apps, v)
	}
	for _, field := range slices.Concat(h.Query, h.fields(a)) {
		switch name := lenientName(field[0]); {
		case field[0] == "api_key":
			return nil, fmt.Errorf("a credential in the query")
		case field[1] == "":
		case name == "userappid.userid" || strings.HasPrefix(name, "userappid.userid."):
			owners = append(owners, field[1])
		case name == "userappid.appid" || strings.HasPrefix(name, "userappid.appid."):
			apps = append(apps, field[1])
		}
	}
	for i, o := range owners {
		if o == policy.Me {
			o = c.UserID
		}
		if i > 0 && o != owner {
			return nil, fmt.Errorf("two owners")
		}
		owner = o
	}
	for _, name := range apps {
		if app != "" && name != app {
			return nil, fmt.Errorf("two apps")
		}
		app = name
	}
	if err = reaches(c, owner, app); err != nil {
		return nil, err
	}
	if c.Kind == policy.AppKey {
		app = c.AppID
	}
	want = map[string]string{"user-id": c.UserID, "key-id": c.ID, "key-type": c.Kind.String()}
	if app != "" {
		want["owner-id"], want["app-id"] = owner, app
	}
	placeholders := [5]string{want["user-id"], want["key-id"], want["key-type"], want["owner-id"], want["app-id"]}
	if a.identity != placeholders {
		return nil, fmt.Errorf("the gate says %q, want %q", a.identity, placeholders)
	}
	return want, nil
}

// fields are those of the body, where the gate looks at them.
func (h *reading) fields(a *allowed) [][2]string {
	if !a.inBody {
		return nil
	}
	return h.Fields
}

// reaches reports whether that owner and app are this credential's to name.
func reaches(c keys.Credential, owner, app string) error {
	switch {
	case c.Kind == policy.AppKey && (owner != c.UserID || app != "" && app != c.AppID):
		return fmt.Errorf("a key was used for another app")
	case owner != c.UserID && (c.UserID != "alice" || owner != "bob" || app != "farm"):
		return fmt.Errorf("the caller is not a collaborator there")
	}
	return nil
}

func subset(list, of []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
}

// lenientName is a field's name as lenient frameworks read it: camel case,
// dashes and brackets are other spellings.
func lenientName(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", "[", ".", "]", "").Replace(name))
}

// connectionHeaders are about one connection, and those that the proxy makes.
var connectionHeaders = map[string]bool{
	"host": true, "connection": true, "content-length": true, "transfer-encoding": true, "accept-encoding": true,
	"alt-svc": true, "proxy-connection": true, "keep-alive": true, "proxy-authenticate": true, "proxy-authorization": true,
	"te": true, "trailer": true, "upgrade": true, "via": true, "user-agent": true,
	"x-forwarded-for": true, "x-forwarded-proto": true, "x-forwarded-host": true, "x-forwarded-tag": true,
}

var neverForwarded = []string{
	"trailer", "upgrade", "x-api-key", "x-clarifai-session-token",
	"x-http-method-override", "x-http-method", "x-method-override",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
}

var notAlphanumeric = regexp.MustCompile(`[^a-z0-9]`)

// zone is what net/http takes out of an IPv6 address that it sends as Host.
var zone = regexp.MustCompile(`%.*\]`)

// sameHeader compares the headers, of which the identity has to be the gate's.
func sameHeader(a *allowed, h *reading, identity map[string]string) error {
	got, want := map[string][]string{}, map[string][]string{}
	hosts := 0
	for _, field := range h.Headers {
		name, value := strings.ToLower(field[0]), field[1]
		spelled := notAlphanumeric.ReplaceAllString(name, "-")
		word := strings.FieldsFunc(strings.ToLower(value), func(c rune) bool { return c <= ' ' || c == ',' })
		switch {
		case name == "host":
			hosts++
			// HTTP/1.0 needs none, and then the proxy names the upstream.
			if want := zone.ReplaceAllString(a.host, "]"); value != want && want != "" {
				return fmt.Errorf("the host %q, want %q", value, want)
			}
		case slices.Contains(neverForwarded, name), slices.Contains(neverForwarded[4:], spelled):
			return fmt.Errorf("the header %s", field[0])
		case name == "authorization" && len(word) > 0 && (word[0] == "key" || word[0] == "bearer"):
			return fmt.Errorf("a credential")
		case strings.HasPrefix(spelled, "x-caller-"):
			what := strings.TrimPrefix(name, "x-caller-")
			if identity[what] == "" || identity[what] != value {
				return fmt.Errorf("the upstream is told %s: %s", field[0], value)
			}
			delete(identity, what)
			continue
		}
		if !connectionHeaders[name] {
			got[name] = append(got[name], value)
		}
	}
	if hosts != 1 || len(identity) > 0 {
		return fmt.Errorf("%d hosts, and the upstream isn't told %v", hosts, identity)
	}
	for name, values := range a.header {
		name = strings.ToLower(name)
		if !connectionHeaders[name] && !strings.HasPrefix(name, "x-caller-") {
			want[name] = values
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
		return fmt.Errorf("the header is %q, want %q", got, want)
	}
	return nil
}
