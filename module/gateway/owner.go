package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// The defaults of owner_limit and owner_timeout.
const (
	DefaultOwnerLimit   = 1 << 20 // bytes
	DefaultOwnerTimeout = 10 * time.Second
)

// ownership is where a site's requests name owner and app, outside the path.
type ownership struct {
	query    []policy.OwnerFields
	body     []bodyField
	messages map[string][]messagePlace
	limit    int64
	timeout  time.Duration
}

// part says whether a field names the owner or the app.
type part uint8

const (
	ownerPart part = iota + 1
	appPart
)

func (g *Gate) provisionOwnership() error {
	o := &g.ownership
	*o = ownership{limit: DefaultOwnerLimit, timeout: DefaultOwnerTimeout, messages: map[string][]messagePlace{}}
	if err := g.nameOwners(g.OwnerQuery, g.OwnerBody, g.OwnerMessage); err != nil {
		return err
	}
	if g.OwnerLimit != "" {
		n, err := humanize.ParseBytes(g.OwnerLimit)
		if err != nil || n < 1 || n > 1<<30 {
			return fmt.Errorf("owner_limit %q: give a size up to 1GiB, as 1MiB", g.OwnerLimit)
		}
		o.limit = int64(n)
	}
	if g.OwnerTimeout < 0 {
		return errors.New("owner_timeout: give a duration, as 10s")
	}
	if g.OwnerTimeout > 0 {
		o.timeout = time.Duration(g.OwnerTimeout)
	}
	return nil
}

// nameOwners adds places where requests name owner and app. A site with places
// of its own and those of a table looks at both.
func (g *Gate) nameOwners(query []policy.OwnerFields, body []string, messages []policy.OwnerMessage) error {
	o := &g.ownership
	for _, f := range query {
		if f.Owner == "" || f.App == "" || fieldName(f.Owner) == fieldName(f.App) {
			return errors.New("owner_query: give two fields, that for the owner and that for the app")
		}
		o.query = append(o.query, policy.OwnerFields{Owner: fieldName(f.Owner), App: fieldName(f.App)})
	}
	for _, path := range body {
		p, err := g.partOf(path)
		if err != nil {
			return fmt.Errorf("owner_body: %w", err)
		}
		o.body = append(o.body, bodyField{path: fieldName(path), part: p})
	}
	for _, m := range messages {
		if err := policy.CheckEndpoint(m.Method); err != nil {
			return fmt.Errorf("owner_message: %w", err)
		}
		if len(m.Fields) == 0 {
			return fmt.Errorf("owner_message %s: name the fields, as user_app_id.user_id=1.1", m.Method)
		}
		for _, text := range m.Fields {
			f, err := g.messageField(text)
			if err != nil {
				return fmt.Errorf("owner_message %s: %w", m.Method, err)
			}
			o.messages[m.Method] = placeOf(o.messages[m.Method], f)
		}
	}
	return nil
}

// partOf tells by the last name of a field what it names.
func (g *Gate) partOf(path string) (part, error) {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch fieldName(last) {
	case "":
		return 0, fmt.Errorf("the field %q has an empty name", path)
	case fieldName(g.Owner[0]):
		return ownerPart, nil
	case fieldName(g.Owner[1]):
		return appPart, nil
	}
	return 0, fmt.Errorf("the field %q: its last name has to be %s or %s, which says what it names", path, g.Owner[0], g.Owner[1])
}

// fieldName folds the spellings of a field that some server takes for one:
// user_id, userId and user-id, whatever the case and the form of its letters,
// and a[b] for a.b. What a server that ends texts with NUL doesn't see is cut.
func fieldName(name string) string {
	plain := true
	for i := range len(name) {
		c := name[i]
		plain = plain && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.')
	}
	if plain {
		return name
	}
	name, _, _ = strings.Cut(name, "\x00")
	return strings.ToLower(foldName.Replace(folded(name)))
}

var foldName = strings.NewReplacer("_", "", "-", "", "[", ".", "]", "")

// place is one place where a request may name an owner and an app: the path,
// the query, an object of a body, a message in a message. Some server may see
// this place alone, so it has to stand by itself.
type place struct {
	owner, app               string
	conflict                 bool // two owners or two apps
	emptyOwner, emptyApp, me bool // named as nothing, or as me
}

func (p *place) add(what part, value string) {
	name, empty := &p.owner, &p.emptyOwner
	if what == appPart {
		name, empty = &p.app, &p.emptyApp
	}
	switch {
	case value == "":
		*empty = true
	case what == ownerPart && value == policy.Me:
		p.me = true
	default:
		p.conflict = p.conflict || *name != "" && *name != value
		*name = value
	}
}

// names are what a request names as owner and app, gathered from all places.
// They have to agree: one owner, one app.
type names struct {
	owner, app string // empty where none was named
	me         bool   // the owner was named as me
	conflict   bool   // two owners or two apps were named, or one and nothing
	bare       bool   // some place names an owner and no app
}

// take adds what a place names. A name that is taken back in the same place,
// by an empty one, is a conflict: which of the two counts depends on the
// server.
func (n *names) take(p place) {
	n.conflict = n.conflict || p.conflict || p.emptyOwner && (p.owner != "" || p.me) || p.emptyApp && p.app != ""
	n.bare = n.bare || p.owner != "" && p.app == ""
	n.merge(names{owner: p.owner, app: p.app, me: p.me})
}

// merge takes in what another part of the request names.
func (n *names) merge(o names) {
	n.conflict = n.conflict || o.conflict ||
		o.owner != "" && n.owner != "" && o.owner != n.owner || o.app != "" && n.app != "" && o.app != n.app
	n.me, n.bare = n.me || o.me, n.bare || o.bare
	if o.owner != "" {
		n.owner = o.owner
	}
	if o.app != "" {
		n.app = o.app
	}
}

// settle is who was named, as seen by the caller; false if the namings don't
// agree, or if a place names someone else and no app: an app named elsewhere
// doesn't make that an invitation.
func (n *names) settle(caller *policy.Caller) (owner, app string, ok bool) {
	another := n.owner != "" && n.owner != caller.UserID
	switch {
	case n.conflict, another && (n.me || n.bare && n.app != ""):
		return "", "", false
	case n.me:
		return policy.Me, n.app, true
	}
	return n.owner, n.app, true
}

// ofQuery adds what the query names: every occurrence of the fields, as an
// element of a list too. What can't be decoded may be a name to others.
func (o *ownership) ofQuery(n *names, query string) {
	if len(o.query) == 0 || query == "" {
		return
	}
	for i := range o.query {
		var p place
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			name, err := url.QueryUnescape(name)
			value, err2 := url.QueryUnescape(value)
			p.conflict = p.conflict || err != nil || err2 != nil
			switch name = fieldName(name); {
			case isField(name, o.query[i].Owner):
				p.add(ownerPart, value)
			case isField(name, o.query[i].App):
				p.add(appPart, value)
			}
		}
		n.take(p)
	}
}

// isField says whether a folded name is a field's, or that of an element of
// it: a.b[] and a.b[0] for a.b.
func isField(name, field string) bool {
	rest, ok := strings.CutPrefix(name, field)
	return ok && (rest == "" || rest[0] == '.')
}

// inspects says whether the request's body may name owner and app, and has to
// be read before the request is handed on.
func (o *ownership) inspects(r *http.Request, grpc bool) bool {
	if grpc {
		return o.messages[r.URL.Path] != nil
	}
	return len(o.body) > 0 && r.Body != nil && r.Body != http.NoBody
}

// deadline limits how long the client may take to send what has to be read
// first; the function it returns lifts the limit. In shadow mode there is none,
// for a body that was late once can't be handed on.
func (o *ownership) deadline(w http.ResponseWriter) (lift func()) {
	if o.timeout == 0 {
		return func() {}
	}
	rc := http.NewResponseController(w)
	// A writer without deadlines is a test's: there is no slow client.
	_ = rc.SetReadDeadline(time.Now().Add(o.timeout))
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}
