package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func (t *Telling) known(_ *Question, v *Verdict) string {
	if v.Caller == nil {
		return "no such credential"
	}
	c := v.Caller
	saw := fmt.Sprintf("%s, of kind %s, of user %s", c.KeyID, c.Kind, c.UserID)
	if c.AppID != "" {
		saw += " and app " + c.AppID
	}
	return saw
}

func (t *Telling) route(q *Question, _ *Verdict) string {
	if q.Rule == nil {
		return "no route of this method and path"
	}
	return t.x.Route
}

func (t *Telling) kind(_ *Question, v *Verdict) string {
	accepts := "the route accepts " + strings.Join(t.x.Accept, ", ")
	return fmt.Sprintf("%s; %s", v.Caller.Kind, accepts)
}

func (t *Telling) ownership(q *Question, v *Verdict) string {
	if _, _, agree := q.Named.Settle(v.Caller); !agree {
		return "the request names more than one owner or app"
	}
	var saw string
	switch {
	case v.Owner != "" && v.App != "":
		saw = fmt.Sprintf("the request names owner %s and app %s", v.Owner, v.App)
	case v.Owner != "":
		saw = "the request names owner " + v.Owner
	case v.App != "":
		saw = "the request names app " + v.App
	default:
		saw = "the request names neither owner nor app"
	}
	switch v.Caller.Reaches(v.Owner, v.App) {
	case policy.Own:
		saw += ": the caller's own"
	case policy.AsCollaborator:
		saw += ": someone else's, and " + collaborators(v)
	default:
		saw += ": not the credential's"
	}
	if q.Body {
		saw += ". What the body names, which isn't known here, has to agree with that"
	}
	switch {
	case v.Refused != nil && v.Refused.Reason == authz.Resource:
		saw += ". " + v.Refused.Details
	case q.Values:
		saw += ". The body, which isn't known here, may name only values of resources that the key permits"
	}
	return saw
}

func collaborators(v *Verdict) string {
	switch {
	case v.Collaborator != nil && v.Everyone != nil:
		return "the caller is a collaborator, and so is everyone"
	case v.Collaborator != nil:
		return "the caller is a collaborator"
	case v.Everyone != nil:
		return "everyone is a collaborator"
	}
	return "the caller is not a collaborator"
}

func (t *Telling) scopes(q *Question, v *Verdict) string {
	saw := "the route needs " + needs(q.Rule)
	if v.Refused == nil {
		return saw + ", all granted"
	}
	return saw + ". " + v.Refused.Details
}

// limits tells which addresses the credential may be used from. It doesn't look at
// rates and quotas.
func (t *Telling) limits(_ *Question, v *Verdict) string {
	may := "any address"
	if list := v.Caller.Addresses; list != nil {
		may = strings.Join(list.Texts(), ", ")
	}
	saw := "the credential may be used from " + may
	if t.from != "" {
		saw = "the request comes from " + t.from + ", and " + saw
	} else if v.Caller.Addresses != nil {
		saw += ", and the address of the request isn't known here"
	}
	return saw + ". Rates and quotas aren't checked here"
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

func told(v *Verdict) string {
	if v.Told == nil {
		return "the upstream isn't told who calls"
	}
	return "the upstream is told " + strings.Join(v.Told, ", ")
}

// change is what would change a refusal.
func (t *Telling) change(q *Question, v *Verdict) string {
	switch ref := v.Refused; ref.Reason {
	case authz.RouteUnknown:
		return fmt.Sprintf("a line such as \"route %s %s SCOPE\" in the site's table", q.Method, q.Path)
	case authz.Kind:
		if q.Rule.Accepts() == policy.AcceptNone {
			return "another accept of the route, which is closed to every kind"
		}
		return "a credential of kind " + strings.Join(t.x.Accept, " or ") + ", or another accept of the route"
	case authz.Owner:
		return ownerChange(q, v)
	case authz.Resource:
		return "another value of the resource, a key with that value among its resources, or one without resources"
	case authz.Scopes:
		return scopesChange(q, v)
	case authz.Address:
		return "a request from one of these addresses, or this address in the lists of the credential and its plans"
	default: // the credential, or its method
		return ref.Details
	}
}

func ownerChange(q *Question, v *Verdict) string {
	c := v.Caller
	owner := v.Owner
	if owner == "" {
		owner = c.UserID
	}
	switch {
	case v.Owner == "" && v.App == "":
		return "a request that names one owner and one app, wherever it names them"
	case v.App == "":
		return "a credential of user " + owner
	case c.Kind == policy.AppKey:
		return fmt.Sprintf("a key of app %s of user %s, a personal access token of theirs, or one of a collaborator on the app", v.App, owner)
	}
	return fmt.Sprintf("user %s as a collaborator on app %s of user %s, with %s", c.UserID, v.App, owner, needs(q.Rule))
}

// scopesChange returns what lacks scopes or endpoints: the credential, or on
// someone else's app the collaborator.
func scopesChange(q *Question, v *Verdict) string {
	var parts []string
	grant := func(to string, g *policy.Grant) {
		if lack := q.Rule.Lacking(g); len(lack.Scopes) > 0 || len(lack.Endpoints) > 0 {
			parts = append(parts, fmt.Sprintf("grant %s to %s", strings.Join(slices.Concat(lack.Scopes, lack.Endpoints), ", "), to))
		} else if lack.NoEndpoint {
			parts = append(parts, "an endpoint of the route, or no list of endpoints in "+to)
		}
	}
	grant("the credential", &v.Caller.Grant)
	if v.Collaborator != nil {
		grant("the collaborator", v.Collaborator)
	} else if v.Everyone != nil {
		grant("everyone as a collaborator", v.Everyone)
	}
	return strings.Join(parts, ", and ")
}
