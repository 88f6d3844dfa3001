package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// The defaults of owner_limit and owner_timeout.
const (
	DefaultOwnerLimit   = 1 << 20 // bytes
	DefaultOwnerTimeout = 10 * time.Second
)

// ownership is where a site's requests name owner and app, outside the path.
type ownership struct {
	// queryFields are places of two fields each. Those of bodies are one
	// place in a form, and as many as there are objects in JSON.
	queryFields, bodyFields []tenant.Field

	query     *tenant.Names
	bodyNames *tenant.Names
	body      *tenant.Body

	// watched are gRPC methods by name; messages, their compiled schemas.
	watched  map[string]*watchedMethod
	messages map[string]*protowalk.Schema
	limit    int64
	timeout  time.Duration
}

// part says whether a field names the owner or the app.
type part = tenant.Part

const (
	ownerPart = tenant.Owner
	appPart   = tenant.App
)

func (g *Gate) provisionOwnership() error {
	o := &g.ownership
	*o = ownership{limit: DefaultOwnerLimit, timeout: DefaultOwnerTimeout, watched: map[string]*watchedMethod{}}
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
		if f.Owner == "" || f.App == "" || tenant.Letters(f.Owner) == tenant.Letters(f.App) {
			return errors.New("owner_query: give two fields, that for the owner and that for the app")
		}
		at := len(o.queryFields) / 2
		o.queryFields = append(o.queryFields, tenant.Field{Path: f.Owner, Part: ownerPart, Place: at}, tenant.Field{Path: f.App, Part: appPart, Place: at})
	}
	for _, path := range body {
		p, err := g.partOf(path)
		if err != nil {
			return fmt.Errorf("owner_body: %w", err)
		}
		o.bodyFields = append(o.bodyFields, tenant.Field{Path: path, Part: p})
	}
	o.query, o.body, o.bodyNames = tenant.NewNames(o.queryFields), tenant.NewBody(o.bodyFields), tenant.NewNames(o.bodyFields)
	for _, m := range messages {
		if err := o.watch(g, m); err != nil {
			return err
		}
	}
	return nil
}

// watch adds a method whose messages name owner and app.
func (o *ownership) watch(g *Gate, m policy.OwnerMessage) error {
	if err := policy.CheckEndpoint(m.Method); err != nil {
		return fmt.Errorf("owner_message: %w", err)
	}
	if len(m.Fields) == 0 {
		return fmt.Errorf("owner_message %s: name the fields, as user_app_id.user_id=1.1", m.Method)
	}
	w := o.watched[m.Method]
	if w == nil {
		w = &watchedMethod{place: m.Place}
		o.watched[m.Method] = w
	}
	for _, text := range m.Fields {
		f, err := g.messageField(text)
		if err != nil {
			return fmt.Errorf("owner_message %s: %w", m.Method, err)
		}
		w.fields = append(w.fields, f)
	}
	return nil
}

// partOf tells by the last name of a field what it names.
func (g *Gate) partOf(path string) (part, error) {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch tenant.Letters(last) {
	case "":
		return 0, fmt.Errorf("the field %q has an empty name", path)
	case tenant.Letters(g.Owner[0]):
		return ownerPart, nil
	case tenant.Letters(g.Owner[1]):
		return appPart, nil
	}
	return 0, fmt.Errorf("the field %q: its last name has to be %s or %s, which says what it names", path, g.Owner[0], g.Owner[1])
}

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

// inspects says whether the request's body may name owner and app, and has to
// be read before the request is handed on.
func (o *ownership) inspects(r *http.Request, grpc bool) bool {
	return o.inMessages(r) || !grpc && len(o.bodyFields) > 0 && r.Body != nil && r.Body != http.NoBody
}

// inMessages says whether the path is that of a gRPC method whose messages may
// name owner and app. They are looked into whatever kind of route the request
// came by, which may be one of a pattern, and whatever its content type is: a
// server of Connect or Twirp answers the same path.
func (o *ownership) inMessages(r *http.Request) bool {
	return len(o.messages) > 0 && o.messages[r.URL.Path] != nil
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
