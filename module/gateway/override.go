package gateway

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// guardForm puts in front of next what looks into a form for a field that
// overrides the method, if the request has a form and the method matters.
func (s *Site) guardForm(q *question, r *http.Request, next caddyhttp.Handler) caddyhttp.Handler {
	rule, path := q.Rule, q.Path
	if rule == nil {
		return next
	}
	kind := wire.FormOf(r)
	if kind == (wire.FormKind{}) || !s.table.Overridable(rule, path) {
		return next
	}
	may := func(method string) bool { return s.table.MayOverride(rule, path, method) }
	return &formGuard{next: next, kind: kind, may: may}
}

// formGuard hands on a request with a form, unless a field of it overrides the
// method.
type formGuard struct {
	next caddyhttp.Handler
	kind wire.FormKind
	may  func(method string) bool
}

// errOverride refuses a request whose form overrides the method.
var errOverride = &refused{misread(wire.ErrOverride)}

// errForm refuses a request whose form can't be read.
var errForm = &refused{misread(&tenant.Error{
	Problem: tenant.Unreadable,
	Details: "This form can't be looked into, and its fields may ask for a method that has other demands. Send it in UTF-8, without Content-Encoding.",
})}

// ServeHTTP reads the front of the form and hands on the rest as it comes.
func (f *formGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if !wire.ReadableForm(r.Header) {
		return errForm
	}
	form := wire.NewForm(r.Body, f.kind, f.may, errOverride)
	body := form.Front(r)
	if form.Refused() {
		return errOverride
	}
	r.Body = body
	err := f.next.ServeHTTP(w, r)
	if err != nil && form.Refused() {
		return errOverride
	}
	return err
}
