package gateway

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
)

// note logs a decision of shadow mode, and counts it where it would have been
// a refusal. In mode enforce the access log says all.
func (q *question) note(r *http.Request, v *verdict) {
	if q.gate.shadow {
		d := q.decision(v)
		q.gate.logDecision(r.Context(), &d, v)
	}
}

// noteEnd is note for a request that would have been ended while it is served.
func (q *question) noteEnd(ctx context.Context, v *verdict) {
	d := q.decision(v)
	d.Decision = shadowlog.End
	q.gate.logDecision(ctx, &d, v)
}

// noteLater is noteEnd for a stream that would have been broken off.
func (q *question) noteLater(r *http.Request, v *verdict) func(*tenant.Error) {
	asked, allowed, ctx := *q, *v, r.Context()
	return func(why *tenant.Error) {
		later := allowed
		later.refused = refuseInspected(why)
		asked.noteEnd(ctx, &later)
	}
}

func (g *Gate) logDecision(ctx context.Context, d *shadowlog.Decision, v *verdict) {
	var reqID string
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		reqID, _ = repl.GetString("http.request.uuid")
	}
	g.logger.Info(shadowlog.Message, zap.String("uuid", reqID), zap.Inline(d))
	if v.refused != nil {
		if d.Enforced {
			return // the answer counts it
		}
		g.logCause(reqID, v.refused)
		g.metrics.shadowed(v.refused)
	}
}

// decision is what the log says of a verdict. It has nothing of the target
// but its route: a path may hold a credential, and the access log has it, by
// the uuid.
func (q *question) decision(v *verdict) shadowlog.Decision {
	d := shadowlog.Decision{Decision: shadowlog.Allow, Method: q.method}
	if q.rule != nil {
		d.Route = q.rule.Route.String()
		d.Scopes, d.Endpoints = q.rule.Scopes, q.rule.Endpoint
	}
	if v.credential != nil {
		c := v.credential.Caller()
		d.KeyID, d.KeyType, d.UserID = c.KeyID, c.Kind.String(), c.UserID
	}
	switch ref := v.refused; {
	case ref != nil:
		d.Decision = shadowlog.Refuse
		d.Step, d.Reason = int(ref.reason.Step()), ref.reason.String()
		d.Status, d.Code, d.Details = ref.status, int(ref.code), ref.details
		d.MissingScopes, d.MissingEndpoints, d.NoEndpoint = ref.lack.Scopes, ref.lack.Endpoints, ref.lack.NoEndpoint
	case q.public():
		d.Decision = shadowlog.Public
	}
	return d
}

// forwardAsSent hands on a request that would have been refused: with its
// credential, and without an identity. What the client forged of one is gone
// already, with its trailers.
func (g *Gate) forwardAsSent(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// Another gate in front of this one goes on looking into its messages.
	if m, ok := r.Body.(*tenant.Stream); ok && m.Of(&g.ownership) {
		r.Body = m.AsSent()
	}
	return next.ServeHTTP(w, r)
}
