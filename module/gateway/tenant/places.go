package tenant

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Places are where a site's requests name owner and app, outside the path, and
// where they name resources.
type Places struct {
	// owner and app are the names of the path variables: the last name of a
	// field says by them what it names.
	owner, app string

	// queryFields are places of two fields each. Those of bodies are one
	// place in a form, and as many as there are objects in JSON.
	queryFields, bodyFields []Field

	query     *Names
	bodyNames *Names
	body      *Body

	// resources are those that the site declares. limitedBody finds limitedFields,
	// which name the owner, the app and resources.
	resources     []resource
	limitedFields []Field
	limitedBody   *Body

	// watched are gRPC methods by name; messages, their compiled schemas.
	watched  map[string]*watchedMethod
	messages map[string]*protowalk.Schema
	limit    int64
	timeout  time.Duration
}

// NewPlaces returns no places yet, for a site with these path variables.
func NewPlaces(owner, app string) Places {
	return Places{owner: owner, app: app, watched: map[string]*watchedMethod{}}
}

// Bound sets how many bytes of a body or a message are looked into, and how
// long a client may take to send them, 0 for as long as it likes.
func (o *Places) Bound(limit int64, timeout time.Duration) { o.limit, o.timeout = limit, timeout }

// Add adds places where requests name owner and app. A site with places of its
// own and those of a table looks at both.
func (o *Places) Add(query []policy.OwnerFields, body []string, messages []policy.OwnerMessage) error {
	for _, f := range query {
		if f.Owner == "" || f.App == "" || Letters(f.Owner) == Letters(f.App) {
			return errors.New("owner_query: give two fields, that for the owner and that for the app")
		}
		at := len(o.queryFields) / 2
		o.queryFields = append(o.queryFields, Field{Path: f.Owner, Part: Owner, Place: at}, Field{Path: f.App, Part: App, Place: at})
	}
	for _, path := range body {
		p, err := o.partOf(path)
		if err != nil {
			return fmt.Errorf("owner_body: %w", err)
		}
		o.bodyFields = append(o.bodyFields, Field{Path: path, Part: p})
	}
	o.query, o.body, o.bodyNames = NewNames(o.queryFields), NewBody(o.bodyFields), NewNames(o.bodyFields)
	if err := o.join(); err != nil {
		return err
	}
	for _, m := range messages {
		if err := o.watch(m); err != nil {
			return err
		}
	}
	return nil
}

// watch adds a method whose messages name owner and app.
func (o *Places) watch(m policy.OwnerMessage) error {
	if err := policy.CheckEndpoint(m.Method); err != nil {
		return fmt.Errorf("owner_message: %w", err)
	}
	if len(m.Fields) == 0 {
		return fmt.Errorf("owner_message %s: name the fields, such as user_app_id.user_id=1.1", m.Method)
	}
	w := o.watched[m.Method]
	if w == nil {
		w = &watchedMethod{place: m.Place}
		o.watched[m.Method] = w
	}
	for _, text := range m.Fields {
		f, err := o.messageField(text)
		if err != nil {
			return fmt.Errorf("owner_message %s: %w", m.Method, err)
		}
		w.fields = append(w.fields, f)
	}
	return nil
}

// partOf tells by the last name of a field what it names.
func (o *Places) partOf(path string) (Part, error) {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch Letters(last) {
	case "":
		return 0, fmt.Errorf("the field %q has an empty name", path)
	case Letters(o.owner):
		return Owner, nil
	case Letters(o.app):
		return App, nil
	}
	return 0, fmt.Errorf("the field %q: its last name has to be %s or %s, which says what it names", path, o.owner, o.app)
}

// Inspects reports whether the request's body may name owner and app, and has to
// be read before the request is handed on.
func (o *Places) Inspects(r *http.Request, grpc bool) bool {
	return o.InMessages(r) || !grpc && len(o.bodyFields) > 0 && r.Body != nil && r.Body != http.NoBody
}

// InMessages reports whether the path is that of a gRPC method whose messages may
// name owner and app. They are looked into whatever kind of route the request
// came by, which may be one of a pattern, and whatever its content type is: a
// server of Connect or Twirp answers the same path.
func (o *Places) InMessages(r *http.Request) bool {
	return len(o.messages) > 0 && o.messages[r.URL.Path] != nil
}

// MayNameInBody reports whether the body of a request for a path may name owner
// and app.
func (o *Places) MayNameInBody(path string, grpc bool) bool {
	return !grpc && len(o.bodyFields) > 0 || o.messages[path] != nil
}

// deadline limits how long the client may take to send what has to be read
// first. The function it returns lifts the limit.
func (o *Places) deadline(w http.ResponseWriter) (lift func()) {
	if o.timeout == 0 {
		return func() {}
	}
	rc := http.NewResponseController(w)
	// A writer without deadlines is a test's: there is no slow client.
	_ = rc.SetReadDeadline(time.Now().Add(o.timeout))
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}
