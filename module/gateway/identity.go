package gateway

import (
	"net/http"
	"net/textproto"
	"strings"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// identityNames are the headers by which the upstream is told who calls.
type identityNames struct {
	prefix                                 string
	userID, keyID, keyType, ownerID, appID string
}

func newIdentityNames(prefix string) identityNames {
	name := func(what string) string { return textproto.CanonicalMIMEHeaderKey(prefix + what) }
	return identityNames{
		prefix:  prefix,
		userID:  name("User-Id"),
		keyID:   name("Key-Id"),
		keyType: name("Key-Type"),
		ownerID: name("Owner-Id"),
		appID:   name("App-Id"),
	}
}

// dropForged takes out of a client's request what only the gate may say, in
// every spelling that some upstream reads as the same: any case, and _ or .
// for - (a CGI variable has neither). It comes before everything else, so that
// no answer and no upstream, of a public route either, sees any of it.
func (s *Site) dropForged(r *http.Request) {
	h := r.Header
	for name := range h {
		if s.ours(name) {
			delete(h, name)
		}
	}
	dropPortalCookie(h)
	wire.DropUpgrade(r, s.websocket)
	wire.KeepConnection(h)
	wire.DropTrailers(r)
}

// ours reports whether a client may not send a header of this name.
func (s *Site) ours(name string) bool {
	return s.identity.prefix != "" && wire.FoldedPrefix(name, s.identity.prefix) ||
		!s.keepOverrides && wire.IsOverride(name)
}

// identity is what the gate says of a caller, to the upstream, in
// placeholders and in the access log.
type identity struct {
	userID, keyID, keyType string
	// owner and app are empty where the request is about no app.
	ownerID, appID string
}

func identify(v *verdict) identity {
	c := v.Credential.Caller()
	id := identity{userID: c.UserID, keyID: c.KeyID, keyType: c.Kind.String()}
	id.ownerID, id.appID = c.Target(v.Owner, v.App)
	return id
}

// told are the values of the identity headers. It is this request's own
// memory: a handler further on may change a header in place.
type told [5]string

// tell sets the headers.
func (s *Site) tell(h http.Header, id *identity, values *told) {
	n := &s.identity
	if n.prefix == "" {
		return
	}
	*values = told{id.userID, id.keyID, id.keyType, id.ownerID, id.appID}
	h[n.userID] = values[0:1:1]
	h[n.keyID] = values[1:2:2]
	h[n.keyType] = values[2:3:3]
	if id.appID != "" {
		h[n.ownerID] = values[3:4:4]
		h[n.appID] = values[4:5:5]
	}
}

// placeholder answers {http.auth.user.id} and its siblings.
func (id *identity) placeholder(key string) (any, bool) {
	field, ok := strings.CutPrefix(key, "http.auth.user.")
	if !ok {
		return nil, false
	}
	switch field {
	case "id":
		return id.userID, true
	case "key_id":
		return id.keyID, true
	case "key_type":
		return id.keyType, true
	case "owner_id":
		return id.ownerID, true
	case "app_id":
		return id.appID, true
	}
	return nil, false
}
