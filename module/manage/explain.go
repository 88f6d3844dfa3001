package manage

import (
	"encoding/json"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// ExplainQuery asks how a request would be decided. The query has no credential:
// the caller is a stored key, named by its key ID, or a supposed one, or else
// nobody.
type ExplainQuery struct {
	// Method is the method of the request; grpc means a POST of application/grpc.
	Method string `json:"method"`
	// Target is the path and the query, as sent.
	Target string `json:"target"`
	// Headers are further header lines, such as "Origin: https://example.com".
	Headers []string `json:"headers,omitempty"`
	// Address is the client's address. Without one, the request comes from an address
	// that the key may be used from.
	Address string `json:"address,omitempty"`
	// Key is the key ID of the calling key.
	Key string `json:"key,omitempty"`
	// Caller is the supposed caller.
	Caller *ExplainCaller `json:"caller,omitempty"`
	// Site selects sites by host. By default every site with a gate is asked.
	Site string `json:"site,omitempty"`
	// Gates replace the gates of the running configuration.
	Gates []ExplainGate `json:"gates,omitempty"`
}

// ExplainCaller is a caller that needn't be in the store.
type ExplainCaller struct {
	// Kind is app_key (the default), pat or session.
	Kind string `json:"kind,omitempty"`
	// UserID and AppID are the credential's user and app. By default they are those
	// that the request names.
	UserID string `json:"user_id,omitempty"`
	AppID  string `json:"app_id,omitempty"`
	// Scopes are what the credential grants. Endpoints limits the credential unless
	// it is empty.
	Scopes    []string `json:"scopes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
}

// ExplainGate is a gate of a configuration with its hosts.
type ExplainGate struct {
	Hosts []string        `json:"hosts,omitempty"`
	Gate  json.RawMessage `json:"gate"`
}

// Explanation describes how one site would decide a request.
type Explanation struct {
	// Hosts are the hosts of the site.
	Hosts []string `json:"hosts,omitempty"`
	// Mode is the mode of the site: enforce or shadow. In shadow, refusals from
	// the third step on are forwarded nevertheless.
	Mode string `json:"mode"`
	// Outcome is allowed, public, preflight, refused or undecided.
	Outcome string `json:"outcome"`
	// Reason is the reason of the outcome, such as target, credential_missing or
	// scopes, or else allowed, public or preflight.
	Reason string `json:"reason"`
	// Status and Code are those of the gate's own answer, if it gives one.
	Status int  `json:"status,omitempty"`
	Code   Code `json:"code,omitempty"`
	// Details are the details of the answer, or explain why the gate never sees
	// the request.
	Details string `json:"details,omitempty"`
	// Route is the method and pattern of the route, or empty if there is none.
	// Scopes, Endpoints and Accept are what the route requires.
	Route     string   `json:"route,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	Accept    []string `json:"accept,omitempty"`
	// Steps are the steps of the decision, in order.
	Steps []ExplainStep `json:"steps"`

	// Lack is what the credential lacks, if the reason is scopes.
	Lack policy.Lack `json:"-"`
}

// Outcomes of a request.
const (
	OutcomeAllowed   = "allowed"
	OutcomePublic    = "public"    // forwarded without asking for a credential
	OutcomePreflight = "preflight" // answered by the gate
	OutcomeRefused   = "refused"
	OutcomeUndecided = "undecided" // the request never reaches the gate
)

// ExplainStep is one step of a decision.
type ExplainStep struct {
	// Step is the number of the step.
	Step int    `json:"step"`
	Name string `json:"name"`
	// Decided is passed, refused, answered, or skipped if the decision ended
	// before.
	Decided string `json:"decided"`
	// Saw describes the input of the step.
	Saw string `json:"saw,omitempty"`
	// Change describes what would change the result of the step.
	Change string `json:"change,omitempty"`
}

// Decisions of a step.
const (
	StepPassed   = "passed"
	StepRefused  = "refused"
	StepAnswered = "answered"
	StepSkipped  = "skipped"
)

func readExplainQuery(o *object) (q ExplainQuery) {
	o.text("method", &q.Method)
	o.text("target", &q.Target)
	q.Headers, _ = list[string](o, "headers", "a list of texts")
	o.text("address", &q.Address)
	o.text("key", &q.Key)
	o.text("site", &q.Site)
	if in := o.inner("caller"); in != nil {
		q.Caller = new(ExplainCaller)
		in.text("kind", &q.Caller.Kind)
		in.text("user_id", &q.Caller.UserID)
		in.text("app_id", &q.Caller.AppID)
		in.texts("scopes", &q.Caller.Scopes)
		in.texts("endpoints", &q.Caller.Endpoints)
		o.endOf(in)
	}
	for _, in := range o.objects("gates") {
		var g ExplainGate
		in.texts("hosts", &g.Hosts)
		decode(in, "gate", "a gate's configuration", &g.Gate)
		o.endOf(in)
		q.Gates = append(q.Gates, g)
	}
	return q
}

// explainRoute explains a decision.
func (r *request) explainRoute(q ExplainQuery) (*Answer, error) {
	if r.api.Explain == nil {
		return nil, refuse(CodeUnavailable, "", "no configuration is running here: give the gates to ask, or ask a running Caddy")
	}
	list, err := r.api.Explain(r.Context(), q)
	return &Answer{Explanations: list}, err
}
