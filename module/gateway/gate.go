package gateway

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/gateway/cors"
	"github.com/caddy-api-keys/gateway/module/gateway/serving"
	"github.com/caddy-api-keys/gateway/module/gateway/usage"
	"github.com/caddy-api-keys/gateway/module/policy"
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

	// Resource declares resources, such as a model, and where requests name them:
	// as variables of routes, fields of JSON bodies and fields of the query. A key
	// with resources may then address only the values that the key lists, in each of
	// these places. Other keys are not limited.
	//
	// The request of a limited key is refused if it names another value, or an empty
	// value, or one that is not text, such as a list. It is also refused if the gate
	// can't tell: the site doesn't declare the resource, the request is gRPC, or a
	// body or query names more than 100 values. A request that names no value is
	// permitted. Names of query fields are compared like those of OwnerQuery. If the
	// resource has body fields, the bodies of limited keys are read, and the rules of
	// OwnerBody, OwnerLimit and OwnerTimeout apply to them. Messages of a WebSocket
	// are not checked.
	// Default: none; keys with resources are then refused on this site.
	Resource []policy.Resource `json:"resource,omitempty"`

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

	// Usage is where responses report how much a request used, which replaces the cost
	// of the route.
	// Default: nowhere.
	Usage *usage.Config `json:"usage,omitempty"`

	// CORS lets scripts of other origins call. Off by default.
	CORS *cors.Config `json:"cors,omitempty"`

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

	decider *decider
}

// Source is a further place where a credential may stand.
type Source struct {
	// In is header or query.
	In string `json:"in"`
	// Name is the header's name, or the query field's.
	Name string `json:"name"`
}

// CaddyModule returns the Caddy module information.
func (*Gate) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.api_keys",
		New: func() caddy.Module { return new(Gate) },
	}
}

// Provision compiles the configuration and finds the app.
func (g *Gate) Provision(ctx caddy.Context) error {
	app, err := ctx.App("api_keys")
	if err != nil {
		return fmt.Errorf("loading the api_keys app: %w", err)
	}
	stands := app.(*App).placeOf(ctx, g)
	serving.WatchErrorRoutes(ctx.Modules())
	site, err := Compile(g)
	if err != nil {
		return err
	}
	site.place = stands
	logger := ctx.Logger().With(zap.Strings("site", stands.Hosts))
	if g.decider, err = newDecider(site, app.(*App), logger, ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	g.decider.endsRequests = serving.NewEnclosure(g).EndsRequests
	if err := g.decider.app.addSite(site); err != nil {
		return err
	}
	site.warnOfLogs(ctx, logger)
	if site.shadow {
		logger.Warn("mode shadow: what is not permitted is logged and counted, and forwarded all the same")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Gate)(nil)
	_ caddyhttp.MiddlewareHandler = (*Gate)(nil)
)
