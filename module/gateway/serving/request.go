// Package serving has requests that were let through end when their credential
// does, for as long as they are served: by a handler behind the gate, by an
// error route, or by a handler in front of the gate.
package serving

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
)

// Verdict is a decision by the directory's entries.
type Verdict = authz.Verdict[*directory.Entry]

// Decider decides on one request.
type Decider interface {
	// Decide decides on the request again.
	Decide(context.Context) Verdict
	// End is told that the request is refused now, before it is ended. It
	// returns false if the request is to go on all the same.
	End(context.Context, *Verdict) bool
	// Over is called once when an admitted request is over.
	Over()
}

// Request is a request that is let through, for as long as it is served. Which
// one will live long can't be known, so each is on the directory's list. It is
// part of the request's own memory, so that nothing is allocated for it.
//
// A Request is prepared, admitted, and then served: by the handlers behind the
// gate, after which [Request.Leave] is called.
type Request struct {
	decider Decider
	lease   *directory.Lease
	visit   directory.Visit
	listed  directory.Live
	w       http.ResponseWriter
	// server is the request's context before the gate: it is done when the
	// server's own request ends. ctx is derived from it.
	server context.Context
	ctx    context.Context
	cancel context.CancelFunc
	// inner is the request of a gate further on, where this one lingers.
	inner *Request

	// mu guards what follows: before the request is admitted, and after the
	// handler has returned, neither the writer nor its connection is its own.
	mu       sync.Mutex
	over     bool // ended, or finished
	finished bool
	lingers  bool
	left     bool         // returned, or not yet admitted
	returned bool         // the gate's handler has
	ended    authz.Reason // why the request was ended; 0 if it wasn't
	timer    *time.Timer  // for the expiry; once ended, for the deadlines
	due      time.Time    // of timer
}

// Prepare makes a request ready to be admitted. The visit keeps the store open;
// an admitted request ends it by itself.
func (f *Request) Prepare(d Decider, lease *directory.Lease, visit directory.Visit, w http.ResponseWriter, r *http.Request) {
	f.decider, f.lease, f.visit = d, lease, visit
	f.w, f.server, f.left = w, r.Context(), true
	f.ctx, f.cancel = context.WithCancel(f.server)
}

// Admit puts the request on the list. It returns false if what it was decided
// by holds no longer: then it must not be forwarded, and has to be decided
// again, as another Request.
//
// A sweep may have come by the request meanwhile, and rechecks it when it may.
// So it is admitted only if it wasn't ended, and is over if it isn't admitted:
// the writer, and the connection, are then another's.
func (f *Request) Admit(v *Verdict) bool {
	admitted := f.lease.Admit(&f.listed, f, v.Credential, v.Collaborator, v.Everyone)
	f.mu.Lock()
	admitted = admitted && !f.over
	f.left, f.over = !admitted, !admitted
	if !admitted && f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	if !admitted {
		f.lease.Leave(&f.listed)
		f.cancel()
		return false
	}
	f.arm(v.Credential)
	return true
}

// Context is that of the request while it is served: it is done once the
// request is ended.
func (f *Request) Context() context.Context { return f.ctx }

// Ended returns why a change has ended the request, 0 if none has.
func (f *Request) Ended() authz.Reason {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ended
}

// Leave is the return of the gate's handler, after which neither the writer
// nor the connection is touched. Unless the request is whole, so that nothing is
// served any more, it stays on the list until the server's own request ends: an
// error route, or a handler in front of the gate, may serve a stream instead.
// It panics with [http.ErrAbortHandler] if the request was ended.
func (f *Request) Leave(whole bool) {
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
	case whole || f.server.Done() == nil || f.server.Err() != nil:
		f.finish()
	case !lingers:
		f.linger()
	default: // it lingers on
	}
}

// finish takes the request off the list, once the server's request is over.
func (f *Request) finish() {
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
	f.lease.Leave(&f.listed)
	f.cancel()
	f.decider.Over()
	f.visit.Exit()
}

// Recheck decides again, after a change, and ends the request if it is
// refused now. Where nothing can be read, it is ended too.
func (f *Request) Recheck() {
	if v := f.decider.Decide(context.Background()); v.Refused() {
		f.end(&v)
	} else {
		f.arm(v.Credential)
	}
}

// maxArmed bounds how long a timer is trusted, because it doesn't see the clock
// being set, nor the machine asleep.
const maxArmed = time.Minute

// arm has the request decided again when its credential ends: when it
// expires, or when its session has been idle too long. A live request is no use
// of a session; a new request is, and moves the end.
func (f *Request) arm(credential *directory.Entry) {
	ends := credential.Ends()
	if ends.IsZero() {
		return // what was armed before finds nothing to end
	}
	left := min(ends.Sub(f.lease.Now()), maxArmed)
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
func (f *Request) expire() {
	visit, open := f.lease.Enter()
	if !open {
		return // closed, and so is the request
	}
	defer visit.Exit()
	f.Recheck()
}

// end ends the request, and tells so once.
func (f *Request) end(v *Verdict) {
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
	if !f.decider.End(f.ctx, v) {
		return
	}
	f.ended = v.Reason
	f.cancel()
	f.cut()
}

// cut ends the request wherever it is stuck: in a slow upload (the read
// deadline), or in a response that nobody reads (the write deadline). Caddy
// sets deadlines of its own before each read and write (its idle timeouts), so
// it does so again until the handler has returned. It is called with mu held.
func (f *Request) cut() {
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
