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
	messages map[string][]messageField
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
	*o = ownership{limit: DefaultOwnerLimit, timeout: DefaultOwnerTimeout, messages: map[string][]messageField{}}
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
			o.messages[m.Method] = append(o.messages[m.Method], f)
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
// user_id and userId, whatever the case, and a[b] for a.b.
func fieldName(name string) string {
	plain := true
	for i := range len(name) {
		if c := name[i]; c == '_' || c == '[' || c == ']' || c >= 'A' && c <= 'Z' {
			plain = false
		}
	}
	if plain {
		return name
	}
	return strings.ToLower(foldName.Replace(name))
}

var foldName = strings.NewReplacer("_", "", "[", ".", "]", "")

// names are what a request names as owner and app, gathered from all places.
// They have to agree: one owner, one app.
type names struct {
	owner, app string // empty where none was named
	me         bool   // the owner was named as me
	conflict   bool   // two owners or two apps were named
}

// add takes one naming in. An empty value names nobody.
func (n *names) add(p part, value string) {
	switch {
	case value == "":
	case p == appPart:
		n.conflict = n.conflict || n.app != "" && n.app != value
		n.app = value
	case value == policy.Me:
		n.me = true
	default:
		n.conflict = n.conflict || n.owner != "" && n.owner != value
		n.owner = value
	}
}

// settle is who was named, as seen by the caller; false if the namings don't
// agree.
func (n *names) settle(caller *policy.Caller) (owner, app string, ok bool) {
	switch {
	case n.conflict, n.me && n.owner != "" && n.owner != caller.UserID:
		return "", "", false
	case n.me:
		return policy.Me, n.app, true
	}
	return n.owner, n.app, true
}

// merge takes in what another place names.
func (n *names) merge(o names) {
	n.conflict = n.conflict || o.conflict
	n.me = n.me || o.me
	n.add(ownerPart, o.owner)
	n.add(appPart, o.app)
}

// ofQuery adds what the query names: every occurrence of the fields.
func (o *ownership) ofQuery(n *names, query string) {
	if len(o.query) == 0 || query == "" {
		return
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		name = fieldName(name)
		for i := range o.query {
			var p part
			switch name {
			case o.query[i].Owner:
				p = ownerPart
			case o.query[i].App:
				p = appPart
			default:
				continue
			}
			if decoded, err := url.QueryUnescape(value); err == nil {
				value = decoded
			}
			n.add(p, value)
		}
	}
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
