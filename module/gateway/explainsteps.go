package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// explained lists the steps that an explanation tells, in order.
var explained = [...]authz.Step{
	authz.StepTarget, authz.StepPublic, authz.StepCredential, authz.StepKnown, authz.StepRoute,
	authz.StepKind, authz.StepOwnership, authz.StepScopes, authz.StepForward,
}

// decidedByKey are the steps that depend on the credential's record.
var decidedByKey = explained[3:8]

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

// step tells the next step.
func (t *telling) step(step authz.Step, decided, saw, change string) {
	t.x.Steps = append(t.x.Steps, manage.ExplainStep{
		Step: len(t.x.Steps) + 1, Name: step.String(), Decided: decided, Saw: saw, Change: change,
	})
}

// end adds the steps that were not come to.
func (t *telling) end() *manage.Explanation {
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
func (t *telling) refused(ref *refusal) {
	t.x.Outcome, t.x.Reason = manage.OutcomeRefused, ref.reason.String()
	t.x.Status, t.x.Code, t.x.Details = ref.status, ref.code, ref.details
}

// malformed is a request that is none to the server.
func (t *telling) malformed(err error) {
	t.refused(refuseTarget(wire.ErrNotHTTP))
	t.step(authz.StepTarget, manage.StepRefused, fmt.Sprintf("the server answers 400 before the gate is asked: %v", err), "another method, target or header")
}

func (t *telling) target(r *http.Request, sent http.Header, rule *policy.Rule, ref *refusal) {
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
	t.step(authz.StepTarget, manage.StepRefused, saw+". "+ref.details,
		"another request, for no key may send this one; only a route's \"allow colon\", \"allow encoded_slash\" or \"allow near_literal\" lets more through")
}

func (t *telling) preflight(status int) {
	t.x.Outcome, t.x.Reason, t.x.Status = manage.OutcomePreflight, authz.Preflight.String(), status
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
		t.x.Outcome, t.x.Reason = manage.OutcomePublic, authz.Public.String()
		t.step(authz.StepPublic, manage.StepAnswered, t.x.Route+" accepts public: no credential is asked for, and none is looked at", "another accept of the route")
		for _, step := range explained[len(t.x.Steps) : len(explained)-1] {
			t.step(step, manage.StepSkipped, "", "")
		}
		t.step(authz.StepForward, manage.StepPassed, "without identity; "+t.credentialIs(), "")
	case q.rule == nil:
		t.step(authz.StepPublic, manage.StepPassed, "no route, so not a public one", "")
	default:
		t.step(authz.StepPublic, manage.StepPassed, t.x.Route+" asks for a credential", "accept public, on a route without scopes")
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
	t.step(authz.StepCredential, manage.StepRefused, "nobody calls: neither a key nor a caller was given", "a credential; ask with a key, or with the scopes of a supposed one")
}

// decided tells steps 3 to 9.
func (t *telling) decided(q *question, v *verdict) {
	t.step(authz.StepCredential, manage.StepPassed, "one credential", "")
	saw := map[authz.Step]func(*question, *verdict) string{
		authz.StepKnown: t.known, authz.StepRoute: t.route, authz.StepKind: t.kind,
		authz.StepOwnership: t.ownership, authz.StepScopes: t.scopes,
	}
	for _, step := range decidedByKey {
		if v.refused != nil && v.refused.reason.Step() == step {
			t.refused(v.refused)
			t.step(step, manage.StepRefused, saw[step](q, v), t.change(q, v))
			break
		}
		would := ""
		if step == authz.StepScopes {
			would = withoutThem(q.rule)
		}
		t.step(step, manage.StepPassed, saw[step](q, v), would)
	}
	if v.refused == nil {
		t.x.Outcome, t.x.Reason = manage.OutcomeAllowed, authz.Allowed.String()
		t.step(authz.StepForward, manage.StepPassed, t.told(v)+"; "+t.credentialIs(), "")
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
	if _, _, agree := q.names.Settle(v.credential.Caller()); !agree {
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
	if t.gate.ownership.MayNameInBody(q.rule.Pattern, q.rule.Method == policy.MethodGRPC) {
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
	switch ref := v.refused; ref.reason {
	case authz.RouteUnknown:
		return fmt.Sprintf("a line such as \"route %s %s SCOPE\" in the site's table", q.method, q.path)
	case authz.Kind:
		if q.rule.Accepts() == policy.AcceptNone {
			return "another accept of the route, which is closed to every kind"
		}
		return "a credential of kind " + strings.Join(t.x.Accept, " or ") + ", or another accept of the route"
	case authz.Owner:
		return ownerChange(q, v)
	case authz.Scopes:
		return scopesChange(q, v)
	default: // the credential, or its method
		return ref.details
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
