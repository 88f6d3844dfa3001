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

	// mu guards what follows: before the request is admitted, and after the
	// handler has returned, neither the writer nor its connection is its own.
	mu    sync.Mutex
	over  bool        // ended, or left
	left  bool        // or not yet admitted
	timer *time.Timer // for the expiry; once ended, for the deadlines
	due   time.Time   // of timer
}

// forward is the request as it will be forwarded, once it is admitted.
func (q *question) forward(v *verdict, w http.ResponseWriter, r *http.Request) *forwarded {
	f := &forwarded{question: *q, identity: identify(v), w: w, left: true}
	f.ctx, f.cancel = context.WithCancel(r.Context())
	return f
}

// admit puts the request on the list. It returns false if what it was decided
// by holds no longer: then it is not forwarded, and has to be decided anew.
//
// A sweep may have come by the request meanwhile, and rechecks it when it may.
// So it is admitted only if it wasn't ended, and is over if it isn't admitted:
// the writer, and the connection, are then another's.
func (f *forwarded) admit(v *verdict) bool {
	admitted := f.question.lease.Admit(&f.live, f, v.credential, v.invitation, v.everyone)
	f.mu.Lock()
	admitted = admitted && !f.over
	f.left, f.over = !admitted, !admitted
	if !admitted && f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	if !admitted {
		f.question.lease.Leave(&f.live)
		f.cancel()
		return false
	}
	f.arm(v.credential)
	return true
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
	err := next.ServeHTTP(w, r.WithContext(f.ctx))
	if m, ok := r.Body.(*messages); ok && err != nil {
		// The stream was broken off before the upstream answered.
		if refused := m.refusal(); refused != nil {
			return g.refuse(w, r, refused)
		}
	}
	return err
}

func (f *forwarded) leave() {
	f.question.lease.Leave(&f.live)
	f.mu.Lock()
	ended := f.over && !f.question.gate.shadow
	f.over, f.left = true, true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.cancel()
	if ended {
		// The answer may have been whole by then. With the deadline past,
		// net/http takes the client for gone, and would cancel every later
		// request on the connection, whoever's it is: so it is closed.
		panic(http.ErrAbortHandler)
	}
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

// maxArmed bounds how long a timer is trusted, for it doesn't see the clock
// being set, nor the machine asleep.
const maxArmed = time.Minute

// arm has the request decided again when its credential expires.
func (f *forwarded) arm(credential *keys.Entry) {
	if credential.Expiry().IsZero() {
		return // what was armed before finds nothing to end
	}
	left := min(credential.Expiry().Sub(f.question.lease.Now()), maxArmed)
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	// An earlier timer stays: it arms anew when it fires, and this call's
	// entry may be the older one.
	if f.over || f.timer != nil && f.due.After(now) && f.due.Before(now.Add(left)) {
		return
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.due, f.timer = now.Add(left), time.AfterFunc(left, f.expire)
}

// expire is Recheck by the timer, for which nobody else keeps the store open.
func (f *forwarded) expire() {
	lease := f.question.lease
	if !lease.Enter(f.question.digest) {
		return // closed, and so is the request
	}
	defer lease.Exit(f.question.digest)
	f.Recheck()
}

// end ends the request. In shadow mode it only says so, once.
func (f *forwarded) end(v *verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return
	}
	f.over = true
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.left {
		return // admit sees that it is over
	}
	if f.question.gate.shadow {
		f.question.noteEnd(f.ctx, v)
		return
	}
	f.question.gate.metrics.ended.Inc()
	f.cancel()
	f.cut()
}

// cut ends the request wherever it is stuck: in a slow upload (the read
// deadline), or in a response that nobody reads (the write deadline). Caddy
// sets deadlines of its own before each read and write (its idle timeouts), so
// it does so again until the handler has returned. It is called with mu held.
func (f *forwarded) cut() {
	if f.left {
		return
	}
	past := time.Unix(1, 0)
	rc := http.NewResponseController(f.w)
	// A writer without deadlines is a test's or a buffer's: there is no
	// connection to hold up.
	_ = rc.SetReadDeadline(past)
	if _, idle := caddyhttp.IdleTimeoutsFromContext(f.ctx); idle != nil {
		// Caddy's writer is the handler's alone, so past it.
		rc = idle.Ctrl
	}
	_ = rc.SetWriteDeadline(past)
	f.timer = time.AfterFunc(50*time.Millisecond, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cut()
	})
}

// forwardPublic hands on a request of a public route.
func (g *Gate) forwardPublic(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !g.ForwardCredential {
		g.stripCredential(r)
	}
	g.metrics.public.Inc()
	return next.ServeHTTP(w, r)
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
