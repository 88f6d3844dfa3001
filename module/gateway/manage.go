package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/manage/portal"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
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

	gate   *Gate
	mount  *manage.Mount
	portal *portal.Portal // nil where there is none
	logger *zap.Logger
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
	// Programs for Clarifai's service send sessions in this header.
	m.mount = manage.NewMount(m.base())
	m.gate = &Gate{IdentityHeaders: "off", SessionHeader: clarifaiSession, logger: m.logger, Route: m.mount.Routes()}
	if _, err := m.gate.Build(); err != nil {
		return fmt.Errorf("base %s: %w", m.Base, err)
	}
	app, err := ctx.App("api_keys")
	if err != nil {
		return fmt.Errorf("loading the api_keys app: %w", err)
	}
	m.gate.app = app.(*App)
	m.gate.app.addManagement(ctx)
	m.gate.warnOfLogs(ctx, Site{Hosts: []string{""}})
	if m.Portal != "" {
		m.portal = portal.New(m.Portal, m.base(), m.call, func(r *http.Request, cause error) {
			m.logger.Error("a page of the portal failed", zap.String("uuid", requestID(r)), zap.Error(cause))
		})
	}
	m.gate.metrics, err = newMetrics(ctx.GetMetricsRegistry())
	return err
}

// Check says what is wrong with the configuration.
func (m *Manage) Check() error {
	for _, path := range []struct{ option, value, example string }{{"base", m.Base, manage.DefaultBase}, {"portal", m.Portal, "/portal"}} {
		if path.value == "" {
			continue
		}
		p, err := policy.ParsePattern(path.value + "/x")
		if err != nil || len(p.Variables) > 0 || p.Verb != "" || strings.HasSuffix(path.value, "/") || strings.ContainsAny(path.value, "%:?#") {
			return fmt.Errorf("%s %q: give a path without variables that doesn't end in a slash, as %s", path.option, path.value, path.example)
		}
	}
	if inside(m.Portal, m.base()) || m.Portal != "" && inside(m.base(), m.Portal) {
		return fmt.Errorf("portal %s and base %s: give each a path of its own", m.Portal, m.base())
	}
	return nil
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
	api := m.gate.table.Knows(r.URL.EscapedPath())
	if !api && (m.portal == nil || !m.portal.Owns(r.URL.Path)) {
		return next.ServeHTTP(w, withoutPortalCookie(r))
	}
	if wire.InChunks(r) {
		// Malformed chunks are refused, and nothing that follows on their
		// connection is answered. Nobody sends many such requests here, so it
		// ends behind well-formed ones too.
		w.Header().Set("Connection", "close")
	}
	if !api {
		wire.DropUpgrade(r, m.gate.Upgrade == "websocket")
		restoreCookies(r)
		if refused := m.gate.checkReading(r, r.URL.EscapedPath(), nil); refused != nil {
			return m.gate.refuse(w, r, refused)
		}
		m.portal.ServeHTTP(w, r)
		return nil
	}
	return m.serve(w, r)
}

// serve answers a path of the API.
func (m *Manage) serve(w http.ResponseWriter, r *http.Request) error {
	// As in Gate.serve, but that nothing is forwarded.
	path, rule, refused := m.gate.address(r)
	if refused != nil {
		return m.gate.refuseAlways(w, r, rule, refused)
	}
	q := m.gate.ask(r, path, rule)
	caller := manage.Caller{Address: clientAddress(r)}
	if !q.public() {
		lease, refused := q.present(r)
		if refused != nil {
			q.log(r, &verdict{refused: refused})
			return m.gate.refuse(w, r, refused)
		}
		defer lease.Exit(q.digest)
		v := m.decide(r, lease, &q)
		if v.refused == nil && r.Body != nil && r.Body != http.NoBody {
			// A client that may send the body as slowly as it likes could
			// otherwise do with its last byte what they have long not been
			// permitted.
			r.Body = readAhead(w, r)
			v = m.decide(r, lease, &q)
		}
		q.log(r, &v)
		if v.refused != nil {
			return m.gate.refuse(w, r, v.refused)
		}
		caller.Caller, caller.Digest = *v.credential.Caller(), q.digest
	} else {
		logFields(r, zap.Inline(publicLog{rule}))
	}
	m.gate.metrics.allowed.Inc()
	m.answer(w, r, rule, caller)
	return nil
}

// decide is steps 4 to 8, and whether the call is the owner's alone.
func (m *Manage) decide(r *http.Request, lease *directory.Lease, q *question) verdict {
	v := q.decide(r.Context())
	if v.good {
		lease.Used(v.credential, func() string { return clientAddress(r) })
	}
	if v.refused == nil && m.mount.OwnerOnly(q.rule.Route) && v.credential.Caller().Reaches(v.owner, v.app) != policy.Own {
		v.refused = errOwner
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
		RequestID: requestID,
		Failed: func(reqID string, cause error) {
			m.logger.Error("a call of the management API failed", zap.String("uuid", reqID), zap.Error(cause))
		},
		Refused: func(r *http.Request, code manage.Code) { logFields(r, zap.Int("code", int(code))) },
	}
	lease, err := m.gate.app.Directory()
	if err != nil {
		api.Refuse(w, r, unavailable(err))
		return
	}
	if !lease.Enter(caller.Digest) {
		api.Refuse(w, r, keys.ErrClosed)
		return
	}
	defer lease.Exit(caller.Digest)
	if err := m.gate.app.prepare(api, lease); err != nil {
		api.Refuse(w, r, err)
		return
	}
	api.ServeRule(w, r, caller, m.mount, rule)
}

// call makes a call of the API for a page of the portal, as the browser would
// that the page is made for.
func (m *Manage) call(from *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		text = nil
	}
	target = m.mount.Path(target)
	r, err := http.NewRequestWithContext(from.Context(), method, target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr = target, from.RemoteAddr
	if credential != "" {
		r.Header.Set("Authorization", "Key "+credential)
	}
	w := &reply{header: http.Header{}}
	if err := m.serve(w, r); err != nil {
		return nil, err
	}
	a := new(manage.Answer)
	if err := json.Unmarshal(w.body.Bytes(), a); err != nil {
		return nil, fmt.Errorf("reading the API's answer: %w", err)
	}
	return a, nil
}

// reply keeps an answer, which says in itself what its status is.
type reply struct {
	header http.Header
	body   bytes.Buffer
}

func (w *reply) Header() http.Header            { return w.header }
func (*reply) WriteHeader(int)                  {}
func (w *reply) Write(text []byte) (int, error) { return w.body.Write(text) }

// requestID is what Caddy calls the request in its logs.
func requestID(r *http.Request) string {
	id := ""
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ = repl.GetString("http.request.uuid")
	}
	return id
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
		return Explain(ctx, lease.Directory, a.sites(caddy.ActiveContext()), q)
	}
	api.Catalogue, err = a.Catalogue()
	return err
}

// addManagement reports whether a site answers the management API, whose scopes
// can be granted then.
func (a *App) addManagement(ctx caddy.Context) {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	a.management = true
	a.lookAround(ctx)
}

// ManagementScopes are those that calls of the management API need, with what
// they need themselves, as Clarifai describes them.
func ManagementScopes() ([]policy.Scope, error) {
	described, err := tables.Shipped("clarifai")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range manage.Routes() {
		names = append(names, r.Scopes...)
	}
	var scopes []policy.Scope
	for ; len(names) > 0; names = names[1:] {
		known := func(s policy.Scope) bool { return s.Name == names[0] }
		i := slices.IndexFunc(described.Scopes, known)
		if i >= 0 && !slices.ContainsFunc(scopes, known) {
			scopes = append(scopes, described.Scopes[i])
			names = append(names, described.Scopes[i].Needs...)
		}
	}
	return scopes, nil
}

// managementRules are the calls of the management API that need a scope. Any
// credential may make the others, such as to ask what it is good for itself.
var managementRules = sync.OnceValue(func() []*policy.Rule {
	table, err := policy.NewTable(manage.Routes(), defaultOwner[0], defaultOwner[1])
	if err != nil {
		panic(err) // only of a mistake in the calls
	}
	return slices.DeleteFunc(slices.Clone(table.Rules()), func(r *policy.Rule) bool { return len(r.Scopes) == 0 })
})

// Interface guards
var (
	_ caddy.Provisioner           = (*Manage)(nil)
	_ caddyhttp.MiddlewareHandler = (*Manage)(nil)
)
