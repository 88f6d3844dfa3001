package tenant

import "github.com/caddy-api-keys/gateway/module/policy"

// Mention is one place where a request may name an owner and an app: the path,
// the query, an object of a body, a message in a message. Some server may see
// this place alone, so it has to stand by itself.
type Mention struct {
	owner, app               string
	conflict                 bool // two owners or two apps
	emptyOwner, emptyApp, me bool // named as nothing, or as me
}

// Add adds a value at the place.
func (m *Mention) Add(what Part, value string) {
	name, empty := &m.owner, &m.emptyOwner
	if what == App {
		name, empty = &m.app, &m.emptyApp
	}
	switch {
	case value == "":
		*empty = true
	case what == Owner && value == policy.Me:
		m.me = true
	default:
		m.conflict = m.conflict || *name != "" && *name != value
		*name = value
	}
}

// Named is what a request names as owner and app, gathered from all places.
// They have to agree: one owner, one app.
type Named struct {
	owner, app string // empty where none was named
	me         bool   // the owner was named as me
	conflict   bool   // two owners or two apps were named, or one and nothing
	bare       bool   // some place names an owner and no app
}

// Take adds what a place names. A name that is taken back in the same place,
// by an empty one, is a conflict: which of the two counts depends on the
// server.
func (n *Named) Take(m Mention) {
	n.conflict = n.conflict || m.conflict || m.emptyOwner && (m.owner != "" || m.me) || m.emptyApp && m.app != ""
	n.bare = n.bare || m.owner != "" && m.app == ""
	n.merge(Named{owner: m.owner, app: m.app, me: m.me})
}

// merge adds what another part of the request names.
func (n *Named) merge(o Named) {
	n.conflict = n.conflict || o.conflict ||
		o.owner != "" && n.owner != "" && o.owner != n.owner || o.app != "" && n.app != "" && o.app != n.app
	n.me, n.bare = n.me || o.me, n.bare || o.bare
	if o.owner != "" {
		n.owner = o.owner
	}
	if o.app != "" {
		n.app = o.app
	}
}

// Settle returns who was named, as seen by the caller. ok is false if the
// places don't agree, or if one names someone else and no app: an app named
// elsewhere doesn't make that an invitation.
func (n *Named) Settle(caller *policy.Caller) (owner, app string, ok bool) {
	another := n.owner != "" && n.owner != caller.UserID
	switch {
	case n.conflict, another && (n.me || n.bare && n.app != ""):
		return "", "", false
	case n.me:
		return policy.Me, n.app, true
	}
	return n.owner, n.app, true
}

// Agree reports whether a message of a stream may follow the first, by which the
// stream was decided and the upstream was told: it names the same, or nothing,
// or what is the caller's own.
func Agree(caller *policy.Caller, first, later Named) bool {
	owner, app, _ := first.Settle(caller)
	first.merge(later)
	laterOwner, laterApp, agree := first.Settle(caller)
	return agree && (laterOwner == owner && laterApp == app || caller.Reaches(laterOwner, laterApp) == policy.Own)
}
