package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MethodGRPC in place of a method declares a gRPC method: POST with a content
// type of application/grpc, on exactly the path /package.Service/Method, which
// is its endpoint too.
const MethodGRPC = "grpc"

// MethodAny in place of a method stands for all of [Methods], after those that
// are declared by name.
const MethodAny = "*"

var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

const methodGET, methodHEAD, methodPOST = 0, 1, 2

// Methods lists the methods that a route may answer. They are case-sensitive
// (RFC 9110, section 9.1); a request with any other is refused.
func Methods() []string { return slices.Clone(methods[:]) }

// methodIndex is a method's place in methods, or -1. It is asked for every
// request, so it is a switch.
func methodIndex(method string) int {
	switch method {
	case "GET":
		return 0
	case "HEAD":
		return 1
	case "POST":
		return 2
	case "PUT":
		return 3
	case "PATCH":
		return 4
	case "DELETE":
		return 5
	case "OPTIONS":
		return 6
	}
	return -1
}

// KnownMethod says whether method is one of [Methods].
func KnownMethod(method string) bool { return methodIndex(method) >= 0 }

// Route declares what a request of one method and shape needs.
type Route struct {
	// Method is one of Methods, "*" for all of them, or "grpc".
	Method string `json:"method"`
	// Pattern is the path: literal segments, {name}, {name=**} and
	// {name=a/*/b/*} for several segments, and a :verb at the end.
	Pattern string `json:"pattern"`
	// Scopes are the operation scopes, all of which have to be granted.
	Scopes []string `json:"scopes,omitempty"`
	// Endpoint names the operation as endpoint scopes do, in the form
	// /package.Service/Method. A route with several asks for all of them.
	Endpoint []string `json:"endpoint,omitempty"`
	// Accept says which kinds of credential may call: app_key, pat, session;
	// or public (no credential is asked for) or none (nobody) alone.
	// Default: all three kinds.
	Accept []string `json:"accept,omitempty"`
	// Allow lists what this route lets through that is refused by default:
	// colon (a : in the last segment that is not a verb of the table, %3A
	// too), encoded_slash (%2F inside a variable) and near_literal (a path that
	// a lenient upstream takes for that of another route with other demands).
	Allow []string `json:"allow,omitempty"`

	// Place is where the route is declared, for errors: a file and a line, or
	// a position in the JSON.
	Place string `json:"-"`
}

// String is the route's method and pattern.
func (r Route) String() string { return r.Method + " " + r.Pattern }

// Rule is a route made ready to be asked: what a table answers with.
type Rule struct {
	Route
	accept       Accept
	colon, slash bool
	// near says that a path which comes here may be near to another route;
	// nearAllowed that the route lets such a path through.
	near, nearAllowed bool
	pattern           Pattern
	// owner and app are the positions of the segments that name them; -1
	// where the path doesn't.
	owner, app int

	needScopes, needEndpoints Bits
}

// Accepts says which kinds of credential may call.
func (r *Rule) Accepts() Accept { return r.accept }

// AllowsEncodedSlash says that %2F may stand in the path.
func (r *Rule) AllowsEncodedSlash() bool { return r.slash }

// AllowsColon says that a colon may stand in the last segment, %3A too.
func (r *Rule) AllowsColon() bool { return r.colon }

// Parsed is the route's pattern.
func (r *Rule) Parsed() Pattern { return r.pattern }

// Owner is who the path names as owner, decoded; empty where the route has no
// variable for it. The path has to be one that the route was found for.
func (r *Rule) Owner(path string) string { return r.segment(path, r.owner) }

// App is which app the path names, as [Rule.Owner].
func (r *Rule) App(path string) string { return r.segment(path, r.app) }

// segment is the decoded value of one segment, which is never empty where a
// variable stands for it.
func (r *Rule) segment(path string, i int) string {
	if i < 0 {
		return ""
	}
	for range i + 1 {
		_, path, _ = strings.Cut(path, "/")
	}
	seg, _, more := strings.Cut(path, "/")
	if !more && r.pattern.Verb != "" {
		seg = seg[:len(seg)-len(r.pattern.Verb)-1]
	}
	return decodeSegment(seg)
}

func newRule(rt Route, owner, app string) (*Rule, error) {
	r := &Rule{Route: rt, owner: -1, app: -1}
	if rt.Method != MethodAny && rt.Method != MethodGRPC && !KnownMethod(rt.Method) {
		return nil, fmt.Errorf("method %q: use one of %s, * for all, or grpc", rt.Method, strings.Join(Methods(), " "))
	}
	var err error
	if r.pattern, err = ParsePattern(rt.Pattern); err != nil {
		return nil, err
	}
	if r.accept, err = ParseAccept(rt.Accept); err != nil {
		return nil, err
	}
	if rt.Method == MethodGRPC {
		if err := CheckEndpoint(rt.Pattern); err != nil {
			return nil, err
		}
		r.Endpoint = append([]string{rt.Pattern}, rt.Endpoint...)
	}
	r.Scopes = sortedSet(rt.Scopes)
	r.Endpoint = sortedSet(r.Endpoint)
	if r.accept.Public() && len(r.Scopes) > 0 {
		return nil, errors.New("public together with scopes: whoever needs no credential has no scopes; take one of them away")
	}
	for _, s := range r.Scopes {
		if err := CheckScopeName(s); err != nil {
			return nil, err
		}
	}
	for _, e := range r.Endpoint {
		if err := CheckEndpoint(e); err != nil {
			return nil, err
		}
	}
	for i, a := range rt.Allow {
		switch {
		case slices.Contains(rt.Allow[:i], a):
			return nil, fmt.Errorf("allow %s is given twice", a)
		case a == "colon":
			r.colon = true
		case a == "encoded_slash":
			r.slash = true
		case a == "near_literal":
			r.nearAllowed = true
		default:
			return nil, fmt.Errorf("allow %q: use colon, encoded_slash or near_literal", a)
		}
	}
	if r.owner, err = namedSegment(&r.pattern, owner); err != nil {
		return nil, err
	}
	if r.app, err = namedSegment(&r.pattern, app); err != nil {
		return nil, err
	}
	r.needScopes = scopeNames.bits(r.Scopes)
	r.needEndpoints = endpointNames.bits(r.Endpoint)
	return r, nil
}

// namedSegment finds the one segment that the variable covers, -1 for none.
func namedSegment(p *Pattern, name string) (int, error) {
	v, ok := p.variableNamed(name)
	if !ok {
		return -1, nil
	}
	if v.First != v.Last || p.Segments[v.First] != anySegment {
		return 0, fmt.Errorf("{%s} names the owner or the app, so it has to be one whole segment", name)
	}
	return v.First, nil
}

// sameDemands says whether two routes of one shape ask the same.
func (r *Rule) sameDemands(o *Rule) bool {
	return r.accept == o.accept && r.colon == o.colon && r.slash == o.slash && r.nearAllowed == o.nearAllowed &&
		r.owner == o.owner && r.app == o.app && slices.Equal(r.Scopes, o.Scopes)
}

// CheckEndpoint refuses what is not of the form /package.Service/Method.
func CheckEndpoint(name string) error {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !strings.HasPrefix(name, "/") || !ok || service == "" || method == "" ||
		strings.ContainsFunc(service+method, func(c rune) bool {
			return c > 0x7e || !isUnreserved(byte(c))
		}) {
		return fmt.Errorf("endpoint %q: it has the form /package.Service/Method", name)
	}
	return nil
}

func sortedSet(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	set := slices.Clone(list)
	slices.Sort(set)
	return slices.Compact(set)
}
