package authz

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Question is all that a decision has to know of a request.
type Question struct {
	// Digest is that of the request's credential.
	Digest credential.Digest
	// SessionOnly reports that the credential stood where only a session may.
	SessionOnly bool

	// Method and Path are the request's, and Table is the site's. Path is
	// escaped, as it is forwarded.
	Method, Path string
	Table        *policy.Table
	// Rule is the route that the request addresses, nil if no route matches.
	Rule *policy.Rule

	// Named are the owner and the app that the request names.
	Named policy.Named
	// Facts are about the request, and only some decisions need them. If Facts is nil,
	// the request comes from no particular address and names no resource.
	Facts Facts
}

// Facts tells facts about a request that only some credentials depend on, so that they
// are found out for these credentials alone. If the request is decided again, any
// goroutine may call the methods again.
type Facts interface {
	// Address returns the address that the request comes from. An unknown address is
	// the zero Addr, which is in no list.
	Address() netip.Addr
	// Beyond returns the name of a resource that the request may address beyond
	// these values. It returns an empty string if the values permit the request.
	Beyond(policy.Values) (resource string)
}

// Public reports whether the route needs no credential.
func (q *Question) Public() bool { return q.Rule != nil && q.Rule.Accepts().Public() }

// Entry is what a registry knows of a credential, or of a collaborator. A nil
// Entry doesn't exist.
type Entry interface {
	// Exists reports whether there is such a record.
	Exists() bool
	// Caller returns the holder of the credential.
	Caller() *policy.Caller
	// Grant returns what the credential or the collaborator's record permits.
	Grant() *policy.Grant
}

// Registry tells whose a credential is. A directory is one.
type Registry[E Entry] interface {
	// Find returns the entry of a credential.
	Find(context.Context, credential.Digest) (E, error)
	// Collaborator returns the entry of a collaborator.
	Collaborator(context.Context, keys.CollaboratorRef) (E, error)
	// Standing reports whether the credential of an entry is good now.
	Standing(E) keys.Standing
}

// Outcome is what was decided, and what there is to say about it.
type Outcome struct {
	// Reason is why: [Allowed], or what refuses the request.
	Reason Reason
	// Lack is what the credential has not been granted, for [Scopes].
	Lack policy.Lack
	// Beyond is the resource of which the request may address a value that the
	// credential doesn't permit, for [Resource].
	Beyond string
	// Limit is the limit that the request exceeds, in words, for [Rate] and [Quota].
	// After is how long the request has to wait.
	Limit string
	After time.Duration
	// Allow are the methods that the path has, for [MethodNotAllowed].
	Allow []string
	// Err says more: what is ambiguous, for [Target]; why the store can't
	// answer, for [StoreUnavailable] and [Stale], which is not for clients.
	Err error
}

// Refused reports whether the request is refused.
func (o *Outcome) Refused() bool {
	return o.Reason != Allowed && o.Reason != Public && o.Reason != Preflight
}

// refuse sets the reason, and returns false.
func (o *Outcome) refuse(reason Reason) bool {
	o.Reason = reason
	return false
}

// unavailable refuses because the registry can't answer, and returns false.
func (o *Outcome) unavailable(err error) bool {
	o.Err = err
	if errors.Is(err, keys.ErrStale) {
		return o.refuse(Stale)
	}
	return o.refuse(StoreUnavailable)
}

// Verdict is the answer to a question, with the entries that it rests on.
type Verdict[E Entry] struct {
	Outcome

	// Credential is nil if the credential is unknown. Collaborator and Everyone
	// are the caller's record as a collaborator and everyone's, if the request
	// addresses an app of someone else; none of them need exist.
	Credential, Collaborator, Everyone E

	// Known reports that the credential is good, whatever it permits.
	Known bool
	// Owner and App are what the request names, empty if it names nothing.
	Owner, App string
	// Reach is the right by which the caller addresses them.
	Reach policy.Reach
}

// Decide takes the steps of a decision that need the credential's record, in
// their order: the first that refuses is the reason.
func Decide[E Entry](ctx context.Context, from Registry[E], q *Question) (v Verdict[E]) {
	if v.known(ctx, from, q) && v.route(q) && v.kind(q) && v.ownership(ctx, from, q) && v.resource(q) && v.scopes(q) && v.address(q) {
		v.Reason = Allowed
	}
	return v
}

// known requires that the credential is known and good.
func (v *Verdict[E]) known(ctx context.Context, from Registry[E], q *Question) bool {
	e, err := from.Find(ctx, q.Digest)
	if err != nil {
		return v.unavailable(err)
	}
	if !e.Exists() || q.SessionOnly && e.Caller().Kind != policy.Session {
		return v.refuse(CredentialUnknown)
	}
	v.Credential = e
	switch from.Standing(e) {
	case keys.Active:
		v.Known = true
		return true
	case keys.Expired:
		return v.refuse(Expired)
	case keys.Disabled:
		return v.refuse(Disabled)
	case keys.Suspended:
		return v.refuse(Suspended)
	default:
		return v.refuse(CredentialUnknown)
	}
}

// route requires that the route is known.
func (v *Verdict[E]) route(q *Question) bool {
	if q.Rule != nil {
		return true
	}
	// A POST to a path that only gRPC calls have is another matter than a
	// method.
	if allow := q.Table.Allowed(q.Path); len(allow) > 0 && !slices.Contains(allow, q.Method) {
		v.Allow = allow
		return v.refuse(MethodNotAllowed)
	}
	return v.refuse(RouteUnknown)
}

// kind requires that the route accepts this kind of credential.
func (v *Verdict[E]) kind(q *Question) bool {
	return q.Rule.Accepts().Kind(v.Credential.Caller().Kind) || v.refuse(Kind)
}

// ownership requires that the owner and the app that the request names are the
// caller's, or that there is a record of the caller as a collaborator.
func (v *Verdict[E]) ownership(ctx context.Context, from Registry[E], q *Question) bool {
	caller := v.Credential.Caller()
	var agree bool
	if v.Owner, v.App, agree = q.Named.Settle(caller); !agree {
		return v.refuse(Owner)
	}
	switch v.Reach = caller.Reaches(v.Owner, v.App); v.Reach {
	case policy.Own:
		// What is told to the upstream as the app is an ID at the least.
		return v.App == "" || keys.CheckID("app_id", v.App) == nil || v.refuse(Owner)
	case policy.AsCollaborator:
		return v.collaborator(ctx, from, caller)
	default:
		return v.refuse(Owner)
	}
}

// collaborator requires a record of the caller as a collaborator, or one of
// everyone. Both are read, whichever will do: the request depends on both from
// here on, and ends when what remains of them permits it no longer.
func (v *Verdict[E]) collaborator(ctx context.Context, from Registry[E], caller *policy.Caller) bool {
	ref := keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: v.Owner, AppID: v.App}, UserID: caller.UserID}
	var err error
	if v.Collaborator, err = from.Collaborator(ctx, ref); err != nil {
		return v.unavailable(err)
	}
	ref.UserID = keys.Everyone
	if v.Everyone, err = from.Collaborator(ctx, ref); err != nil {
		return v.unavailable(err)
	}
	return v.Collaborator.Exists() || v.Everyone.Exists() || v.refuse(Owner)
}

// resource requires that the request addresses only values of resources that the
// credential permits.
func (v *Verdict[E]) resource(q *Question) bool {
	values := v.Credential.Caller().Resources
	if values == nil || q.Facts == nil {
		return true
	}
	v.Beyond = q.Facts.Beyond(values)
	return v.Beyond == "" || v.refuse(Resource)
}

// address requires that the request comes from an address that the credential permits.
func (v *Verdict[E]) address(q *Question) bool {
	addresses := v.Credential.Caller().Addresses
	return addresses == nil || q.Facts == nil || addresses.Contains(q.Facts.Address()) || v.refuse(Address)
}

// scopes requires that what the route needs is granted: by the credential, and
// in an app of someone else by a record as a collaborator too.
func (v *Verdict[E]) scopes(q *Question) bool {
	own := v.Credential.Grant()
	if v.Reach == policy.Own {
		if own.Permits(q.Rule) {
			return true
		}
		v.Lack = q.Rule.Lacking(own)
		return v.refuse(Scopes)
	}
	lacks := false
	for _, record := range [...]E{v.Collaborator, v.Everyone} {
		if !record.Exists() {
			continue
		}
		if own.Permits(q.Rule) && record.Grant().Permits(q.Rule) {
			v.Lack = policy.Lack{}
			return true
		}
		if !lacks {
			lacks, v.Lack = true, q.Rule.Lacking(own, record.Grant())
		}
	}
	return v.refuse(Scopes)
}
