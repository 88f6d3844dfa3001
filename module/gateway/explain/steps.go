// Package explain puts a decision about a request into words, step by step. It
// decides nothing: the gate's own code does, and tells this package what it saw.
package explain

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// explained lists the steps that an explanation tells, in order.
var explained = [...]authz.Step{
	authz.StepTarget, authz.StepPublic, authz.StepCredential, authz.StepKnown, authz.StepRoute,
	authz.StepKind, authz.StepOwnership, authz.StepScopes, authz.StepLimits, authz.StepForward,
}

// decidedByKey are the steps that depend on the credential's record.
var decidedByKey = explained[3:9]

// Site is what an explanation has to know of a site.
type Site struct {
	Hosts []string
	// Shadow reports that refused requests are forwarded all the same.
	Shadow bool
	// ForwardCredential reports that the upstream sees the credential.
	ForwardCredential bool
}

// Question is what a decision has to know of a request.
type Question struct {
	*authz.Question
	// Body is true if the body may name owner and app too. Values is true if the body
	// may name a resource of which the caller is limited to some values.
	Body, Values bool
}

// Verdict is the answer to a question.
type Verdict struct {
	// Caller is nil if the credential is unknown.
	Caller *policy.Caller
	// Owner and App are what was named, empty where nothing was.
	Owner, App string
	// Collaborator and Everyone are what the caller as a collaborator and
	// everyone are granted, or nil without a record.
	Collaborator, Everyone *policy.Grant
	// Told are the headers by which the upstream is told who calls, nil if it
	// isn't told.
	Told    []string
	Refused *answer.Answer // nil if the request is allowed
}

// Telling puts a decision into words.
type Telling struct {
	x    *manage.Explanation
	site Site
	// from is the address that the request comes from, empty if it isn't known.
	from string
}

// New begins to explain a decision of a site about a request. from is the address that
// the request comes from, empty if it isn't known.
func New(site Site, from string) *Telling {
	t := &Telling{x: &manage.Explanation{Hosts: site.Hosts, Mode: "enforce"}, site: site, from: from}
	if site.Shadow {
		t.x.Mode = "shadow"
	}
	return t
}

// step tells the next step.
func (t *Telling) step(step authz.Step, decided, saw, change string) {
	t.x.Steps = append(t.x.Steps, manage.ExplainStep{
		Step: len(t.x.Steps) + 1, Name: step.String(), Decided: decided, Saw: saw, Change: change,
	})
}

// End adds the steps that were not come to.
func (t *Telling) End() *manage.Explanation {
	for _, step := range explained[len(t.x.Steps):] {
		if step == authz.StepForward && t.x.Mode == "shadow" && t.x.Outcome == manage.OutcomeRefused && t.x.Steps[0].Decided == manage.StepPassed {
			t.step(step, manage.StepPassed, "mode shadow: forwarded all the same, as it was sent and without identity", "mode enforce")
			continue
		}
		t.step(step, manage.StepSkipped, "", "")
	}
	return t.x
}

// refused settles the outcome.
func (t *Telling) refused(ref *answer.Answer) {
	t.x.Outcome, t.x.Reason = manage.OutcomeRefused, ref.Reason.String()
	t.x.Status, t.x.Code, t.x.Details = ref.Status, ref.Code, ref.Details
	t.x.Lack = ref.Lack
}

// Unreached tells of a request that never reaches the gate, and where it goes.
func (t *Telling) Unreached(where string) {
	t.x.Outcome = manage.OutcomeUndecided
	t.x.Details = "The request never reaches the gate: a matcher, or a handler before the gate, keeps it away; " + where + "."
}

// Malformed tells of a request that is none to the server, because of err. ref
// is the answer.
func (t *Telling) Malformed(ref *answer.Answer, err error) {
	t.refused(ref)
	t.step(authz.StepTarget, manage.StepRefused, fmt.Sprintf("the server answers 400 before the gate is asked: %v", err), "another method, target or header")
}

// Target tells step 1. sent is the header as it was sent, before forged fields
// were dropped.
func (t *Telling) Target(r *http.Request, sent http.Header, rule *policy.Rule, ref *answer.Answer) {
	saw := r.Method + " " + r.RequestURI
	if wire.IsGRPC(r) {
		saw += ", a gRPC call by its content type"
	}
	var dropped []string
	for name := range sent {
		if r.Header[name] == nil {
			dropped = append(dropped, name)
		}
	}
	if len(dropped) > 0 {
		slices.Sort(dropped)
		saw += "; dropped, as a client may not send them: " + strings.Join(dropped, ", ")
	}
	if rule != nil {
		t.x.Route, t.x.Scopes, t.x.Endpoints = rule.Route.String(), rule.Scopes, rule.Endpoint
		t.x.Accept = rule.Accepts().Words()
	}
	if ref == nil {
		t.step(authz.StepTarget, manage.StepPassed, saw, "")
		return
	}
	t.refused(ref)
	t.step(authz.StepTarget, manage.StepRefused, saw+". "+ref.Details,
		"another request, for no key may send this one; only a route's \"allow colon\", \"allow encoded_slash\" or \"allow near_literal\" lets more through")
}

// Preflight tells of a preflight that the gate answers itself.
func (t *Telling) Preflight(status int) {
	t.x.Outcome, t.x.Reason, t.x.Status = manage.OutcomePreflight, authz.Preflight.String(), status
	change := "cors with this origin, and a route of this path"
	if status == http.StatusNoContent {
		change = "a cors without this origin"
	}
	t.x.Steps[0].Decided = manage.StepAnswered
	t.x.Steps[0].Saw += fmt.Sprintf("; a preflight, which the gate answers itself by %d", status)
	t.x.Steps[0].Change = change
}

// Public tells step 2, for a request of a route, nil for none.
func (t *Telling) Public(rule *policy.Rule) {
	switch {
	case rule != nil && rule.Accepts().Public():
		t.x.Outcome, t.x.Reason = manage.OutcomePublic, authz.Public.String()
		t.step(authz.StepPublic, manage.StepAnswered, t.x.Route+" accepts public: no credential is asked for, and none is looked at", "another accept of the route")
		for _, step := range explained[len(t.x.Steps) : len(explained)-1] {
			t.step(step, manage.StepSkipped, "", "")
		}
		t.step(authz.StepForward, manage.StepPassed, "without identity; "+t.credentialIs(), "")
	case rule == nil:
		t.step(authz.StepPublic, manage.StepPassed, "no route, so not a public one", "")
	default:
		t.step(authz.StepPublic, manage.StepPassed, t.x.Route+" asks for a credential", "accept public, on a route without scopes")
	}
}

// credentialIs says what becomes of the credential.
func (t *Telling) credentialIs() string {
	if t.site.ForwardCredential {
		return "the credential is forwarded too"
	}
	return "the credential is taken out"
}

// Absent tells of a request without a credential.
func (t *Telling) Absent(ref *answer.Answer) {
	t.refused(ref)
	t.step(authz.StepCredential, manage.StepRefused, "nobody calls: neither a key nor a caller was given", "a credential; ask with a key, or with the scopes of a supposed one")
}

// Decided tells steps 3 to 10.
func (t *Telling) Decided(q *Question, v *Verdict) {
	t.step(authz.StepCredential, manage.StepPassed, "one credential", "")
	saw := map[authz.Step]func(*Question, *Verdict) string{
		authz.StepKnown: t.known, authz.StepRoute: t.route, authz.StepKind: t.kind,
		authz.StepOwnership: t.ownership, authz.StepScopes: t.scopes, authz.StepLimits: t.limits,
	}
	for _, step := range decidedByKey {
		if v.Refused != nil && v.Refused.Reason.Step() == step {
			t.refused(v.Refused)
			t.step(step, manage.StepRefused, saw[step](q, v), t.change(q, v))
			break
		}
		would := ""
		if step == authz.StepScopes {
			would = withoutThem(q.Rule)
		}
		t.step(step, manage.StepPassed, saw[step](q, v), would)
	}
	if v.Refused == nil {
		t.x.Outcome, t.x.Reason = manage.OutcomeAllowed, authz.Allowed.String()
		t.step(authz.StepForward, manage.StepPassed, told(v)+"; "+t.credentialIs(), "")
	}
}
