package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// maxDecisions bounds how often one request is decided again because what it
// was decided by changed meanwhile.
const maxDecisions = 16

// ServeHTTP decides on a request, and hands it on or refuses it.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	d := g.decider
	wire.DropEmptyBody(r)
	if wire.InChunks(r) {
		next = chunked{next}
	}
	if d.cors == nil {
		return d.serve(w, r, next)
	}
	w, settle := d.cors.Guard(w, r)
	err := d.serve(w, r, next)
	if err != nil {
		settle() // what Caddy answers with instead goes past this writer
	}
	return err
}

// serve goes through the steps in their order; the first that refuses answers.
func (d *decider) serve(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// Target: the request has one reading.
	f := &forwarded{question: question{decider: d}}
	q := &f.question
	if o := q.ask(r); o.Refused() {
		return q.refuse(w, r, &verdict{Outcome: o})
	}
	if d.cors.IsPreflight(r) {
		return q.preflight(w, r)
	}
	next = d.guardForm(q, r, next)

	// Public: the route needs no credential.
	if q.Public() {
		return q.forwardPublic(w, r, next)
	}

	// Credential: there is exactly one.
	if reason := q.credential(r); reason != authz.Allowed {
		v := verdictOf(reason)
		return q.deny(w, r, next, &v)
	}
	if o := q.enter(); o.Refused() {
		return q.deny(w, r, next, &verdict{Outcome: o})
	}
	admitted := false // then the request exits once it is over
	defer func() {
		if !admitted {
			q.release()
			q.visit.Exit()
		}
	}()

	for range maxDecisions {
		// Known, route, kind, ownership, scopes, address.
		v := q.decide(r.Context())
		q.used(&v)
		if v.Refused() {
			return q.deny(w, r, next, &v)
		}
		// What the body names is looked at once the rest permits it, so that
		// nobody unknown has anything read; then all is decided again.
		if q.namesInBody(r, v.Credential.Caller()) {
			if err := q.inspect(w, r, &v); err != nil {
				v.Outcome = inspected(err)
				return q.deny(w, r, next, &v)
			}
			continue
		}
		// Limits: the cost of the request is taken once.
		if v.Outcome = q.takeLimits(w, r, &v); v.Refused() {
			return q.deny(w, r, next, &v)
		}
		// Forward, unless what it was decided by has changed meanwhile.
		f.prepare(&v, w, r)
		if f.Admit(&v) {
			admitted = true
			return q.brokenOff(w, r, &v, f.serve(w, r, &v, next))
		}
		f = &forwarded{question: *q}
		q = &f.question
		q.Facts, q.contents.HandedOn = q, false
	}
	v := verdict{Outcome: authz.Outcome{Reason: authz.StoreUnavailable, Err: errChanging}}
	return q.deny(w, r, next, &v)
}

// preflight answers a browser's question whether it may ask.
func (q *question) preflight(w http.ResponseWriter, r *http.Request) error {
	v := verdictOf(authz.Preflight)
	q.decider.observer.observe(r.Context(), q, &v, event{kind: answeredEvent})
	q.decider.cors.Preflight(w, r, q.Table.Allowed(q.Path))
	return nil
}

// forwardPublic hands on a request of a public route.
func (q *question) forwardPublic(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	v := verdictOf(authz.Public)
	q.decider.stripCredential(r)
	q.decider.observer.observe(r.Context(), q, &v, event{kind: forwardedEvent})
	forward := w
	if q.decider.usage != nil {
		read := q.decider.readUsage(w, r) // which keeps the header from the client
		defer read.End()
		forward = read
	}
	return q.brokenOff(w, r, &v, next.ServeHTTP(forward, r))
}

// namesInBody reports whether the body may name owner and app, or a resource of which
// the caller is limited to some values, and has not been read for that yet.
func (q *question) namesInBody(r *http.Request, caller *policy.Caller) bool {
	places := &q.decider.places
	return !q.inspected && q.Rule != nil && places.Inspects(r, q.Rule.Method == policy.MethodGRPC) ||
		!q.contents.Read && places.InspectsFor(caller.Resources, r)
}

// inspect adds what the body names.
func (q *question) inspect(w http.ResponseWriter, r *http.Request, v *verdict) *tenant.Error {
	q.inspected = true
	// A copy: what reads the body would have q allocated for every request.
	named := q.Named
	defer func() { q.Named = named }()
	places := &q.decider.places
	if !places.InMessages(r) {
		if places.InspectsFor(v.Credential.Caller().Resources, r) {
			q.contents.Read = true
			return places.ReadBody(w, r, &named, &q.contents)
		}
		return places.ReadBody(w, r, &named, nil)
	}
	m, err := places.ReadMessage(w, r, &named)
	if err == nil {
		caller, first := v.Credential.Caller(), named
		var note func(*tenant.Error)
		if q.decider.shadow {
			note = q.noteLater(r, v)
		}
		m.Watch(func(later policy.Named) bool { return policy.Agree(caller, first, later) }, note)
	}
	return err
}

// noteLater returns what tells of a later message of a stream that mode shadow
// lets pass.
func (q *question) noteLater(r *http.Request, v *verdict) func(*tenant.Error) {
	asked, later, ctx := *q, *v, r.Context()
	return func(why *tenant.Error) {
		later.Outcome = inspected(why)
		asked.observe(ctx, &later, wouldEndEvent)
	}
}

// deny refuses a request. In shadow mode it says so, and hands it on: with its
// credential, and without an identity. What the client forged of one is gone
// already, with its trailers.
func (q *question) deny(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, v *verdict) error {
	if !q.decider.shadow {
		return q.refuse(w, r, v)
	}
	q.observe(r.Context(), v, sparedEvent)
	// Another gate in front of this one goes on looking into its messages.
	if m, ok := r.Body.(*tenant.Stream); ok && m.Of(&q.decider.places) {
		r.Body = m.AsSent()
	}
	forward := w
	if q.decider.usage != nil {
		read := q.decider.usage.NewWriter(w)
		defer read.End()
		forward = read
	}
	return q.brokenOff(w, r, v, next.ServeHTTP(forward, r))
}

// observe tells of a request with the answer that it has, or would have had.
func (q *question) observe(ctx context.Context, v *verdict, kind eventKind) {
	q.decider.observer.observe(ctx, q, v, event{kind: kind, answer: answer.To(&q.Question, &v.Outcome)})
}

// brokenOff answers a request that a handler behind the gate refuses while it
// is served.
func (q *question) brokenOff(w http.ResponseWriter, r *http.Request, v *verdict, err error) error {
	late, ok := errors.AsType[*refused](err)
	if !ok {
		return err
	}
	v.Outcome = late.Outcome
	a := answer.To(&q.Question, &v.Outcome)
	q.decider.observer.observe(r.Context(), q, v, event{kind: brokenOffEvent, answer: a})
	return q.decider.write(w, r, a)
}
