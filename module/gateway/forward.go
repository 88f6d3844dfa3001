package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/serving"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/usage"
)

// forwarded is a request that asks for a credential, from its question to the
// end of what is served.
type forwarded struct {
	question
	serving.Request
	identity identity
	told     told
	broken   atomic.Bool // it was refused while it was served
}

// prepare makes the request ready to be admitted.
func (f *forwarded) prepare(v *verdict, w http.ResponseWriter, r *http.Request) {
	f.identity = identify(v)
	// A change may limit the caller when the body can't be read any more.
	f.contents.HandedOn = !f.contents.Read && r.Body != nil && r.Body != http.NoBody
	f.Prepare(f, f.lease, f.visit, w, r)
}

// serve hands an admitted request on: less the credential, with the caller's
// identity.
func (f *forwarded) serve(w http.ResponseWriter, r *http.Request, v *verdict, next caddyhttp.Handler) (err error) {
	whole := false
	// reverse_proxy leaves by a panic when a client goes away.
	defer func() { f.Leave(whole) }()
	d := f.decider
	d.stripCredential(r)
	d.tell(r.Header, &f.identity, &f.told)
	f.identity.asPlaceholders(r)
	d.observer.observe(f.Context(), &f.question, v, event{kind: forwardedEvent, live: f})
	// In place: handlers in front of the gate, and error routes, may serve the
	// request once the gate has returned, and end with it.
	*r = *r.WithContext(f.Context())
	if d.usage != nil {
		read := d.readUsage(w, r)
		defer func() {
			read.End()
			if used, ok := read.Used(); ok {
				f.charge.Settle(used)
			}
		}()
		w = read
	}
	err = next.ServeHTTP(w, r)
	if m, ok := r.Body.(*tenant.Stream); ok && err != nil {
		// The stream was broken off before the upstream answered.
		if broken := m.Broken(); broken != nil {
			err = &refused{inspected(broken)}
		}
	}
	if _, broken := errors.AsType[*refused](err); broken {
		f.broken.Store(true)
	}
	whole = err == nil && d.endsRequests(r)
	return err
}

// readUsage returns a writer that reads from the response how much the request used.
func (s *Site) readUsage(w http.ResponseWriter, r *http.Request) *usage.Writer {
	s.usage.Prepare(r)
	return s.usage.NewWriter(w)
}

// Decide implements [serving.Decider]. A request whose limits are not known any more
// ends, because a new one is refused.
func (f *forwarded) Decide(ctx context.Context) verdict {
	v := f.decide(ctx)
	if !v.Refused() {
		if err := v.Credential.Unbounded(); err != nil {
			v.Outcome = authz.Outcome{Reason: authz.StoreUnavailable, Err: err}
		}
	}
	return v
}

// Over implements [serving.Decider].
func (f *forwarded) Over() { f.release() }

// End implements [serving.Decider]. In mode shadow the request goes on.
func (f *forwarded) End(ctx context.Context, v *verdict) bool {
	if f.decider.shadow {
		f.observe(ctx, v, wouldEndEvent)
		return false
	}
	f.decider.observer.observe(ctx, &f.question, v, event{kind: endedEvent})
	return true
}
