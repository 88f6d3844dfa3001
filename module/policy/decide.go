package policy

import "slices"

// Me as an owner means the caller. It is reserved: no user has it as an ID.
const Me = "me"

// Grant is what a credential or a collaborator's record permits, compiled for
// decisions.
type Grant struct {
	all       bool
	scopes    Bits
	limited   bool // to the endpoints below
	endpoints Bits
}

// NewGrant compiles lists of names. If endpoints is nil, there is no list and
// all endpoints are granted. A list that is empty but not nil grants none.
func NewGrant(scopes, endpoints []string) Grant {
	return Grant{
		all:       slices.Contains(scopes, ScopeAll),
		scopes:    scopeNames.bits(scopes),
		limited:   endpoints != nil,
		endpoints: endpointNames.bits(endpoints),
	}
}

// Everything returns a grant of all scopes and all endpoints, which a session
// has.
func Everything() Grant { return Grant{all: true} }

// Size returns approximately how many bytes the grant's sets take.
func (g *Grant) Size() int { return 8 * (len(g.scopes) + len(g.endpoints)) }

// Permits reports whether the grant has everything that the rule needs. A grant
// that is limited to endpoints doesn't permit a rule without an endpoint.
func (g *Grant) Permits(r *Rule) bool {
	return (g.all || g.scopes.Contains(r.needScopes)) &&
		(!g.limited || len(r.Endpoint) > 0 && g.endpoints.Contains(r.needEndpoints))
}

// Lack is what a grant lacks to permit a rule.
type Lack struct {
	Scopes    []string
	Endpoints []string
	// NoEndpoint is true if the rule names no endpoint, so that no credential
	// limited to endpoints can call it.
	NoEndpoint bool
}

// Lacking returns what is missing to permit r. Each scope and endpoint has to
// be in every one of the grants.
func (r *Rule) Lacking(grants ...*Grant) Lack {
	var l Lack
	for _, g := range grants {
		if !g.all {
			l.Scopes = append(l.Scopes, scopeNames.missing(g.scopes, r.Scopes)...)
		}
		if g.limited {
			l.Endpoints = append(l.Endpoints, endpointNames.missing(g.endpoints, r.Endpoint)...)
			l.NoEndpoint = l.NoEndpoint || len(r.Endpoint) == 0
		}
	}
	l.Scopes, l.Endpoints = sortedSet(l.Scopes), sortedSet(l.Endpoints)
	return l
}

// Caller is the holder of the request's credential.
type Caller struct {
	// Kind is the kind of the credential.
	Kind Kind
	// UserID is the caller's user ID. KeyID is the key ID of the credential.
	UserID, KeyID string
	// AppID is the app of an app key, and UserID owns it. It is empty for the
	// other kinds.
	AppID string
	// Grant is what the credential permits.
	Grant Grant
	// Addresses are where requests with the credential may come from.
	Addresses Addresses
	// Resources are the values of resources that the credential may address.
	Resources Values
}

// Reach is the right by which a caller addresses an owner or an app.
type Reach uint8

// The ways to reach something.
const (
	// Refused: the owner or app is someone else's.
	Refused Reach = iota
	// Own: the owner or app is the caller's, or the app key's.
	Own
	// AsCollaborator: the app is someone else's. The caller has to be its
	// collaborator, and the collaborator's record limits the grant.
	AsCollaborator
)

// Reaches decides ownership. owner and app are the ones that the request names,
// empty if it names none.
func (c *Caller) Reaches(owner, app string) Reach {
	mine := owner == "" || owner == c.UserID || owner == Me
	if c.Kind == AppKey {
		if mine && (app == "" || app == c.AppID) {
			return Own
		}
		return Refused
	}
	switch {
	case mine:
		return Own
	case app != "":
		return AsCollaborator
	}
	return Refused
}

// Target returns the owner and the app that a request addresses, and fills in
// what the request leaves out. Both are empty if the request addresses no app.
func (c *Caller) Target(owner, app string) (ownerID, appID string) {
	if app == "" {
		app = c.AppID
	}
	if app == "" {
		return "", ""
	}
	if owner == "" || owner == Me {
		owner = c.UserID
	}
	return owner, app
}
