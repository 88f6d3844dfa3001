package gateway

import (
	"github.com/caddy-api-keys/gateway/module/gateway/explain"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// newTelling begins to explain a decision of a site's gate.
func newTelling(site Site) *explain.Telling {
	return explain.New(explain.Site{Hosts: site.Hosts, Shadow: site.Gate.shadow, ForwardCredential: site.Gate.ForwardCredential})
}

// toldRefusal returns a refusal as it is explained.
func toldRefusal(ref *refusal) *explain.Refusal {
	if ref == nil {
		return nil
	}
	return &explain.Refusal{Reason: ref.reason, Status: ref.status, Code: ref.code, Details: ref.details}
}

// toldQuestion returns a question as it is explained.
func toldQuestion(q *question) *explain.Question {
	told := &explain.Question{Rule: q.rule, Method: q.method, Path: q.path, Names: q.names}
	if q.rule != nil {
		told.Body = q.gate.ownership.MayNameInBody(q.rule.Pattern, q.rule.Method == policy.MethodGRPC)
	}
	return told
}

// toldVerdict returns a verdict as it is explained.
func toldVerdict(g *Gate, v *verdict) *explain.Verdict {
	told := &explain.Verdict{Owner: v.owner, App: v.app, Refused: toldRefusal(v.refused)}
	if v.credential == nil {
		return told
	}
	told.Caller = v.credential.Caller()
	if v.invitation != nil && v.invitation.Exists() {
		told.Invitation = v.invitation.Grant()
	}
	if v.everyone != nil && v.everyone.Exists() {
		told.Everyone = v.everyone.Grant()
	}
	if names, id := &g.identity, identify(v); v.refused == nil && names.prefix != "" {
		told.Told = []string{names.userID + ": " + id.userID, names.keyID + ": " + id.keyID, names.keyType + ": " + id.keyType}
		if id.appID != "" {
			told.Told = append(told.Told, names.ownerID+": "+id.ownerID, names.appID+": "+id.appID)
		}
	}
	return told
}
