package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/metrics"
	"github.com/caddy-api-keys/gateway/module/gateway/serving"
	"github.com/caddy-api-keys/gateway/module/gateway/source"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// decider decides on the requests of a site: it asks the app's directory, and
// an observer is told what became of them.
type decider struct {
	*Site
	app      *App
	observer *observer
	// endsRequests reports whether a request is over once the handler behind
	// the gate has returned without an error.
	endsRequests func(*http.Request) bool
}

func newDecider(s *Site, app *App, logger *zap.Logger, registry prometheus.Registerer) (*decider, error) {
	m, err := metrics.NewRequests(registry)
	if err != nil {
		return nil, err
	}
	return &decider{
		Site: s, app: app, observer: &observer{logger: logger, metrics: m, shadow: s.shadow},
		endsRequests: func(*http.Request) bool { return false },
	}, nil
}

// verdict is the answer to a question, with the directory's entries.
type verdict = serving.Verdict

// verdictOf is a verdict that only gives a reason.
func verdictOf(reason authz.Reason) verdict { return verdict{Outcome: authz.Outcome{Reason: reason}} }

// misread is the outcome for a request that has more than one reading.
func misread(err error) authz.Outcome { return authz.Outcome{Reason: authz.Target, Err: err} }

// inspected is the outcome for a body or a message that was looked into, and
// is refused.
func inspected(err *tenant.Error) authz.Outcome {
	if err.Problem == tenant.Foreign {
		return authz.Outcome{Reason: authz.Owner}
	}
	return misread(err)
}

// refused is the error by which a handler behind the gate tells it that the
// request is refused.
type refused struct{ authz.Outcome }

// Error names the reason.
func (r *refused) Error() string { return "refused: " + r.Reason.String() }

// question is what a request asks, and who answers. It is asked again, of the
// same request, when a change makes that necessary.
type question struct {
	authz.Question
	decider *decider
	// registry is the directory, except where a decision is only explained.
	registry authz.Registry[*directory.Entry]
	lease    *directory.Lease
	visit    directory.Visit
	// charge is what the request has taken from the limits of its credential.
	charge directory.Charge
	// left are the values of the RateLimit headers, which tell the client how much of
	// the limits is left.
	left [2]string
	// inspected reports that the body has been read for owner and app.
	inspected bool
	// query is the request's query. contents are the values of resources in its body.
	query    string
	contents tenant.Contents
	// address is the address that the request comes from.
	address string
	// managed is true if the management API answers the request. Such a request
	// addresses no resource.
	managed bool
	// today is the day on which a good credential was used, or 0.
	today keys.Date
}

// ask makes the question that a request is, except for its credential. The
// route is looked for first, because it may allow an escaped slash. The outcome
// refuses a request that doesn't have exactly one reading.
func (q *question) ask(r *http.Request) authz.Outcome {
	d := q.decider
	d.dropForged(r)
	q.Facts, q.address = q, clientAddress(r)
	q.Table, q.Method, q.Path, q.query = d.table, r.Method, r.URL.EscapedPath(), r.URL.RawQuery
	method := r.Method
	if d.cors.IsPreflight(r) {
		method = r.Header.Get("Access-Control-Request-Method")
	}
	grpc := wire.IsGRPC(r)
	q.contents = d.places.Look(r, grpc)
	q.Rule = d.table.Find(method, grpc, q.Path)
	if o := d.checkReading(r, q); o.Refused() {
		return o
	}
	var near *policy.Rule
	if q.Rule, near = d.table.Settle(q.Rule, method, grpc, q.Path); near != nil {
		return authz.Outcome{Reason: authz.NearLiteral}
	}
	if q.Rule != nil {
		var p policy.Mention
		p.AddOwner(q.Rule.Owner(q.Path))
		p.AddApp(q.Rule.App(q.Path))
		q.Named.Take(p)
		d.places.Query(&q.Named, q.query)
	}
	return authz.Outcome{Reason: authz.Allowed}
}

// checkReading refuses a request that doesn't have exactly one reading.
func (s *Site) checkReading(r *http.Request, q *question) authz.Outcome {
	if !policy.KnownMethod(r.Method) {
		return authz.Outcome{Reason: authz.MethodUnknown}
	}
	if err := s.checkTarget(r, q); err != nil {
		return misread(err)
	}
	return authz.Outcome{Reason: authz.Allowed}
}

// checkTarget refuses a request that the gate and an upstream could read
// differently, however the upstream reads it: its target, its framing, and
// attempts to leave HTTP.
func (s *Site) checkTarget(r *http.Request, q *question) error {
	rule, query := q.Rule, r.URL.RawQuery
	allowed := wire.Allowed{Slash: rule != nil && rule.AllowsEncodedSlash(), Colon: rule != nil && rule.AllowsColon()}
	if err := wire.CheckTarget(r, sentTarget(r), q.Path, allowed); err != nil {
		return err
	}
	if s.places.Decodes() && !tenant.Decodable(query) {
		return wire.ErrQueryEscape
	}
	if s.places.Reserved(query) {
		return wire.ErrQueryReserved
	}
	if query != "" && rule != nil {
		may := func(method string) bool { return s.table.MayOverride(rule, q.Path, method) }
		if err := wire.CheckOverride(query, may); err != nil {
			return err
		}
	}
	if err := wire.CheckFraming(r); err != nil {
		return err
	}
	return wire.CheckUpgrade(r)
}

// sentTarget returns the target as the client sent it. Handlers before the gate
// may have rewritten it.
func sentTarget(r *http.Request) string {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		return sent.RequestURI
	}
	return r.RequestURI
}

// credential finds the one credential that there has to be.
func (q *question) credential(r *http.Request) authz.Reason {
	found, err := q.decider.sources.Find(r)
	switch {
	case err == nil:
	case errors.Is(err, source.ErrMissing):
		return authz.CredentialMissing
	case errors.Is(err, source.ErrSeveral):
		return authz.CredentialSeveral
	default:
		return authz.CredentialMalformed
	}
	q.Digest, q.SessionOnly = credential.DigestOf(found.Text), found.Session
	if credential.FormOf(found.Text) == credential.Forged {
		return authz.CredentialUnknown
	}
	return authz.Allowed
}

// enter keeps the store open until the end of the visit, and asks its
// directory.
func (q *question) enter() authz.Outcome {
	lease, err := q.decider.app.Directory()
	if err != nil {
		return authz.Outcome{Reason: authz.StoreUnavailable, Err: err}
	}
	visit, open := lease.Enter()
	if !open {
		return authz.Outcome{Reason: authz.StoreUnavailable, Err: keys.ErrClosed}
	}
	q.lease, q.visit, q.registry = lease, visit, lease.Directory
	return authz.Outcome{Reason: authz.Allowed}
}

// decide takes the steps that need the credential's record.
func (q *question) decide(ctx context.Context) verdict {
	return authz.Decide(ctx, q.registry, &q.Question)
}

// used notes the use of a credential that is good, whatever it permits.
func (q *question) used(v *verdict) {
	if v.Known {
		q.today = q.lease.Used(v.Credential, q.address)
	}
}

// clientAddress is where a request came from, as Caddy's trusted_proxies say.
func clientAddress(r *http.Request) string {
	if address, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok {
		return address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refuse answers a request that is refused.
func (q *question) refuse(w http.ResponseWriter, r *http.Request, v *verdict) error {
	if v.Credential != nil {
		id := identify(v)
		id.asPlaceholders(r)
	}
	a := answer.To(&q.Question, &v.Outcome)
	q.decider.observer.observe(r.Context(), q, v, event{kind: refusedEvent, answer: a})
	return q.decider.write(w, r, a)
}

// write writes an answer in the site's form.
func (d *decider) write(w http.ResponseWriter, r *http.Request, a *answer.Answer) error {
	if d.form == answer.Caddy {
		d.stripCredential(r) // the error routes may lead to an upstream too
	}
	return a.Write(w, r, d.form, requestID(r.Context()))
}

var errChanging = fmt.Errorf("what the request was decided by changed %d times meanwhile", maxDecisions)
