package gateway

import (
	"context"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/metrics"
	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// eventKind is what became of a request.
type eventKind uint8

// What can become of a request.
const (
	// forwardedEvent: it is handed on, or the management API answers it.
	forwardedEvent eventKind = iota
	// answeredEvent: the gate answers it without refusing it.
	answeredEvent
	// refusedEvent: the gate refuses it.
	refusedEvent
	// sparedEvent: it is refused, and handed on because of mode shadow.
	sparedEvent
	// brokenOffEvent: it was handed on, and refused before it was answered.
	brokenOffEvent
	// endedEvent: it was handed on, and ended by a change.
	endedEvent
	// wouldEndEvent: as endedEvent or brokenOffEvent, and it goes on because of
	// mode shadow.
	wouldEndEvent
)

// event is what became of a request, with what there is to say about it.
type event struct {
	kind eventKind
	// answer is what the client is answered, or would be; nil unless the
	// verdict refuses.
	answer *answer.Answer
	// live is the request if it is forwarded with a credential.
	live *forwarded
}

// observer is told of all that becomes of requests. Nothing else counts, or
// logs.
type observer struct {
	logger  *zap.Logger
	metrics *metrics.Requests
	shadow  bool
}

// observe counts what became of a request, for the metrics and for its key, and
// logs it: in the access log, and in mode shadow as a decision.
func (o *observer) observe(ctx context.Context, q *question, v *verdict, e event) {
	q.count(v, e.kind)
	switch e.kind {
	case forwardedEvent:
		o.metrics.Forwarded(v.Reason)
		o.logAccess(ctx, q, v, e)
		o.logDecision(ctx, q, v, e)
	case answeredEvent:
		logFields(ctx, zap.Inline(accessEntry{reason: v.Reason}))
	case refusedEvent:
		o.metrics.Refused(e.answer)
		o.logFailure(ctx, &v.Outcome)
		o.logAccess(ctx, q, v, e)
		o.logDecision(ctx, q, v, e)
	case brokenOffEvent:
		o.metrics.Refused(e.answer)
		logFields(ctx, zap.Inline(answered{e.answer}))
	case sparedEvent, wouldEndEvent:
		o.metrics.Spared(e.answer)
		o.logFailure(ctx, &v.Outcome)
		o.logDecision(ctx, q, v, e)
	case endedEvent:
		o.metrics.Ended()
	}
}

// count counts a request in the activity of its key. A request that was handed on
// and refused later counts as both.
func (q *question) count(v *verdict, kind eventKind) {
	if v.Credential == nil {
		return
	}
	switch kind {
	case forwardedEvent:
		q.lease.Allowed(v.Credential, q.today)
	case sparedEvent:
		q.lease.Allowed(v.Credential, q.lease.Today())
	case refusedEvent, brokenOffEvent:
		q.lease.Refused(v.Credential, keys.NewCause(v.Reason.String(), v.Lack.Scopes, v.Lack.Endpoints))
	case answeredEvent, endedEvent, wouldEndEvent: // has no key, or was counted when it was forwarded
	}
}

// logFailure logs what the client is not told: why the store can't answer.
func (o *observer) logFailure(ctx context.Context, outcome *authz.Outcome) {
	if outcome.Reason.Unavailable() {
		o.logger.Error("the key store can't answer", zap.String("uuid", requestID(ctx)), zap.Error(outcome.Err))
	}
}

// logDecision logs a decision of mode shadow.
func (o *observer) logDecision(ctx context.Context, q *question, v *verdict, e event) {
	if o.shadow {
		d := decision(q, v, e)
		o.logger.Info(shadowlog.Message, zap.String("uuid", requestID(ctx)), zap.Inline(&d))
	}
}

// decision is what the log of mode shadow says. It has nothing of the target
// but its route: a path may hold a credential, and the access log has it, by
// the uuid.
func decision(q *question, v *verdict, e event) shadowlog.Decision {
	d := shadowlog.Decision{Decision: shadowlog.Allow, Enforced: e.kind == refusedEvent}
	if policy.KnownMethod(q.Method) {
		d.Method = q.Method // or else it is a text of the client's choice
	}
	if q.Rule != nil {
		d.Route = q.Rule.Route.String()
		d.Scopes, d.Endpoints = q.Rule.Scopes, q.Rule.Endpoint
	}
	if v.Credential != nil {
		c := v.Credential.Caller()
		d.KeyID, d.KeyType, d.UserID = c.KeyID, c.Kind.String(), c.UserID
	}
	if v.Reason == authz.Public {
		d.Decision = shadowlog.Public
	}
	if a := e.answer; a != nil {
		d.Decision = shadowlog.Refuse
		d.Step, d.Reason = int(a.Reason.Step()), a.Reason.String()
		d.Status, d.Code, d.Details = a.Status, int(a.Code), a.Details
		d.MissingScopes, d.MissingEndpoints, d.NoEndpoint = a.Lack.Scopes, a.Lack.Endpoints, a.Lack.NoEndpoint
	}
	if e.kind == wouldEndEvent {
		d.Decision = shadowlog.End
	}
	return d
}

// logAccess tells the access log of a request: the reason, the route, and the
// caller if one is known.
func (o *observer) logAccess(ctx context.Context, q *question, v *verdict, e event) {
	if e.live != nil {
		logFields(ctx, zap.Inline(e.live))
		return
	}
	entry := accessEntry{reason: v.Reason, rule: q.Rule, answer: e.answer}
	if v.Credential != nil {
		id := identify(v)
		entry.caller = &id
	}
	logFields(ctx, zap.Inline(entry))
}

// logFields adds fields to the access log of a request, if its server has one:
// Caddy's list of fields costs three allocations. None of the fields has a value
// that a client chooses, except IDs that the store knows.
func logFields(ctx context.Context, field zap.Field) {
	if server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs == nil {
		return
	}
	if extra, ok := ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(field)
	}
}

// accessEntry is what the access log says of a request that is not forwarded
// with a credential.
type accessEntry struct {
	reason authz.Reason
	rule   *policy.Rule   // nil if there is none
	caller *identity      // nil if unknown
	answer *answer.Answer // nil if it isn't refused
}

// MarshalLogObject adds the fields.
func (e accessEntry) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if e.answer == nil {
		enc.AddString("reason", e.reason.String())
	} else {
		addAnswer(enc, e.answer)
	}
	addRoute(enc, e.rule)
	if e.caller != nil {
		addCaller(enc, e.caller)
	}
	return nil
}

// MarshalLogObject adds what the access log says of a forwarded request, once
// it is over: why a change ended it, if one did.
func (f *forwarded) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if !f.broken.Load() { // or the answer says why
		enc.AddString("reason", authz.Allowed.String())
	}
	addRoute(enc, f.Rule)
	if ended := f.Ended(); ended != 0 {
		enc.AddString("ended", ended.String())
	}
	addCaller(enc, &f.identity)
	return nil
}

// answered is what the access log says beside of a request that was refused
// after it had been forwarded.
type answered struct{ *answer.Answer }

// MarshalLogObject adds the fields.
func (a answered) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	addAnswer(enc, a.Answer)
	return nil
}

func addAnswer(enc zapcore.ObjectEncoder, a *answer.Answer) {
	enc.AddString("reason", a.Reason.String())
	enc.AddInt("code", int(a.Code))
	if len(a.Lack.Scopes) > 0 {
		zap.Strings("missing_scopes", a.Lack.Scopes).AddTo(enc)
	}
	if len(a.Lack.Endpoints) > 0 {
		zap.Strings("missing_endpoints", a.Lack.Endpoints).AddTo(enc)
	}
}

func addRoute(enc zapcore.ObjectEncoder, rule *policy.Rule) {
	if rule != nil {
		enc.AddString("route", rule.Route.String())
	}
}

// addCaller adds the identity, beside Caddy's own user_id.
func addCaller(enc zapcore.ObjectEncoder, id *identity) {
	enc.AddString("key_id", id.keyID)
	enc.AddString("key_type", id.keyType)
	if id.appID != "" {
		enc.AddString("owner_id", id.ownerID)
		enc.AddString("app_id", id.appID)
	}
}

// requestID is what Caddy calls a request in its logs.
func requestID(ctx context.Context) string {
	id := ""
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		id, _ = repl.GetString("http.request.uuid")
	}
	return id
}

// asPlaceholders tells the placeholders of handlers further on who calls.
func (id *identity) asPlaceholders(r *http.Request) {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(id.placeholder)
	}
}
