package gateway

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// logFields adds fields to the access log of a request. None of them has a
// value that a client chooses, except IDs that the store knows.
func logFields(r *http.Request, fields ...zap.Field) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		for _, f := range fields {
			extra.Add(f)
		}
	}
}

// log tells the access log, and the placeholders of handlers further on, who
// sent a request and which route it addressed. If it was refused, the refusal
// tells the reason.
func (q *question) log(r *http.Request, v *verdict) {
	entry := decidedLog{rule: q.rule, allowed: v.refused == nil}
	if v.credential != nil {
		id := identify(v)
		entry.caller = &id
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Map(id.placeholder)
		}
	}
	logFields(r, zap.Inline(entry))
}

// decidedLog is what the access log says of a request that the gate doesn't
// forward: the caller, nil if unknown, and the route, nil if there is none.
type decidedLog struct {
	caller  *identity
	rule    *policy.Rule
	allowed bool
}

// MarshalLogObject adds the fields.
func (l decidedLog) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if l.allowed {
		enc.AddString("reason", authz.Allowed.String())
	}
	addRoute(enc, l.rule)
	if l.caller == nil {
		return nil
	}
	return l.caller.MarshalLogObject(enc)
}

// publicLog is what the access log says of a public route's request.
type publicLog struct{ rule *policy.Rule }

// MarshalLogObject adds the fields.
func (l publicLog) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("reason", authz.Public.String())
	addRoute(enc, l.rule)
	return nil
}

// MarshalLogObject adds what the access log says of an admitted request: the
// caller, the route, and why the request was ended if a change ended it.
func (f *forwarded) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	f.mu.Lock()
	ended, broken := f.ended, f.broken
	f.mu.Unlock()
	if broken == nil { // or the refusal says why
		enc.AddString("reason", authz.Allowed.String())
	}
	addRoute(enc, f.question.rule)
	if ended != 0 {
		enc.AddString("ended", ended.String())
	}
	return f.identity.MarshalLogObject(enc)
}

// MarshalLogObject adds the identity, beside Caddy's own user_id.
func (id *identity) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("key_id", id.keyID)
	enc.AddString("key_type", id.keyType)
	if id.appID != "" {
		enc.AddString("owner_id", id.ownerID)
		enc.AddString("app_id", id.appID)
	}
	return nil
}

// MarshalLogObject adds why a request was refused.
func (ref *refusal) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("reason", ref.reason.String())
	enc.AddInt("code", int(ref.code))
	if len(ref.lack.Scopes) > 0 {
		zap.Strings("missing_scopes", ref.lack.Scopes).AddTo(enc)
	}
	if len(ref.lack.Endpoints) > 0 {
		zap.Strings("missing_endpoints", ref.lack.Endpoints).AddTo(enc)
	}
	return nil
}

func addRoute(enc zapcore.ObjectEncoder, rule *policy.Rule) {
	if rule != nil {
		enc.AddString("route", rule.Route.String())
	}
}
