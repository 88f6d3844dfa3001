package gateway

import (
	"net/http"
	"net/textproto"
	"strings"
)

// identityNames are the headers by which the upstream is told who calls.
type identityNames struct {
	prefix                                 string
	userID, keyID, keyType, ownerID, appID string
}

func newIdentityNames(prefix string) identityNames {
	name := func(s string) string { return textproto.CanonicalMIMEHeaderKey(prefix + s) }
	return identityNames{
		prefix:  prefix,
		userID:  name("User-Id"),
		keyID:   name("Key-Id"),
		keyType: name("Key-Type"),
		ownerID: name("Owner-Id"),
		appID:   name("App-Id"),
	}
}

// overrideHeaders make some upstreams see another method or path than the one
// that was decided about.
var overrideHeaders = [...]string{
	"x-http-method-override", "x-http-method", "x-method-override",
	"x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url",
}

// dropForged takes out of a client's request what only the gate may say, in
// every spelling that some upstream reads as the same: any case, and _ or .
// for - (a CGI variable has neither). It comes before everything else, so that
// no answer and no upstream, of a public route either, sees any of it.
func (g *Gate) dropForged(r *http.Request) {
	h := r.Header
	for name := range h {
		if g.ours(name) {
			delete(h, name)
		}
	}
	dropPortalCookie(h)
	g.dropUpgrade(r)
	if lines := h["Connection"]; len(lines) > 0 {
		keepConnection(h, lines)
	}
	// Trailers arrive after the decision, so none is handed on. The server
	// fills in those of the request that it knows itself, which is another.
	delete(h, "Trailer")
	r.Trailer = nil
}

// ours says whether a client may not send a header of this name.
func (g *Gate) ours(name string) bool {
	if g.identity.prefix != "" && foldedPrefix(name, g.identity.prefix) {
		return true
	}
	if !g.KeepOverrideHeaders && len(name) > 2 && (name[0] == 'X' || name[0] == 'x') {
		for _, o := range overrideHeaders {
			if len(name) == len(o) && foldedPrefix(name, o) {
				return true
			}
		}
	}
	return false
}

// keepConnection leaves of Connection only what is about the connection. It
// names headers that the next hop removes (RFC 9110, section 7.6.1), so a
// client could have ours removed, or those that the decision rests on.
func keepConnection(h http.Header, lines []string) {
	var kept []string
	for _, line := range lines {
		for option := range strings.SplitSeq(line, ",") {
			option = textproto.TrimString(option)
			switch strings.ToLower(option) {
			case "close", "keep-alive", "te":
				kept = append(kept, option)
			case "upgrade":
				if len(h["Upgrade"]) > 0 {
					kept = append(kept, option)
				}
			default: // a header of the client's choice
			}
		}
	}
	if len(kept) == 0 {
		delete(h, "Connection")
		return
	}
	h["Connection"] = []string{strings.Join(kept, ", ")}
}

// foldedPrefix says whether name begins with prefix, which is of letters in
// lower case, digits and -, however name is spelled: whatever is neither letter
// nor digit some server takes for the same.
func foldedPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case (c < 'a' || c > 'z') && (c < '0' || c > '9'):
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// identity is what the gate says of a caller, to the upstream, in
// placeholders and in the access log.
type identity struct {
	userID, keyID, keyType string
	// owner and app are empty where the request is about no app.
	ownerID, appID string
}

func identify(v *verdict) identity {
	c := v.credential.Caller()
	id := identity{userID: c.UserID, keyID: c.KeyID, keyType: c.Kind.String()}
	id.ownerID, id.appID = c.Target(v.owner, v.app)
	return id
}

// told are the values of the identity headers. It is this request's own
// memory: a handler further on may change a header in place.
type told [5]string

// tell sets the headers.
func (g *Gate) tell(h http.Header, id *identity, values *told) {
	n := &g.identity
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
