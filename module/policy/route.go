package policy

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// MethodGRPC in place of a method declares a gRPC method: POST with a content
// type of application/grpc, on exactly the path /package.Service/Method, which
// is its endpoint too.
const MethodGRPC = "grpc"

// MethodAny in place of a method stands for all of [Methods]. Routes that name
// the method go first.
const MethodAny = "*"

var methods = [...]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

const methodGET, methodHEAD, methodPOST = 0, 1, 2

// Methods returns the methods that a route may answer. They are case-sensitive
// (RFC 9110, section 9.1). A request with any other method is refused.
func Methods() []string { return slices.Clone(methods[:]) }

// methodIndex returns a method's position in methods, or -1. It runs for every
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

// KnownMethod reports whether method is one of [Methods].
func KnownMethod(method string) bool { return methodIndex(method) >= 0 }

// Route declares what requests of one method and shape need.
type Route struct {
	// Method is one of Methods, "*" for all of them, or "grpc".
	Method string `json:"method"`
	// Pattern is the path: literal segments, {name}, {name=**} and
	// {name=a/*/b/*} for several segments, and a :verb at the end.
	Pattern string `json:"pattern"`
	// Scopes are the operation scopes. All of them have to be granted.
	Scopes []string `json:"scopes,omitempty"`
	// Endpoint names the operation as endpoint scopes do, in the form
	// /package.Service/Method. A route with several endpoints requires all of
	// them.
	Endpoint []string `json:"endpoint,omitempty"`
	// Accept lists the kinds of credential that may call: app_key, pat,
	// session. Alternatively it has public (no credential is required) or none
	// (nobody may call) alone. Default: all three kinds.
	Accept []string `json:"accept,omitempty"`
	// Allow lists what this route allows although it is refused by default:
	// colon (a : or %3A in the last segment that is not a verb of the table),
	// encoded_slash (%2F inside a variable) and near_literal (a path that a
	// lenient upstream would route to another route with other demands).
	Allow []string `json:"allow,omitempty"`

	// Cost is how much a request uses of the rates and quotas of its credential.
	// With 0, it uses nothing.
	// Default: 1.
	Cost *int64 `json:"cost,omitempty"`

	// Place is where the route is declared, for errors: a file and a line, or
	// a position in the JSON.
	Place string `json:"-"`
}

// String returns the route's method and pattern.
func (r Route) String() string { return r.Method + " " + r.Pattern }

// Rule is a compiled route, as returned by a table.
type Rule struct {
	Route
	accept       Accept
	colon, slash bool
	// near is true if a path of this route may be near to another route.
	// nearAllowed is true if the route allows such a path.
	near, nearAllowed bool
	// nearPlain is true if a plain path of this route may be near to another
	// route, one with a literal that isn't in its loose form.
	nearPlain bool
	pattern   Pattern
	// variables are those of the pattern, and of the routes of the same shape that were
	// merged into this one.
	variables []Variable
	// verb is a route with a verb that an upstream may choose for the path, because
	// the path has an escaped colon. It is nil for most requests.
	verb *Rule
	// owner and app are the positions of the segments that name the owner and
	// the app, or -1 if the path doesn't name them.
	owner, app int
	// cost is how much a request uses of rates and quotas.
	cost int64

	needScopes, needEndpoints Bits
}

// Accepts returns the kinds of credential that may call.
func (r *Rule) Accepts() Accept { return r.accept }

// AllowsEncodedSlash reports whether the path may contain %2F.
func (r *Rule) AllowsEncodedSlash() bool { return r.slash }

// AllowsColon reports whether the last segment may contain a colon or %3A.
func (r *Rule) AllowsColon() bool { return r.colon }

// Costs returns how much a request uses of rates and quotas.
func (r *Rule) Costs() int64 { return r.cost }

// Parsed returns the route's parsed pattern.
func (r *Rule) Parsed() Pattern { return r.pattern }

// Owner returns the owner that the path names, decoded, or "" if the route has
// no variable for it. The route must have been found for the path.
func (r *Rule) Owner(path string) string { return r.segment(path, r.owner) }

// App returns the app that the path names, like [Rule.Owner].
func (r *Rule) App(path string) string { return r.segment(path, r.app) }

// OwnerSegment returns the position of the segment that names the owner, or -1.
func (r *Rule) OwnerSegment() int { return r.owner }

// AppSegment returns the position of the segment that names the app, or -1.
func (r *Rule) AppSegment() int { return r.app }

// segment returns the decoded value of one segment. It is never empty if a
// variable matches it.
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

// HasVariable reports whether the route has a variable of this name.
func (r *Rule) HasVariable(name string) bool {
	return slices.ContainsFunc(r.variables, func(v Variable) bool { return v.Name == name })
}

// Values returns the decoded values that the path has for a variable. There may be
// several, because routes of one shape may use the name for different segments, and
// because of an escaped colon. The route must have been found for the path.
func (r *Rule) Values(name, path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, v := range r.variables {
			if v.Name == name && !yield(r.value(path, v)) {
				return
			}
		}
		if r.verb != nil {
			r.verb.Values(name, colons.Replace(path))(yield)
		}
	}
}

// value returns the decoded value that the path has for a variable. Only the value
// of a rest variable can be empty.
func (r *Rule) value(path string, v Variable) string {
	for range v.First + 1 {
		_, path, _ = strings.Cut(path, "/")
	}
	end := 0
	for range v.Last - v.First + 1 {
		i := strings.IndexByte(path[end:], '/')
		if i < 0 {
			end = len(path) + 1
			break
		}
		end += i + 1
	}
	if v.Last < 0 || end > len(path) {
		return decodeSegment(strings.TrimSuffix(path, r.verbSuffix()))
	}
	return decodeSegment(path[:end-1])
}

// verbSuffix returns the end that the last segment of a path has.
func (r *Rule) verbSuffix() string {
	if r.pattern.Verb == "" {
		return ""
	}
	return ":" + r.pattern.Verb
}

func newRule(rt Route, owner, app string) (*Rule, error) {
	r := &Rule{Route: rt, owner: -1, app: -1, cost: 1}
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
		return nil, errors.New("a public route can't require scopes; remove accept public or the scopes")
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
	if rt.Cost != nil {
		if r.cost = *rt.Cost; r.cost < 0 || r.cost > MaxCost {
			return nil, fmt.Errorf("cost %d: give a number from 0 to %d", r.cost, MaxCost)
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
	r.variables = slices.Clip(r.pattern.Variables)
	r.needScopes = scopeNames.bits(r.Scopes)
	r.needEndpoints = endpointNames.bits(r.Endpoint)
	return r, nil
}

// namedSegment returns the position of the segment that the variable covers, or
// -1 if there is no such variable.
func namedSegment(p *Pattern, name string) (int, error) {
	v, ok := p.variableNamed(name)
	if !ok {
		return -1, nil
	}
	if v.First != v.Last || p.Segments[v.First] != anySegment {
		return 0, fmt.Errorf("{%s} names the owner or the app, so it must be one whole segment", name)
	}
	return v.First, nil
}

// sameDemands reports whether two routes of one shape have the same demands.
func (r *Rule) sameDemands(o *Rule) bool {
	return r.accept == o.accept && r.colon == o.colon && r.slash == o.slash && r.nearAllowed == o.nearAllowed &&
		r.owner == o.owner && r.app == o.app && r.cost == o.cost && slices.Equal(r.Scopes, o.Scopes)
}

// CheckEndpoint returns an error if name doesn't have the form
// /package.Service/Method.
func CheckEndpoint(name string) error {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !strings.HasPrefix(name, "/") || !ok || service == "" || method == "" ||
		strings.ContainsFunc(service+method, func(c rune) bool {
			return c > 0x7e || !isUnreserved(byte(c))
		}) {
		return fmt.Errorf("endpoint %q: must have the form /package.Service/Method", name)
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
