package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/gateway/source"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

func init() {
	caddy.RegisterModule(new(Gate))
}

// Gate decides on every request of a site: it finds the credential and its
// holder, checks that the holder's key has the scopes that the route needs and
// the right to what is addressed, and hands the request on or refuses it. What
// no route matches is refused.
type Gate struct {
	// Scope declares the operation scopes that keys can be granted. Where any
	// is declared, every scope that a route needs has to be.
	// Default: none; then they are those that the routes need.
	Scope []policy.Scope `json:"scope,omitempty"`

	// Route declares what requests are let through, and what they need.
	Route []policy.Route `json:"route,omitempty"`

	// Include takes in tables of scopes and routes that the program ships, by
	// name: clarifai. They bring along where requests name owner and app.
	// Default: none.
	Include []string `json:"include,omitempty"`

	// Owner are the names of the path variables that name the owner and the
	// app of what is addressed.
	// Default: user_id app_id.
	Owner []string `json:"owner,omitempty"`

	// OwnerQuery are query fields that name the owner and the app too. Every
	// occurrence is checked like a path variable, in any spelling: userId for
	// user_id, a[b] for a.b. All that a request names has to agree.
	// Default: none.
	OwnerQuery []policy.OwnerFields `json:"owner_query,omitempty"`

	// OwnerBody are fields of JSON bodies that name the owner or the app, as
	// user_app_id.user_id; the last name says which, in the words of owner.
	// On a site with this, every body of a route that isn't gRPC has to be
	// JSON that all parsers read alike, not compressed, and no larger than
	// OwnerLimit. Its Content-Type has to be one of JSON, a form's, text/plain
	// or none: under any other, an upstream might read something else in it.
	// Default: none; bodies are then forwarded as they come.
	OwnerBody []string `json:"owner_body,omitempty"`

	// OwnerMessage are fields of gRPC methods' messages that name the owner or
	// the app. Every message of a stream is read to its end by its schema,
	// which Descriptors or an included table has to have. A message that
	// parsers may read differently is refused, and so are compressed ones,
	// those larger than OwnerLimit, and every other request for the path of
	// such a method, such as one of Connect or Twirp.
	// Default: none; messages are then forwarded as they come.
	OwnerMessage []policy.OwnerMessage `json:"owner_message,omitempty"`

	// Descriptors is a file with the schemas of the methods in OwnerMessage: a
	// protobuf FileDescriptorSet, as "caddy api-keys routes import proto --out"
	// writes it beside the table, or buf and protoc do. It has to be as new as
	// the upstream's. In a Caddyfile or a table, a relative name is relative to
	// the folder of the file it stands in. A method in OwnerMessage that is not
	// described is an error.
	// Default: none; the tables of Include have their own.
	Descriptors string `json:"descriptors,omitempty"`

	// OwnerLimit is how large a body or a message may be that is looked into.
	// Default: 1MiB.
	OwnerLimit string `json:"owner_limit,omitempty"`

	// OwnerTimeout is how long a client may take to send a body, or the first
	// message of a stream, that is looked into.
	// Default: 10s.
	OwnerTimeout caddy.Duration `json:"owner_timeout,omitempty"`

	// IdentityHeaders is the prefix of the headers by which the upstream is
	// told who calls: User-Id, Key-Id, Key-Type, and where there is an app
	// Owner-Id and App-Id. A client's own headers of that prefix are dropped.
	// off tells nothing, and drops nothing.
	// Default: X-Caller-.
	IdentityHeaders string `json:"identity_headers,omitempty"`

	// SessionHeader is a header in which a session may be sent instead of in
	// Authorization; off is none.
	// Default: X-Clarifai-Session-Token with include clarifai, otherwise off.
	SessionHeader string `json:"session_header,omitempty"`

	// Credential are further places where a credential may stand, besides
	// Authorization and the session header.
	// Default: none.
	Credential []Source `json:"credential,omitempty"`

	// ForwardCredential lets the upstream see the credential. By default it
	// is taken out of the request.
	ForwardCredential bool `json:"forward_credential,omitempty"`

	// KeepOverrideHeaders forwards headers such as X-HTTP-Method-Override and
	// X-Original-URL, which make some upstreams see another method or path
	// than the one that was decided about. By default they are dropped.
	KeepOverrideHeaders bool `json:"keep_override_headers,omitempty"`

	// Upgrade is the protocol to which a connection may be upgraded:
	// websocket. Any other Upgrade header is dropped, a list with websocket in
	// it too, and the request goes on as ordinary HTTP/1.1.
	// Default: none; every Upgrade is dropped.
	Upgrade string `json:"upgrade,omitempty"`

	// CORS lets scripts of other origins call. Off by default.
	CORS *CORS `json:"cors,omitempty"`

	// Errors is the form of refusals: clarifai, problem (RFC 9457), or caddy,
	// which leaves them to handle_errors. gRPC clients are answered in gRPC's
	// own form.
	// Default: clarifai.
	Errors string `json:"errors,omitempty"`

	// Mode says what becomes of a request that is not permitted: enforce
	// refuses it; shadow logs and counts that it would have been, and hands it
	// on as the client sent it, with its credential and without identity.
	// Ambiguous targets and framing, upgrades that are not allowed, forged
	// identity headers and the portal's cookie are kept out in shadow too.
	// Default: enforce.
	Mode string `json:"mode,omitempty"`

	app       *App
	table     *policy.Table
	identity  identityNames
	ownership tenant.Places
	shadow    bool
	sources   source.Set
	logger    *zap.Logger
	metrics   *metrics
	enclosure *atomic.Pointer[enclosure]
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api_keys",
		New: func() caddy.Module { return new(Gate) },
	}
}

// Provision builds the route table and finds the app.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := ctx.App("api_keys")
	if err != nil {
		return fmt.Errorf("loading the api_keys app: %w", err)
	}
	site := app.(*App).siteOf(ctx, g)
	g.app = app.(*App)
	watchErrorRoutes(ctx.Modules())
	g.logger = ctx.Logger().With(zap.Strings("site", site.Hosts))
	catalogue, err := g.Build()
	if err != nil {
		return err
	}
	if err := g.app.addSite(g, catalogue); err != nil {
		return err
	}
	if g.metrics, err = newMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	g.warnOfLogs(ctx, site)
	if g.shadow {
		g.logger.Warn("mode shadow: what is not permitted is logged and counted, and forwarded all the same")
	}
	return nil
}

// Check says what [Gate.Build] would, and leaves the configuration as it is
// written. It is what adapting a Caddyfile does to report mistakes with their
// places.
func (g *Gate) Check() (*policy.Catalogue, error) { return g.copied().Build() }

// CheckSettings is [Gate.Check] without the scopes and routes.
func (g *Gate) CheckSettings() error { return g.copied().settings() }

func (g *Gate) copied() *Gate {
	c := *g
	if g.CORS != nil {
		cors := *g.CORS
		c.CORS = &cors
	}
	return &c
}

// Build checks the configuration and makes the gate ready to decide, all but
// finding the app. The catalogue is that of the site's scopes.
func (g *Gate) Build() (*policy.Catalogue, error) {
	g.enclosure = new(atomic.Pointer[enclosure])
	if err := g.settings(); err != nil {
		return nil, err
	}
	t, err := g.Declared()
	if err != nil {
		return nil, err
	}
	if err := g.ownership.Add(t.OwnerQuery, t.OwnerBody, t.OwnerMessage); err != nil {
		return nil, fmt.Errorf("include %s: %w", strings.Join(g.Include, " "), err)
	}
	list, err := g.descriptors()
	if err != nil {
		return nil, err
	}
	if err := g.ownership.Compile(list); err != nil {
		return nil, err
	}
	if g.table, err = policy.SharedTable(t.Routes, g.Owner[0], g.Owner[1]); err != nil {
		return nil, err
	}
	if err := g.ownersAreNamed(); err != nil {
		return nil, err
	}
	return policy.CatalogueOf(t.Scopes, g.table.Rules())
}

// Declared lists the scopes and routes of the site, with all of the tables
// that it includes.
func (g *Gate) Declared() (*tables.Table, error) {
	all := &tables.Table{Scopes: slices.Clone(g.Scope), Routes: slices.Clone(g.Route)}
	for i := range all.Routes {
		if all.Routes[i].Place == "" {
			all.Routes[i].Place = fmt.Sprintf("route[%d]", i)
		}
	}
	for _, name := range g.Include {
		t, err := tables.Shipped(name)
		if err != nil {
			return nil, fmt.Errorf("include: %w", err)
		}
		all.Scopes, all.Routes = append(all.Scopes, t.Scopes...), append(all.Routes, t.Routes...)
		all.OwnerQuery, all.OwnerBody = append(all.OwnerQuery, t.OwnerQuery...), append(all.OwnerBody, t.OwnerBody...)
		all.OwnerMessage = append(all.OwnerMessage, t.OwnerMessage...)
	}
	return all, nil
}

// ownersAreNamed refuses names of variables that no route has: with a slip in
// the option owner, ownership would be checked nowhere.
func (g *Gate) ownersAreNamed() error {
	for i, name := range g.Owner {
		if name == defaultOwner[i] || len(g.OwnerQuery)+len(g.OwnerBody)+len(g.OwnerMessage) > 0 {
			continue
		}
		if !slices.ContainsFunc(g.table.Rules(), func(r *policy.Rule) bool {
			return slices.ContainsFunc(r.Parsed().Variables, func(v policy.Variable) bool { return v.Name == name })
		}) {
			return fmt.Errorf("%w {%s}, so nothing would be checked by it; name the variables that the routes have (%s where there is none)", ErrOwnerUnused, name, defaultOwner[i])
		}
	}
	return nil
}

// ErrOwnerUnused is the mistake of a name in the option owner that no route
// has.
var ErrOwnerUnused = errors.New("owner: no route has a variable")

// defaultOwner are the names of the variables unless the option owner says
// otherwise.
var defaultOwner = [2]string{"user_id", "app_id"}

// clarifaiSession is the header in which Clarifai's clients send a session.
const clarifaiSession = "X-Clarifai-Session-Token"

// settings fills in defaults and checks what is not scopes and routes.
func (g *Gate) settings() error {
	switch len(g.Owner) {
	case 0:
		g.Owner = defaultOwner[:]
	case 2:
		if g.Owner[0] == g.Owner[1] {
			return fmt.Errorf("owner: the owner and the app can't both be {%s}", g.Owner[0])
		}
	default:
		return errors.New("owner: give two names, that of the path variable for the owner and that for the app")
	}
	if err := g.provisionOwnership(); err != nil {
		return err
	}
	switch g.IdentityHeaders {
	case "off":
	case "":
		g.IdentityHeaders = "X-Caller-"
		fallthrough
	default:
		if strings.Trim(g.IdentityHeaders, "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" ||
			!strings.HasSuffix(g.IdentityHeaders, "-") || len(g.IdentityHeaders) < 3 {
			return fmt.Errorf("identity_headers %q: give a prefix of letters, digits and - that ends in -, as X-Caller-, or off", g.IdentityHeaders)
		}
		g.identity = newIdentityNames(strings.ToLower(g.IdentityHeaders))
	}
	if err := g.provisionSources(); err != nil {
		return err
	}
	if g.Upgrade != "" && g.Upgrade != "websocket" {
		return fmt.Errorf("upgrade %q: only websocket can be allowed", g.Upgrade)
	}
	if g.CORS != nil {
		if err := g.CORS.provision(g.sources.Logged().Headers); err != nil {
			return err
		}
	}
	if !slices.Contains([]string{"", "clarifai", "problem", "caddy"}, g.Errors) {
		return fmt.Errorf("errors %q: use clarifai, problem or caddy", g.Errors)
	}
	switch g.Mode {
	case "", "enforce":
		g.shadow = false
	case "shadow":
		g.shadow = true
	default:
		return fmt.Errorf("mode %q: use enforce or shadow", g.Mode)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
