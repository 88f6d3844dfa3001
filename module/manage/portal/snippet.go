package portal

import (
	"encoding/json"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// snippets are programs that make a call with a new key.
type snippets struct {
	// Call is the route of the call.
	Call                     string
	Curl, Python, JavaScript string
}

// snippetsOf returns programs for a call that the key can really make: one that
// only reads and needs nothing but the user and the app in its path. Without one
// they ask what the key grants.
func (v *visit) snippetsOf(k *manage.Key, app *manage.App) snippets {
	path := v.portal.api + "/myscopes"
	s := snippets{Call: "GET " + path}
	best := 0
	h := v.holderOf(app != nil, k.Scopes, k.Endpoints)
	h.Caller.Resources = k.Resources
	for _, d := range h.Callable(v.portal.sites()).Calls {
		if at, fits := filledIn(d.Operation, v.user.ID, app); fits && v.serves(d.Hosts) && fitness(d.Operation) > best {
			path, s.Call, best = at, d.String(), fitness(d.Operation)
		}
	}
	to, credential := v.scheme()+"://"+v.r.Host+path, "Key "+k.ID
	s.Curl = "curl -H " + quoted("Authorization: "+credential) + " " + quoted(to)
	s.Python = "import urllib.request\n\nrequest = urllib.request.Request(" + asString(to) + ")\n" +
		`request.add_header("Authorization", ` + asString(credential) + ")\n" +
		"print(urllib.request.urlopen(request).read().decode())\n"
	s.JavaScript = "const answer = await fetch(" + asString(to) + ", {\n  headers: { Authorization: " + asString(credential) + " },\n});\n" +
		"console.log(answer.status, await answer.text());\n"
	return s
}

// fitness is how well an operation fits as an example: best is one of the site's
// own that needs a scope.
func fitness(o *authz.Operation) int {
	fit := 1
	if len(o.Scopes) > 0 {
		fit++
	}
	if !o.Managed {
		fit += 2
	}
	return fit
}

// filledIn returns the path of a GET route that names only the user and the app.
func filledIn(o *authz.Operation, user string, app *manage.App) (path string, ok bool) {
	p := o.Parsed()
	if o.Method != "GET" || p.Verb != "" || o.Accepts().Public() {
		return "", false
	}
	for i, segment := range p.Segments {
		switch {
		case !strings.HasPrefix(segment, "*"):
		case i == o.OwnerSegment():
			segment = user
		case i == o.AppSegment() && app != nil:
			segment = app.ID
		default:
			return "", false
		}
		path += "/" + url.PathEscape(segment)
	}
	return path, true
}

// serves reports whether a site with these hosts answers at the portal's address.
func (v *visit) serves(hosts []string) bool {
	host, _, err := net.SplitHostPort(v.r.Host)
	if err != nil {
		host = v.r.Host
	}
	return slices.ContainsFunc(hosts, func(h string) bool {
		return h == v.r.Host || h == host || strings.HasPrefix(h, ":") || strings.HasPrefix(h, host+":")
	})
}

// asString returns a text as a string of Python and of JavaScript.
func asString(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // never for a string
	}
	return string(quoted)
}
