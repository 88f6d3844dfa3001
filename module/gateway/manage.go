package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/manage/portal"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func init() {
	caddy.RegisterModule(new(Manage))
}

// Manage answers the management API on a site: users sign in there, and make
// and revoke their own keys. It decides about its callers by the gate's code,
// with a table of its own. What isn't a path of the API is handed on.
type Manage struct {
	// Base is the path that the API stands under.
	// Default: /v2.
	Base string `json:"base,omitempty"`

	// Portal is the path of the web page on which people do what the API does.
	// Default: none.
	Portal string `json:"portal,omitempty"`

	// PortalBrand is the name, logo and color of the web page.
	// Default: the plain ones.
	PortalBrand *PortalBrand `json:"portal_brand,omitempty"`

	decider *decider
	mount   *manage.Mount
	portal  *portal.Portal // nil if there is none
	logger  *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Manage) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api_keys_manage",
		New: func() caddy.Module { return new(Manage) },
	}
}

// Provision builds the table and finds the app.
func (m *Manage) Provision(ctx caddy.Context) error {
	m.logger = ctx.Logger()
	if err := m.Check(); err != nil {
		return err
	}
	m.mount = manage.NewMount(m.base())
	site, err := managementSite(m.mount)
	if err != nil {
		return fmt.Errorf("base %s: %w", m.Base, err)
	}
	app, err := ctx.App("api_keys")
	if err != nil {
		return fmt.Errorf("loading the api_keys app: %w", err)
	}
	if m.decider, err = newDecider(site, app.(*App), m.logger, ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	m.decider.app.addManagement(ctx, m.Base, managedSite{mount: m.mount, site: site, portal: m.Portal})
	site.warnOfLogs(ctx, m.logger)
	if m.Portal != "" {
		operators, err := m.within(ctx, manage.NewOperatorMount())
		if err != nil {
			return err
		}
		signIn, err := m.within(ctx, manage.NewSignInMount())
		if err != nil {
			return err
		}
		brand, err := m.PortalBrand.build()
		if err != nil {
			return err
		}
		m.portal = portal.New(portal.Config{
			Base: m.Portal, API: m.base(), Brand: brand, Call: m.call, SignIn: signIn.call, Operate: operators.call, Sites: m.decider.app.Operations,
			Failed: func(r *http.Request, cause error) {
				m.logger.Error("a page of the portal failed", zap.String("uuid", requestID(r.Context())), zap.Error(cause))
			},
		})
	}
	return nil
}

// managementSite is the site that decides about calls of the management API.
// Programs for Clarifai's service send sessions in a header of their own.
func managementSite(mount *manage.Mount) (*Site, error) {
	s, err := Compile(&Gate{IdentityHeaders: "off", SessionHeader: clarifaiSession, Route: mount.Routes()})
	if err != nil {
		return nil, err
	}
	s.place.Hosts = []string{""} // any
	return s, nil
}

// ManagementSite is the site of api_keys_manage, wherever that is mounted.
func ManagementSite() (*Site, error) { return managementSite(manage.NewMount(manage.DefaultBase)) }

// Check says what is wrong with the configuration.
func (m *Manage) Check() error {
	for _, path := range []struct{ option, value, example string }{{"base", m.Base, manage.DefaultBase}, {"portal", m.Portal, "/portal"}} {
		if path.value == "" {
			continue
		}
		p, err := policy.ParsePattern(path.value + "/x")
		if err != nil || len(p.Variables) > 0 || p.Verb != "" || strings.HasSuffix(path.value, "/") || strings.ContainsAny(path.value, "%:?#") {
			return fmt.Errorf("%s %q: give a path without variables that doesn't end in a slash, such as %s", path.option, path.value, path.example)
		}
	}
	if inside(m.Portal, m.base()) || m.Portal != "" && inside(m.base(), m.Portal) {
		return fmt.Errorf("portal %s and base %s: give each a path of its own", m.Portal, m.base())
	}
	if m.PortalBrand != nil && m.Portal == "" {
		return errors.New("portal_brand without portal: give the portal a path, or remove the brand")
	}
	return m.PortalBrand.check()
}

// inside reports whether a path stands under another, or is it.
func inside(path, base string) bool {
	return path == base || strings.HasPrefix(path, base+"/")
}

func (m *Manage) base() string {
	if m.Base == "" {
		return manage.DefaultBase
	}
	return m.Base
}

// ServeHTTP answers the paths of the API, and hands on all others.
func (m *Manage) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	api := m.decider.table.Knows(r.URL.EscapedPath())
	if !api && (m.portal == nil || !m.portal.Owns(r.URL.Path)) {
		return next.ServeHTTP(w, withoutPortalCookie(r))
	}
	if wire.InChunks(r) {
		// Malformed chunks are refused, and nothing that follows on their
		// connection is answered. Nobody sends many such requests here, so it
		// ends behind well-formed ones too.
		w.Header().Set("Connection", "close")
	}
	if api {
		return m.serve(w, r)
	}
	wire.DropUpgrade(r, m.decider.websocket)
	restoreCookies(r)
	q := &question{decider: m.decider}
	q.Method, q.Path = r.Method, r.URL.EscapedPath()
	if o := m.decider.checkReading(r, q); o.Refused() {
		return q.refuse(w, r, &verdict{Outcome: o})
	}
	m.portal.ServeHTTP(w, r)
	return nil
}

// serve answers a path of the API: as a gate does, but that nothing is
// forwarded.
func (m *Manage) serve(w http.ResponseWriter, r *http.Request) error {
	q := &question{decider: m.decider, managed: true}
	if o := q.ask(r); o.Refused() {
		return q.refuse(w, r, &verdict{Outcome: o})
	}
	caller := manage.Caller{Address: q.address}
	v := verdictOf(authz.Public)
	if !q.Public() {
		if reason := q.credential(r); reason != authz.Allowed {
			v = verdictOf(reason)
			return q.refuse(w, r, &v)
		}
		if o := q.enter(); o.Refused() {
			return q.refuse(w, r, &verdict{Outcome: o})
		}
		defer q.visit.Exit()
		v = m.decide(r, q)
		if !v.Refused() && r.Body != nil && r.Body != http.NoBody {
			// A client that may send the body as slowly as it likes could
			// otherwise do with its last byte what they have long not been
			// permitted.
			r.Body = readAhead(w, r)
			v = m.decide(r, q)
		}
		if v.Refused() {
			return q.refuse(w, r, &v)
		}
		id := identify(&v)
		id.asPlaceholders(r)
		caller.Caller, caller.Digest = *v.Credential.Caller(), q.Digest
	}
	m.decider.observer.observe(r.Context(), q, &v, event{kind: forwardedEvent})
	m.answer(w, r, q.Rule, caller)
	return nil
}

// decide takes the steps that need the credential's record, and requires the
// owner where the call is the owner's alone.
func (m *Manage) decide(r *http.Request, q *question) verdict {
	v := q.decide(r.Context())
	q.used(&v)
	if !v.Refused() && m.mount.OwnerOnly(q.Rule.Route) && v.Reach != policy.Own {
		v.Reason = authz.Owner
	}
	return v
}

// readAhead reads a body, as much of it as the API takes.
func readAhead(w http.ResponseWriter, r *http.Request) io.ReadCloser {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, manage.DefaultMaxBody))
	if err == nil {
		err = io.EOF
	}
	return &readBody{Closer: r.Body, text: text, err: err}
}

// readBody is a body that was read before, with what it ended with.
type readBody struct {
	io.Closer
	text []byte
	err  error
}

// Read reads what was read.
func (b *readBody) Read(p []byte) (n int, err error) {
	if len(b.text) == 0 {
		return 0, b.err
	}
	n = copy(p, b.text)
	b.text = b.text[n:]
	return n, nil
}

// answer hands the request to the API, with the rule that it was decided by.
func (m *Manage) answer(w http.ResponseWriter, r *http.Request, rule *policy.Rule, caller manage.Caller) {
	api := &manage.API{
		RequestID: func(r *http.Request) string { return requestID(r.Context()) },
		Failed: func(reqID string, cause error) {
			m.logger.Error("a call of the management API failed", zap.String("uuid", reqID), zap.Error(cause))
		},
		Refused: func(r *http.Request, code manage.Code) { logFields(r.Context(), zap.Int("code", int(code))) },
	}
	lease, err := m.decider.app.Directory()
	if err != nil {
		api.Refuse(w, r, unavailable(err))
		return
	}
	visit, open := lease.Enter()
	if !open {
		api.Refuse(w, r, keys.ErrClosed)
		return
	}
	defer visit.Exit()
	if m.PortalBrand != nil {
		api.Name = m.PortalBrand.Name
	}
	if err := m.decider.app.prepare(api, lease); err != nil {
		api.Refuse(w, r, err)
		return
	}
	api.ServeRule(w, r, caller, m.mount, rule)
}

// unavailable is the refusal where the store could not be opened.
func unavailable(cause error) *manage.Error {
	return &manage.Error{
		Code:    manage.CodeUnavailable,
		Details: "the key store could not be opened, and the server's log says why",
		Cause:   cause,
	}
}

// prepare fills in the API from the configuration, for either mount.
func (a *App) prepare(api *manage.API, lease *directory.Lease) (err error) {
	api.Directory, api.Brand = lease.Directory, a.Brand()
	api.Explain = func(ctx context.Context, q manage.ExplainQuery) ([]manage.Explanation, error) {
		return Explain(ctx, lease.Directory, a.running(), q)
	}
	api.Ask = func(ctx context.Context, q manage.ExplainQuery) ([]manage.Explanation, error) {
		return a.ask(ctx, lease.Directory, q)
	}
	api.Plans, api.Resources = a.plans, a.resources()
	api.Sites, api.Portal = a.Operations(), portalAddress(a.managementSites())
	api.Catalogue, err = a.Catalogue()
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Manage)(nil)
	_ caddyhttp.MiddlewareHandler = (*Manage)(nil)
)
