package manage

import "encoding/json"

// ExplainQuery asks how a request would be decided. The request has no
// credential: its caller is a stored key, named by its key ID, or a supposed
// one; with neither, nobody.
type ExplainQuery struct {
	// Method is the request's; grpc stands for a POST of application/grpc.
	Method string `json:"method"`
	// Target is the path and the query as they are sent.
	Target string `json:"target"`
	// Headers are further header lines, such as "Origin: https://example.com".
	Headers []string `json:"headers,omitempty"`
	// Key is the key ID of the key that calls.
	Key string `json:"key,omitempty"`
	// Caller is the supposed caller.
	Caller *ExplainCaller `json:"caller,omitempty"`
	// Site picks out sites by host; by default every site with a gate is
	// asked.
	Site string `json:"site,omitempty"`
	// Gates are asked in the place of those of the running configuration.
	Gates []ExplainGate `json:"gates,omitempty"`
}

// ExplainCaller is a caller that needn't be in the store.
type ExplainCaller struct {
	// Kind is app_key (the default), pat or session.
	Kind string `json:"kind,omitempty"`
	// UserID and AppID are whose the credential is. By default those that the
	// request names.
	UserID string `json:"user_id,omitempty"`
	AppID  string `json:"app_id,omitempty"`
	// Scopes are what the credential grants; Endpoints limits it to some, or
	// doesn't if there are none.
	Scopes    []string `json:"scopes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
}

// ExplainGate is a gate as it is written in a configuration, and the hosts
// that it stands on.
type ExplainGate struct {
	Hosts []string        `json:"hosts,omitempty"`
	Gate  json.RawMessage `json:"gate"`
}

// Explanation is how one site would decide a request.
type Explanation struct {
	// Hosts are those of the site.
	Hosts []string `json:"hosts,omitempty"`
	// Mode is the site's: enforce or shadow. In shadow what is refused from
	// the third step on is forwarded all the same.
	Mode string `json:"mode"`
	// Outcome is allowed, public, preflight, refused or undecided.
	Outcome string `json:"outcome"`
	// Reason names why: target, credential_missing, scopes and so on, or
	// allowed, public and preflight.
	Reason string `json:"reason"`
	// Status and Code are of the gate's own answer, where it gives one.
	Status int  `json:"status,omitempty"`
	Code   Code `json:"code,omitempty"`
	// Details is what the answer says to the client, or why the gate never sees
	// the request.
	Details string `json:"details,omitempty"`
	// Route is the method and pattern of the route, empty if there is none.
	// Scopes, Endpoints and Accept are what it asks.
	Route     string   `json:"route,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	Endpoints []string `json:"endpoints,omitempty"`
	Accept    []string `json:"accept,omitempty"`
	// Steps are those of the decision, in order.
	Steps []ExplainStep `json:"steps"`
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
	// Step is its number in the order of decision.
	Step int    `json:"step"`
	Name string `json:"name"`
	// Decided is passed, refused, answered, or skipped where it wasn't come
	// to.
	Decided string `json:"decided"`
	// Saw is what it went by, in words.
	Saw string `json:"saw,omitempty"`
	// Change is what would change its answer, in words.
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
