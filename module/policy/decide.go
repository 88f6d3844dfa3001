package policy

import "slices"

// Me as an owner means the caller. It is reserved as a user's id.
const Me = "me"

// Grant is what a credential or an invitation permits, made ready for
// decisions.
type Grant struct {
	all       bool
	scopes    Bits
	limited   bool // to the endpoints below
	endpoints Bits
}

// NewGrant compiles lists of names. endpoints nil means no list: all
// endpoints. A list that is empty but not nil grants none.
func NewGrant(scopes, endpoints []string) Grant {
	return Grant{
		all:       slices.Contains(scopes, ScopeAll),
		scopes:    scopeNames.bits(scopes),
		limited:   endpoints != nil,
		endpoints: endpointNames.bits(endpoints),
	}
}

// Everything grants all scopes and all endpoints, as a session does.
func Everything() Grant { return Grant{all: true} }

// Size is about how many bytes the grant's sets take.
func (g *Grant) Size() int { return 8 * (len(g.scopes) + len(g.endpoints)) }

// Permits says whether the grant has all that the rule needs. A grant that is
// limited to endpoints has no rule without an endpoint.
func (g *Grant) Permits(r *Rule) bool {
	return (g.all || g.scopes.Contains(r.needScopes)) &&
		(!g.limited || len(r.Endpoint) > 0 && g.endpoints.Contains(r.needEndpoints))
}

// Lack is what a grant would need to have more to permit a rule.
type Lack struct {
	Scopes    []string
	Endpoints []string
	// NoEndpoint says that the rule names no endpoint, so that no credential
	// limited to endpoints can call it.
	NoEndpoint bool
}

// Lacking names what the grants together don't permit: everything has to be
// in each of them.
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

// Caller is the holder of a credential, as a decision sees it.
type Caller struct {
	// Kind is the kind of the credential.
	Kind Kind
	// UserID is who calls. KeyID is the public id of the credential.
	UserID, KeyID string
	// AppID is the app of an app key, which is UserID's; empty otherwise.
	AppID string
	// Grant is what the credential permits.
	Grant Grant
}

// Reach says by what right a caller addresses an owner's things.
type Reach uint8

// The ways to reach something.
const (
	// Refused: they are someone else's.
	Refused Reach = iota
	// Own: they are the caller's, or the app key's.
	Own
	// Invited: they are someone else's app; the caller needs an invitation
	// as a collaborator, which limits what may be done.
	Invited
)

// Reaches decides ownership. owner and app are what the request names, empty
// where it names none.
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
		return Invited
	}
	return Refused
}

// Target is the owner and app that a request is about, with what it leaves
// out filled in; both empty where it is about no app.
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
