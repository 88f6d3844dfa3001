package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// maxDecisions bounds how often one request is decided again because what it
// was decided by changed meanwhile.
const maxDecisions = 16

// ServeHTTP decides on a request, and hands it on or refuses it.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if wire.InChunks(r) {
		next = chunked{next}
	}
	if g.CORS == nil {
		return g.answerBroken(w, r, g.serve(w, r, next))
	}
	w, cw := g.crossOrigin(w, r)
	err := g.answerBroken(w, r, g.serve(w, r, next))
	if err != nil {
		cw.settle() // what Caddy answers with instead goes past this writer
	}
	return err
}

// answerBroken answers a request that was refused while it was served.
func (g *Gate) answerBroken(w http.ResponseWriter, r *http.Request, err error) error {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return g.refuse(w, r, refused)
	}
	return err
}

// serve goes through the steps in their order; the first that fails answers.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// 1 Target.
	path, rule, refused := g.address(r)
	if refused != nil {
		return g.refuseAlways(w, r, rule, refused)
	}
	if g.isPreflight(r) {
		logFields(r, zap.Stringer("reason", authz.Preflight))
		g.preflight(w, r, path)
		return nil
	}

	next = g.guardForm(r, path, rule, next)

	// 2 Public.
	q := g.ask(r, path, rule)
	if q.public() {
		q.note(r, &verdict{})
		return g.forwardPublic(w, r, rule, next)
	}

	// 3 One credential.
	lease, refused := q.present(r)
	if refused != nil {
		return q.deny(w, r, next, &verdict{refused: refused})
	}
	admitted := false // then the request exits once it is over
	defer func() {
		if !admitted {
			lease.Exit(q.digest)
		}
	}()

	for range maxDecisions {
		// 4 to 8.
		v := q.decide(r.Context())
		if v.good {
			lease.Used(v.credential, func() string { return clientAddress(r) })
		}
		if v.refused != nil {
			return q.deny(w, r, next, &v)
		}
		// What the body names is looked at once the rest permits it, so that
		// nobody unknown has anything read; then all is decided again.
		if !q.inspected && rule != nil && g.ownership.Inspects(r, rule.Method == policy.MethodGRPC) {
			if v.refused = q.inspect(w, r, &v); v.refused != nil {
				return q.deny(w, r, next, &v)
			}
			continue
		}
		// 9 Forward, unless what it was decided by has changed meanwhile.
		if f := q.forward(&v, w, r); f.admit(&v) {
			admitted = true
			q.note(r, &v)
			return f.serve(w, r, next)
		}
	}
	return q.deny(w, r, next, &verdict{refused: refuseUnavailable(
		fmt.Errorf("what the request was decided by changed %d times meanwhile", maxDecisions))})
}

// address is step 1: which route a request addresses, nil for none, and
// whether what it says is said without ambiguity. The route is looked for
// first, because it may allow an escaped slash.
func (g *Gate) address(r *http.Request) (path string, rule *policy.Rule, refused *refusal) {
	g.dropForged(r)
	path = r.URL.EscapedPath()
	method := r.Method
	if g.isPreflight(r) {
		method = r.Header.Get("Access-Control-Request-Method")
	}
	rule = g.table.Find(method, wire.IsGRPC(r), path)
	if refused = g.checkReading(r, path, rule); refused != nil {
		return path, rule, refused
	}
	rule, near := g.table.Settle(rule, method, wire.IsGRPC(r), path)
	if near != nil {
		refused = refuseAs(authz.NearLiteral)
	}
	return path, rule, refused
}

// checkReading refuses a request that doesn't have exactly one reading.
func (g *Gate) checkReading(r *http.Request, path string, rule *policy.Rule) *refusal {
	if !policy.KnownMethod(r.Method) {
		return refuseUnknownMethod(r.Method)
	}
	if err := g.checkTarget(r, path, rule); err != nil {
		return refuseTarget(err)
	}
	return nil
}

// ask makes the question that a request is, except for its credential.
func (g *Gate) ask(r *http.Request, path string, rule *policy.Rule) question {
	q := question{gate: g, rule: rule, method: r.Method}
	switch {
	case rule != nil:
		var p tenant.Mention
		p.Add(tenant.Owner, rule.Owner(path))
		p.Add(tenant.App, rule.App(path))
		q.names.Take(p)
		g.ownership.Query(&q.names, r.URL.RawQuery)
	default:
		q.path = path
	}
	return q
}

// question is all that steps 4 to 8 need to know of a request. It is asked
// again, of the same request, when a change makes that necessary.
type question struct {
	gate *Gate
	// registry is what is asked who the caller is: the directory, but where a
	// decision is only explained.
	registry registry
	lease    *directory.Lease
	digest   credential.Digest
	session  bool // the credential stood in the session header
	rule     *policy.Rule
	// names are the owner and the app that the request names, in its body too
	// once that was inspected.
	names     tenant.Named
	inspected bool
	method    string
	// path is set where there is no rule.
	path string
}

// registry is as much of a [directory.Directory] as a decision needs.
type registry interface {
	Find(context.Context, credential.Digest) (*directory.Entry, error)
	Invitation(context.Context, keys.CollaboratorRef) (*directory.Entry, error)
	Standing(*directory.Entry) keys.Standing
}

// verdict is the answer to a question: the entries that it rests on, and what
// is refused.
type verdict struct {
	credential, invitation, everyone *directory.Entry
	// good is true if the credential is, whatever it permits.
	good bool
	// owner and app are what was named, empty where nothing was.
	owner, app string
	refused    *refusal
}

// public is step 2.
func (q *question) public() bool { return q.rule != nil && q.rule.Accepts().Public() }

// clientAddress is where a request came from, as Caddy's trusted_proxies say.
func clientAddress(r *http.Request) string {
	if address, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		return address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// present is step 3: it finds the one credential that there has to be, and
// keeps the store open until the lease's Exit.
func (q *question) present(r *http.Request) (*directory.Lease, *refusal) {
	cred, refused := q.gate.credential(r)
	if refused != nil {
		return nil, refused
	}
	q.digest, q.session = credential.DigestOf(cred.Text), cred.Session
	if credential.FormOf(cred.Text) == credential.Forged {
		return nil, errUnknown
	}
	lease, err := q.gate.app.Directory()
	if err != nil {
		return nil, refuseUnavailable(err)
	}
	if !lease.Enter(q.digest) {
		return nil, refuseUnavailable(keys.ErrClosed)
	}
	q.lease, q.registry = lease, lease.Directory
	return lease, nil
}

// decide is steps 4 to 8.
func (q *question) decide(ctx context.Context) (v verdict) {
	// 4 Credential known, and good.
	e, err := q.registry.Find(ctx, q.digest)
	if err != nil {
		v.refused = refuseUnavailable(err)
		return v
	}
	if !e.Exists() || q.session && e.Caller().Kind != policy.Session {
		v.refused = errUnknown
		return v
	}
	v.credential = e
	switch q.registry.Standing(e) {
	case keys.Active:
	case keys.Expired:
		v.refused = errExpired
	case keys.Disabled:
		v.refused = errDisabled
	case keys.Suspended:
		v.refused = errSuspended
	default:
		v.refused = errUnknown
	}
	if v.refused != nil {
		return v
	}
	v.good = true

	// 5 Route known.
	if q.rule == nil {
		v.refused = q.noRoute()
		return v
	}

	// 6 Kind.
	caller := e.Caller()
	if !q.rule.Accepts().Kind(caller.Kind) {
		v.refused = refuseKind(q.rule)
		return v
	}

	// 7 Ownership, and 8 scopes.
	var agree bool
	if v.owner, v.app, agree = q.names.Settle(caller); !agree {
		v.refused = errOwner
		return v
	}
	switch caller.Reaches(v.owner, v.app) {
	case policy.Own:
		// What is told to the upstream as the app is an id at the least.
		if v.app != "" && keys.CheckID("app_id", v.app) != nil {
			v.refused = errOwner
			return v
		}
		if !caller.Grant.Permits(q.rule) {
			v.refused = refuseScopes(q.rule, q.rule.Lacking(&caller.Grant))
		}
	case policy.Invited:
		q.decideInvited(ctx, &v)
	default:
		v.refused = errOwner
	}
	return v
}

// decideInvited decides on someone else's app: the caller's own invitation or
// everyone's has to permit the request, as well as the credential.
func (q *question) decideInvited(ctx context.Context, v *verdict) {
	caller := v.credential.Caller()
	ref := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: v.owner, AppID: v.app}, UserID: caller.UserID}
	// Both are read, whichever will do: the request depends on both from here
	// on, and ends when what remains of them permits it no longer.
	var err error
	if v.invitation, err = q.registry.Invitation(ctx, ref); err != nil {
		v.refused = refuseUnavailable(err)
		return
	}
	ref.UserID = keys.Everyone
	if v.everyone, err = q.registry.Invitation(ctx, ref); err != nil {
		v.refused = refuseUnavailable(err)
		return
	}
	own := &caller.Grant
	for _, inv := range [...]*directory.Entry{v.invitation, v.everyone} {
		if !inv.Exists() {
			continue
		}
		if own.Permits(q.rule) && inv.Grant().Permits(q.rule) {
			v.refused = nil
			return
		}
		if v.refused == nil {
			v.refused = refuseScopes(q.rule, q.rule.Lacking(own, inv.Grant()))
		}
	}
	if v.refused == nil {
		v.refused = errOwner
	}
}

// inspect adds what the body names.
func (q *question) inspect(w http.ResponseWriter, r *http.Request, v *verdict) *refusal {
	q.inspected = true
	// A copy: what reads the body would have q allocated for every request.
	named := q.names
	defer func() { q.names = named }()
	if !q.gate.ownership.InMessages(r) {
		return refuseInspected(q.gate.ownership.ReadBody(w, r, &named))
	}
	m, err := q.gate.ownership.ReadMessage(w, r, &named)
	if err == nil {
		caller, first := v.credential.Caller(), named
		var note func(*tenant.Error)
		if q.gate.shadow {
			note = q.noteLater(r, v)
		}
		m.Watch(func(later tenant.Named) bool { return tenant.Agree(caller, first, later) }, note)
	}
	return refuseInspected(err)
}

func (q *question) noRoute() *refusal {
	// A POST to a path that only gRPC calls have is another matter than a
	// method.
	if allow := q.gate.table.Allowed(q.path); len(allow) > 0 && !slices.Contains(allow, q.method) {
		return refuseMethod(allow)
	}
	return errNoRoute
}

// deny refuses a request. In shadow mode it says so, and hands it on.
func (q *question) deny(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, v *verdict) error {
	if q.gate.shadow {
		q.note(r, v)
		return q.gate.forwardAsSent(w, r, next)
	}
	q.log(r, v)
	return q.gate.refuse(w, r, v.refused)
}

// refuseAlways refuses a request that shadow mode refuses too, and logs it
// there.
func (g *Gate) refuseAlways(w http.ResponseWriter, r *http.Request, rule *policy.Rule, refused *refusal) error {
	q, v := question{gate: g, rule: rule}, verdict{refused: refused}
	if policy.KnownMethod(r.Method) {
		q.method = r.Method // or else it is a text of the client's choice
	}
	if g.shadow {
		d := q.decision(&v)
		d.Enforced = true
		g.logDecision(r.Context(), &d, &v)
	}
	q.log(r, &v)
	return g.refuse(w, r, refused)
}
