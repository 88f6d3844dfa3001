package gateway

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// maxDecisions bounds how often one request is decided anew because what it
// was decided by changed meanwhile.
const maxDecisions = 16

// ServeHTTP decides on a request, in the order of the steps below, and hands
// it on or refuses it.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	g.dropForged(r.Header)

	// 1 Target. The route comes first, for it may allow an escaped slash.
	path := r.URL.EscapedPath()
	rule := g.table.Find(r.Method, isGRPC(r), path)
	if why := g.checkTarget(r, path, rule); why != "" {
		return g.refuse(w, r, refuseTarget(why))
	}
	if g.CORS != nil {
		var done bool
		if w, done = g.crossOrigin(w, r, path); done {
			return nil
		}
	}

	// 2 Public.
	if rule != nil && rule.Accepts().Public() {
		return g.forwardPublic(w, r, next)
	}

	// 3 One credential.
	cred, refused := g.credential(r)
	if refused != nil {
		return g.refuse(w, r, refused)
	}

	q := question{gate: g, digest: keys.DigestOf(cred.text), session: cred.session, rule: rule}
	switch {
	case rule != nil:
		q.owner, q.app = rule.Owner(path), rule.App(path)
	default:
		q.method, q.path = r.Method, path
	}
	if keys.FormOf(cred.text) == keys.Forged {
		return g.refuse(w, r, refuseUnknown)
	}
	lease, err := g.app.Directory()
	if err != nil {
		return g.refuse(w, r, refuseUnavailable(err))
	}
	if !lease.Enter(q.digest) {
		return g.refuse(w, r, refuseUnavailable(keys.ErrClosed))
	}
	defer lease.Exit(q.digest)
	q.directory = lease.Directory

	for range maxDecisions {
		// 4 to 8.
		v := q.decide(r.Context())
		if v.refused != nil {
			g.log(r, v.credential, &q)
			return g.refuse(w, r, v.refused)
		}
		// 9 Forward, unless what it was decided by has changed meanwhile.
		if f, ok := q.admit(&v, w, r); ok {
			return f.serve(w, r, next)
		}
	}
	return g.refuse(w, r, refuseUnavailable(fmt.Errorf("what the request was decided by changed %d times meanwhile", maxDecisions)))
}

// question is all that steps 4 to 8 need to know of a request. It is asked
// again, of the same request, when a change makes that necessary.
type question struct {
	gate      *Gate
	directory *keys.Directory
	digest    keys.Digest
	session   bool // the credential stood in the session header
	rule      *policy.Rule
	// owner and app are what the request names, empty where it names none.
	owner, app string
	// method and path are set where there is no rule.
	method, path string
}

// verdict is the answer to a question: the entries that it rests on, and what
// is refused.
type verdict struct {
	credential, invitation, everyone *keys.Entry
	refused                          *refusal
}

func (q *question) decide(ctx context.Context) (v verdict) {
	// 4 Credential known, and good.
	e, err := q.directory.Find(ctx, q.digest)
	if err != nil {
		v.refused = refuseUnavailable(err)
		return v
	}
	if !e.Exists() || q.session && e.Caller().Kind != policy.Session {
		v.refused = refuseUnknown
		return v
	}
	v.credential = e
	switch q.directory.Standing(e) {
	case keys.Active:
	case keys.Expired:
		v.refused = refuseExpired
	case keys.Disabled:
		v.refused = refuseDisabled
	case keys.Suspended:
		v.refused = refuseSuspended
	default:
		v.refused = refuseUnknown
	}
	if v.refused != nil {
		return v
	}

	// 5 Route known.
	if q.rule == nil {
		v.refused = q.noRoute()
		return v
	}

	// 6 Kind.
	caller := e.Caller()
	if !q.rule.Accepts().Kind(caller.Kind) {
		v.refused = refuseKind
		return v
	}

	// 7 Ownership, and 8 scopes.
	switch caller.Reaches(q.owner, q.app) {
	case policy.Own:
		if !caller.Grant.Permits(q.rule) {
			v.refused = refuseScopes(q.rule, q.rule.Lacking(&caller.Grant))
		}
	case policy.Invited:
		q.decideInvited(ctx, &v)
	default:
		v.refused = refuseOwner
	}
	return v
}

// decideInvited decides on someone else's app: the caller's own invitation or
// everyone's has to permit the request, as well as the credential.
func (q *question) decideInvited(ctx context.Context, v *verdict) {
	caller := v.credential.Caller()
	ref := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: q.owner, AppID: q.app}, UserID: caller.UserID}
	// Both are read, whichever will do: the request depends on both from here
	// on, and ends when what remains of them permits it no longer.
	var err error
	if v.invitation, err = q.directory.Invitation(ctx, ref); err != nil {
		v.refused = refuseUnavailable(err)
		return
	}
	ref.UserID = keys.Everyone
	if v.everyone, err = q.directory.Invitation(ctx, ref); err != nil {
		v.refused = refuseUnavailable(err)
		return
	}
	own := &caller.Grant
	for _, inv := range [...]*keys.Entry{v.invitation, v.everyone} {
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
		v.refused = refuseOwner
	}
}

func (q *question) noRoute() *refusal {
	if allow := q.gate.table.Allowed(q.path); len(allow) > 0 {
		return refuseMethod(allow)
	}
	return refuseNoRoute
}
