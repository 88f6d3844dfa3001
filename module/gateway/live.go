package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// forwarded is a request that was let through, for as long as it is served.
// Which one will live long can't be known, so each is on the directory's list
// and ends when its credential does.
type forwarded struct {
	live     directory.Live
	question question
	identity identity
	told     told
	w        http.ResponseWriter
	// server is the request's context before the gate: it is done when the
	// server's own request ends. ctx is derived from it.
	server context.Context
	ctx    context.Context
	cancel context.CancelFunc
	// whole is true if nothing is served once the gate's handler has returned.
	whole bool
	// inner is the forwarded of a gate further on, where this one lingers.
	inner *forwarded

	// mu guards what follows: before the request is admitted, and after the
	// handler has returned, neither the writer nor its connection is its own.
	mu       sync.Mutex
	over     bool // ended, or finished
	finished bool
	lingers  bool
	left     bool         // returned, or not yet admitted
	returned bool         // the gate's handler has
	ended    authz.Reason // why the request was ended; 0 if it wasn't
	broken   *refusal     // why the request was refused while it was served
	timer    *time.Timer  // for the expiry; once ended, for the deadlines
	due      time.Time    // of timer
}

// forward is the request as it will be forwarded, once it is admitted.
func (q *question) forward(v *verdict, w http.ResponseWriter, r *http.Request) *forwarded {
	f := &forwarded{question: *q, identity: identify(v), w: w, server: r.Context(), left: true}
	f.ctx, f.cancel = context.WithCancel(f.server)
	return f
}

// admit puts the request on the list. It returns false if what it was decided
// by holds no longer: then it is not forwarded, and has to be decided again.
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
// It takes over the lease's Exit.
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
	logFields(r, zap.Inline(f))
	g.metrics.allowed.Inc()
	// In place: handlers in front of the gate, and error routes, may serve the
	// request once the gate has returned, and end with it.
	*r = *r.WithContext(f.ctx)
	err := next.ServeHTTP(w, r)
	if m, ok := r.Body.(*tenant.Stream); ok && err != nil {
		// The stream was broken off before the upstream answered.
		if refused := refuseInspected(m.Broken()); refused != nil {
			err = refused
		}
	}
	if refused, ok := errors.AsType[*refusal](err); ok {
		f.mu.Lock()
		f.broken = refused
		f.mu.Unlock()
	}
	f.whole = err == nil && g.endsRequests(r)
	return err
}

// leave is the return of the gate's handler, after which neither the writer
// nor the connection is touched. The request stays on the list until the
// server's own request ends: an error route, or a handler in front of the gate,
// may serve a stream instead.
func (f *forwarded) leave() {
	f.mu.Lock()
	ended := f.ended != 0
	lingers := f.lingers
	f.left, f.returned, f.lingers = true, true, true
	if ended && f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	switch {
	case ended:
		f.finish()
		// The answer may have been whole by then. With the deadline past,
		// net/http takes the client for gone, and would cancel every later
		// request on the connection, from any client: so it is closed.
		panic(http.ErrAbortHandler)
	case f.whole || f.server.Done() == nil || f.server.Err() != nil:
		f.finish()
	case !lingers:
		f.linger()
	default: // it lingers on
	}
}

// finish takes the request off the list, once the server's request is over.
func (f *forwarded) finish() {
	f.mu.Lock()
	again := f.finished
	f.finished, f.over = true, true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	if again {
		return
	}
	f.question.lease.Leave(&f.live)
	f.cancel()
	f.question.lease.Exit(f.question.digest)
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

// maxArmed bounds how long a timer is trusted, because it doesn't see the clock
// being set, nor the machine asleep.
const maxArmed = time.Minute

// arm has the request decided again when its credential ends: when it
// expires, or when its session has been idle too long. A live request is no use
// of a session; a new request is, and moves the end.
func (f *forwarded) arm(credential *directory.Entry) {
	ends := credential.Ends()
	if ends.IsZero() {
		return // what was armed before finds nothing to end
	}
	left := min(ends.Sub(f.question.lease.Now()), maxArmed)
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	// An earlier timer stays: it is set again when it fires, and this call's
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
	if f.left && !f.returned {
		return // admit sees that it is over
	}
	if f.question.gate.shadow {
		f.question.noteEnd(f.ctx, v)
		return
	}
	f.ended = v.refused.reason
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
func (g *Gate) forwardPublic(w http.ResponseWriter, r *http.Request, rule *policy.Rule, next caddyhttp.Handler) error {
	if !g.ForwardCredential {
		g.stripCredential(r)
	}
	g.metrics.public.Inc()
	logFields(r, zap.Inline(publicLog{rule}))
	return next.ServeHTTP(w, r)
}
