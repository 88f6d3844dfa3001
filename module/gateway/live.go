package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// forwarded is a request that was let through, for as long as it is served.
// Which one will live long can't be known, so each is on the directory's list
// and ends when its credential does.
type forwarded struct {
	live     keys.Live
	question question
	identity identity
	told     told
	w        http.ResponseWriter
	ctx      context.Context
	cancel   context.CancelFunc

	// mu guards what follows: after the handler has returned, neither the
	// writer nor its connection is this request's any more.
	mu     sync.Mutex
	over   bool
	expiry *time.Timer
}

// admit puts a request that is to be forwarded on the list. It returns false
// if what it was decided by holds no longer.
func (q *question) admit(v *verdict, w http.ResponseWriter, r *http.Request) (*forwarded, bool) {
	f := &forwarded{question: *q, identity: identify(v), w: w}
	f.ctx, f.cancel = context.WithCancel(r.Context())
	if !q.directory.Admit(&f.live, f, v.credential, v.invitation, v.everyone) {
		f.cancel()
		return nil, false
	}
	f.arm(v.credential)
	return f, true
}

// serve hands the request on: less the credential, with the caller's identity.
func (f *forwarded) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// reverse_proxy leaves by a panic when a client goes away.
	defer f.leave()
	g := f.question.gate
	if !g.ForwardCredential {
		g.stripCredential(r)
	}
	g.tell(r.Header, &f.identity, &f.told)
	if repl, ok := f.ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(f.identity.placeholder)
	}
	if extra, ok := f.ctx.Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Inline(&f.identity))
	}
	g.metrics.allowed.Inc()
	// A copy: the server fills in the trailers of the request it knows, when
	// the body has been read, and ours has none.
	handed := r.WithContext(f.ctx)
	handed.Trailer = nil
	err := next.ServeHTTP(w, handed)
	if m, ok := r.Body.(*messages); ok && err != nil {
		// The stream was broken off before the upstream answered.
		if refused := m.refusal(); refused != nil {
			return g.refuse(w, r, refused)
		}
	}
	return err
}

func (f *forwarded) leave() {
	f.question.directory.Leave(&f.live)
	f.mu.Lock()
	f.over = true
	if f.expiry != nil {
		f.expiry.Stop()
	}
	f.mu.Unlock()
	f.cancel()
}

// Recheck decides again, after a change, and ends the request if it is
// refused now. Where nothing can be read, it is ended too.
func (f *forwarded) Recheck() {
	if v := f.question.decide(context.Background()); v.refused != nil {
		f.end(&v)
	} else {
		f.arm(v.credential)
	}
}

// arm has the request decided again when its credential expires.
func (f *forwarded) arm(credential *keys.Entry) {
	expiry := credential.Expiry()
	if expiry.IsZero() {
		return // what was armed before finds nothing to end
	}
	left := expiry.Sub(f.question.directory.Now())
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.expiry != nil {
		f.expiry.Stop()
	}
	if !f.over {
		f.expiry = time.AfterFunc(left, f.Recheck)
	}
}

// end ends the request wherever it is: waiting for the upstream (cancel), in a
// slow upload (the read deadline), in a response that nobody reads (the write
// deadline). In shadow mode it only says so, once.
func (f *forwarded) end(v *verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	if f.question.gate.shadow {
		f.question.noteEnd(f.ctx, v)
		return
	}
	f.question.gate.metrics.ended.Inc()
	f.cancel()
	past := time.Unix(1, 0)
	rc := http.NewResponseController(f.w)
	// A writer without deadlines is a test's or a buffer's: there is no
	// connection to hold up.
	_ = rc.SetReadDeadline(past)
	_ = rc.SetWriteDeadline(past)
}

// forwardPublic hands on a request of a public route.
func (g *Gate) forwardPublic(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !g.ForwardCredential {
		g.stripCredential(r)
	}
	g.metrics.public.Inc()
	handed := new(http.Request)
	*handed = *r
	handed.Trailer = nil
	return next.ServeHTTP(w, handed)
}

// log adds to the access log who was refused.
func (g *Gate) log(r *http.Request, v *verdict) {
	if v.credential == nil {
		return
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		id := identify(v)
		extra.Add(zap.Inline(&id))
	}
}

// MarshalLogObject makes the identity fields of the access log, beside
// Caddy's own user_id.
func (id *identity) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("key_id", id.keyID)
	enc.AddString("key_type", id.keyType)
	if id.appID != "" {
		enc.AddString("owner_id", id.ownerID)
		enc.AddString("app_id", id.appID)
	}
	return nil
}
