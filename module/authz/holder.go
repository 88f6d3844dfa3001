package authz

import (
	"context"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Holder is the holder of a credential that needn't be in a store. It tells
// what a credential can call, before or after the credential is made.
type Holder struct {
	// Caller is the holder, with the kind and the grant of the credential.
	Caller policy.Caller
	// Standing is whether the credential is valid.
	Standing keys.Standing
	// Shared is what the holder is granted as a collaborator. If it isn't nil,
	// requests address an app of someone else, and otherwise what is the
	// holder's own.
	Shared *policy.Grant
}

// call decides about a request for a route, by [Decide]. The request names what
// the holder may address, so that ownership refuses only what the route or the kind
// of credential rules out. It comes from an address that the holder may use.
func (h *Holder) call(rule *policy.Rule, facts Facts) Outcome {
	q := Question{Method: rule.Method, Path: rule.Pattern, Rule: rule, Facts: facts}
	if q.Public() {
		return Outcome{Reason: Public}
	}
	if h.Shared != nil {
		var app policy.Mention
		app.AddOwner(h.Caller.UserID + ".owner") // no user ID has a dot
		app.AddApp("app")
		q.Named.Take(app)
	}
	if h.Caller.Addresses != nil {
		anywhere := *h
		anywhere.Caller.Addresses = nil
		h = &anywhere
	}
	v := Decide(context.Background(), supposition{h}, &q)
	return v.Outcome
}

// supposition is a registry with one credential and at most one collaborator.
type supposition struct{ holder *Holder }

// Find returns the one credential.
func (s supposition) Find(context.Context, credential.Digest) (*supposed, error) {
	return &supposed{&s.holder.Caller, &s.holder.Caller.Grant}, nil
}

// Collaborator returns the holder's record as a collaborator. There is none for
// everyone.
func (s supposition) Collaborator(_ context.Context, ref keys.CollaboratorRef) (*supposed, error) {
	if s.holder.Shared == nil || ref.UserID != s.holder.Caller.UserID {
		return nil, nil
	}
	return &supposed{&s.holder.Caller, s.holder.Shared}, nil
}

// Standing returns the holder's.
func (s supposition) Standing(*supposed) keys.Standing { return s.holder.Standing }

// supposed is an entry of a supposition.
type supposed struct {
	caller *policy.Caller
	grant  *policy.Grant
}

// Exists reports whether there is a record.
func (e *supposed) Exists() bool { return e != nil }

// Caller returns the holder.
func (e *supposed) Caller() *policy.Caller { return e.caller }

// Grant returns what the record permits.
func (e *supposed) Grant() *policy.Grant { return e.grant }
