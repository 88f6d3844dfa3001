package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// stepNames are the steps of a decision, by number.
var stepNames = [...]string{1: "target", "public", "credential", "known", "route", "kind", "ownership", "scopes", "forward"}

// telling puts a decision into words.
type telling struct {
	x    *manage.Explanation
	gate *Gate
}

func newTelling(site Site) *telling {
	t := &telling{x: &manage.Explanation{Hosts: site.Hosts, Mode: "enforce"}, gate: site.Gate}
	if site.Gate.shadow {
		t.x.Mode = "shadow"
	}
	return t
}

func (t *telling) step(n int, decided, saw, change string) {
	t.x.Steps = append(t.x.Steps, manage.ExplainStep{Step: n, Name: stepNames[n], Decided: decided, Saw: saw, Change: change})
}

// end adds the steps that were not come to.
func (t *telling) end() *manage.Explanation {
	for n := len(t.x.Steps) + 1; n < len(stepNames); n++ {
		if n == 9 && t.x.Mode == "shadow" && t.x.Outcome == manage.OutcomeRefused && t.x.Steps[0].Decided == manage.StepPassed {
			t.step(n, manage.StepPassed, "mode shadow: forwarded all the same, as it was sent and without identity", "mode enforce")
			continue
		}
		t.step(n, manage.StepSkipped, "", "")
	}
	return t.x
}

// refused settles the outcome.
func (t *telling) refused(ref *refusal) {
	t.x.Outcome = manage.OutcomeRefused
	t.x.Status, t.x.Code, t.x.Details = ref.status, ref.code, ref.details
}

// malformed is a request that is none to the server.
func (t *telling) malformed(err error) {
	t.refused(refuseTarget("it is no request of HTTP"))
	t.step(1, manage.StepRefused, fmt.Sprintf("the server answers 400 before the gate is asked: %v", err), "another method, target or header")
}

func (t *telling) target(r *http.Request, sent http.Header, rule *policy.Rule, ref *refusal) {
	saw := r.Method + " " + r.RequestURI
	if isGRPC(r) {
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
		t.step(1, manage.StepPassed, saw, "")
		return
	}
	t.refused(ref)
	t.step(1, manage.StepRefused, saw+". "+ref.details,
		"another request, for no key may send this one; only a route's \"allow encoded_slash\" and a site's \"upgrade websocket\" let more through")
}

func (t *telling) preflight(status int) {
	t.x.Outcome, t.x.Status = manage.OutcomePreflight, status
	change := "cors with this origin, and a route of this path"
	if status == http.StatusNoContent {
		change = "a cors without this origin"
	}
	t.x.Steps[0].Decided = manage.StepAnswered
	t.x.Steps[0].Saw += fmt.Sprintf("; a preflight, which the gate answers itself by %d", status)
	t.x.Steps[0].Change = change
}

func (t *telling) public(q *question) {
	switch {
	case q.public():
		t.x.Outcome = manage.OutcomePublic
		t.step(2, manage.StepAnswered, t.x.Route+" accepts public: no credential is asked for, and none is looked at", "another accept of the route")
		for n := 3; n < 9; n++ {
			t.step(n, manage.StepSkipped, "", "")
		}
		t.step(9, manage.StepPassed, "without identity; "+t.credentialIs(), "")
	case q.rule == nil:
		t.step(2, manage.StepPassed, "no route, so not a public one", "")
	default:
		t.step(2, manage.StepPassed, t.x.Route+" asks for a credential", "accept public, on a route without scopes")
	}
}

// credentialIs says what becomes of the credential.
func (t *telling) credentialIs() string {
	if t.gate.ForwardCredential {
		return "the credential is forwarded too"
	}
	return "the credential is taken out"
}

func (t *telling) absent(ref *refusal) {
	t.refused(ref)
	t.step(3, manage.StepRefused, "nobody calls: neither a key nor a caller was given", "a credential; ask with a key, or with the scopes of a supposed one")
}

// decided tells steps 3 to 9.
func (t *telling) decided(q *question, v *verdict) {
	stop, change := 9, ""
	if v.refused != nil {
		stop, change = v.refused.step, t.change(q, v)
		t.refused(v.refused)
	}
	t.step(3, manage.StepPassed, "one credential", "")
	saw := [...]func(*question, *verdict) string{4: t.known, t.route, t.kind, t.ownership, t.scopes}
	for n := 4; n < len(saw) && n <= stop; n++ {
		decided, would := manage.StepPassed, ""
		switch n {
		case stop:
			decided, would = manage.StepRefused, change
		case 8:
			would = withoutThem(q.rule)
		}
		t.step(n, decided, saw[n](q, v), would)
	}
	if v.refused == nil {
		t.x.Outcome = manage.OutcomeAllowed
		t.step(9, manage.StepPassed, t.told(v)+"; "+t.credentialIs(), "")
	}
}

func (t *telling) known(_ *question, v *verdict) string {
	if v.credential == nil {
		return "no such credential"
	}
	c := v.credential.Caller()
	saw := fmt.Sprintf("%s, of kind %s, of user %s", c.KeyID, c.Kind, c.UserID)
	if c.AppID != "" {
		saw += " and app " + c.AppID
	}
	return saw
}

func (t *telling) route(q *question, _ *verdict) string {
	if q.rule == nil {
		return "no route of this method and path"
	}
	return t.x.Route
}

func (t *telling) kind(_ *question, v *verdict) string {
	accepts := "the route accepts " + strings.Join(t.x.Accept, ", ")
	return fmt.Sprintf("%s; %s", v.credential.Caller().Kind, accepts)
}

func (t *telling) ownership(q *question, v *verdict) string {
	if _, _, agree := q.names.settle(v.credential.Caller()); !agree {
		return "the request names more than one owner or app"
	}
	var saw string
	switch {
	case v.owner != "" && v.app != "":
		saw = fmt.Sprintf("the request names owner %s and app %s", v.owner, v.app)
	case v.owner != "":
		saw = "the request names owner " + v.owner
	case v.app != "":
		saw = "the request names app " + v.app
	default:
		saw = "the request names neither owner nor app"
	}
	switch v.credential.Caller().Reaches(v.owner, v.app) {
	case policy.Own:
		saw += ": the caller's own"
	case policy.Invited:
		saw += ": someone else's, and " + invitations(v)
	default:
		saw += ": not the credential's"
	}
	o := &t.gate.ownership
	if len(o.body) > 0 && q.rule.Method != policy.MethodGRPC || o.messages[q.rule.Pattern] != nil {
		saw += ". What the body names, which isn't known here, has to agree with that"
	}
	return saw
}

func invitations(v *verdict) string {
	switch {
	case v.invitation.Exists() && v.everyone.Exists():
		return "the caller is invited, and so is everyone"
	case v.invitation.Exists():
		return "the caller is invited"
	case v.everyone.Exists():
		return "everyone is invited"
	}
	return "the caller is not invited"
}

func (t *telling) scopes(q *question, v *verdict) string {
	saw := "the route needs " + needs(q.rule)
	if v.refused == nil {
		return saw + ", all granted"
	}
	return saw + ". " + v.refused.details
}

func needs(r *policy.Rule) string {
	var parts []string
	if len(r.Scopes) > 0 {
		parts = append(parts, "the scopes "+strings.Join(r.Scopes, ", "))
	}
	if len(r.Endpoint) > 0 {
		parts = append(parts, "of a credential limited to endpoints "+strings.Join(r.Endpoint, ", "))
	}
	if parts == nil {
		return "no scope"
	}
	return strings.Join(parts, ", and ")
}

// withoutThem says of a request that is allowed what would have it refused.
func withoutThem(r *policy.Rule) string {
	if len(r.Scopes) == 0 {
		return ""
	}
	return "without " + strings.Join(r.Scopes, " or ") + " (or All) it is refused"
}

func (t *telling) told(v *verdict) string {
	names, id := &t.gate.identity, identify(v)
	if names.prefix == "" {
		return "the upstream isn't told who calls"
	}
	list := []string{names.userID + ": " + id.userID, names.keyID + ": " + id.keyID, names.keyType + ": " + id.keyType}
	if id.appID != "" {
		list = append(list, names.ownerID+": "+id.ownerID, names.appID+": "+id.appID)
	}
	return "the upstream is told " + strings.Join(list, ", ")
}

// change is what would change a refusal.
func (t *telling) change(q *question, v *verdict) string {
	switch ref := v.refused; ref.step {
	case 4:
		return ref.details
	case 5:
		if ref.allow != nil {
			return ref.details
		}
		return fmt.Sprintf("a line such as \"route %s %s SCOPE\" in the site's table", q.method, q.path)
	case 6:
		if q.rule.Accepts() == policy.AcceptNone {
			return "another accept of the route, which is closed to every kind"
		}
		return "a credential of kind " + strings.Join(t.x.Accept, " or ") + ", or another accept of the route"
	case 7:
		return ownerChange(q, v)
	default:
		return scopesChange(q, v)
	}
}

func ownerChange(q *question, v *verdict) string {
	c := v.credential.Caller()
	owner := v.owner
	if owner == "" {
		owner = c.UserID
	}
	switch {
	case v.owner == "" && v.app == "":
		return "a request that names one owner and one app, wherever it names them"
	case v.app == "":
		return "a credential of user " + owner
	case c.Kind == policy.AppKey:
		return fmt.Sprintf("a key of app %s of user %s, a personal access token of theirs, or one of a collaborator on the app", v.app, owner)
	}
	return fmt.Sprintf("an invitation of user %s to app %s of user %s, with %s", c.UserID, v.app, owner, needs(q.rule))
}

// scopesChange says who lacks what: on someone else's app it may be the
// invitation.
func scopesChange(q *question, v *verdict) string {
	var parts []string
	grant := func(to string, g *policy.Grant) {
		if lack := q.rule.Lacking(g); len(lack.Scopes) > 0 || len(lack.Endpoints) > 0 {
			parts = append(parts, fmt.Sprintf("grant %s to %s", strings.Join(slices.Concat(lack.Scopes, lack.Endpoints), ", "), to))
		} else if lack.NoEndpoint {
			parts = append(parts, "an endpoint of the route, or no list of endpoints in "+to)
		}
	}
	grant("the credential", v.credential.Grant())
	if v.invitation != nil && v.invitation.Exists() {
		grant("the invitation", v.invitation.Grant())
	} else if v.everyone != nil && v.everyone.Exists() {
		grant("everyone's invitation", v.everyone.Grant())
	}
	return strings.Join(parts, ", and ")
}
