package policy

// Mention is one place where a request may name an owner and an app: the path,
// the query, an object of a body, a message in a message. Some server may see
// this place alone, so it has to stand by itself.
type Mention struct {
	// Conflict reports two owners or two apps.
	Conflict bool

	owner, app               string
	emptyOwner, emptyApp, me bool // named as nothing, or as me
}

// AddOwner adds a value that names the owner.
func (m *Mention) AddOwner(value string) {
	switch value {
	case "":
		m.emptyOwner = true
	case Me:
		m.me = true
	default:
		m.Conflict = m.Conflict || m.owner != "" && m.owner != value
		m.owner = value
	}
}

// AddApp adds a value that names the app.
func (m *Mention) AddApp(value string) {
	if value == "" {
		m.emptyApp = true
		return
	}
	m.Conflict = m.Conflict || m.app != "" && m.app != value
	m.app = value
}

// Named is what a request names as owner and app, gathered from all places.
// They have to agree: one owner, one app.
type Named struct {
	// Owner and App are empty where none was named.
	Owner, App string
	// Me reports that the owner was named as me.
	Me bool
	// Conflict reports that two owners or two apps were named, or one and
	// nothing.
	Conflict bool
	// Bare reports that some place names an owner and no app.
	Bare bool
}

// Take adds what a place names. A name that is taken back in the same place,
// by an empty one, is a conflict: which of the two counts depends on the
// server.
func (n *Named) Take(m Mention) {
	n.Conflict = n.Conflict || m.Conflict || m.emptyOwner && (m.owner != "" || m.me) || m.emptyApp && m.app != ""
	n.Bare = n.Bare || m.owner != "" && m.app == ""
	n.Merge(Named{Owner: m.owner, App: m.app, Me: m.me})
}

// Merge adds what another part of the request names.
func (n *Named) Merge(o Named) {
	n.Conflict = n.Conflict || o.Conflict ||
		o.Owner != "" && n.Owner != "" && o.Owner != n.Owner || o.App != "" && n.App != "" && o.App != n.App
	n.Me, n.Bare = n.Me || o.Me, n.Bare || o.Bare
	if o.Owner != "" {
		n.Owner = o.Owner
	}
	if o.App != "" {
		n.App = o.App
	}
}

// Settle returns who was named, as seen by the caller. ok is false if the
// places don't agree, or if one names someone else and no app: an app named
// elsewhere doesn't make the caller its collaborator.
func (n *Named) Settle(caller *Caller) (owner, app string, ok bool) {
	another := n.Owner != "" && n.Owner != caller.UserID
	switch {
	case n.Conflict, another && (n.Me || n.Bare && n.App != ""):
		return "", "", false
	case n.Me:
		return Me, n.App, true
	}
	return n.Owner, n.App, true
}

// Agree reports whether a message of a stream may follow the first, by which the
// stream was decided and the upstream was told: it names the same, or nothing,
// or what is the caller's own.
func Agree(caller *Caller, first, later Named) bool {
	owner, app, _ := first.Settle(caller)
	first.Merge(later)
	laterOwner, laterApp, agree := first.Settle(caller)
	return agree && (laterOwner == owner && laterApp == app || caller.Reaches(laterOwner, laterApp) == Own)
}
