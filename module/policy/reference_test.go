package policy

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// This is the table's contract once more, as a list that is gone through from
// end to end: slow, and simple enough to believe. Tables are compared with it.

// refMatch reports whether a route matches a path, and how specifically: the
// lesser key, the more specific. Each segment counts as a literal, a variable
// or the rest; where the verb accounts for a colon, that is more specific than
// where allow colon lets it pass.
func refMatch(r *Rule, path string) (key []int, ok bool) {
	p := r.Parsed()
	segs := strings.Split(path, "/")
	if segs[0] != "" || len(segs) < 2 {
		return nil, false
	}
	segs = segs[1:]
	last := len(segs) - 1
	noVerb := 1
	if p.Verb != "" {
		before, found := strings.CutSuffix(segs[last], ":"+p.Verb)
		if !found {
			return nil, false
		}
		segs[last], noVerb = before, 0
	}
	if strings.Contains(segs[last], ":") && !slices.Contains(r.Allow, "colon") {
		return nil, false
	}
	for i, want := range p.Segments {
		if want == "**" {
			return append(key, 4+noVerb), true
		}
		if i > last {
			return nil, false
		}
		decoded, err := url.PathUnescape(segs[i])
		if err != nil {
			decoded = segs[i]
		}
		class := 0
		switch {
		case want == "*" && segs[i] != "":
			class = 2
		case want == "*" || want != decoded:
			return nil, false
		}
		if i == last {
			class += noVerb
		}
		key = append(key, class)
	}
	return key, len(p.Segments) == len(segs)
}

// refMethod says how well a route answers a method: the lesser, the better.
func refMethod(r *Rule, method string, grpc bool) (rank int, ok bool) {
	switch {
	case r.Method == MethodGRPC:
		return 0, grpc && method == "POST"
	case r.Method == method:
		return 1, KnownMethod(method)
	case method == "HEAD" && r.Method == "GET":
		return 2, true
	}
	return 3, r.Method == MethodAny && KnownMethod(method)
}

func refFind(rules []*Rule, method string, grpc bool, path string) *Rule {
	var best *Rule
	var bestKey []int
	for _, r := range rules {
		key, matches := refMatch(r, path)
		rank, answers := refMethod(r, method, grpc)
		if !matches || !answers {
			continue
		}
		// An end is more specific than a rest of nothing: -1 marks it.
		key = append(key, -1, rank)
		if best == nil || slices.Compare(key, bestKey) < 0 {
			best, bestKey = r, key
		}
	}
	return best
}

func refAllowed(rules []*Rule, path string) []string {
	var list []string
	for _, method := range Methods() {
		if slices.ContainsFunc(rules, func(r *Rule) bool {
			_, matches := refMatch(r, path)
			_, answers := refMethod(r, method, true)
			return matches && answers
		}) {
			list = append(list, method)
		}
	}
	slices.Sort(list)
	return list
}

// refSegment is what the path says where the pattern has the variable.
func refSegment(r *Rule, name, path string) string {
	p := r.Parsed()
	for _, v := range p.Variables {
		if v.Name != name {
			continue
		}
		segs := strings.Split(path, "/")[1:]
		if p.Verb != "" {
			segs[len(segs)-1] = strings.TrimSuffix(segs[len(segs)-1], ":"+p.Verb)
		}
		value, err := url.PathUnescape(segs[v.First])
		if err != nil {
			return segs[v.First]
		}
		return value
	}
	return ""
}

// compare asks a table and the list for the same, and reports the difference.
func compare(t *testing.T, table *Table, method string, grpc bool, path string) {
	t.Helper()
	got, want := table.Find(method, grpc, path), refFind(table.Rules(), method, grpc, path)
	if got != want {
		t.Fatalf("Find(%s, %t, %q)\n got %v\nwant %v\nin %v", method, grpc, path, describe(got), describe(want), describe(table.Rules()...))
	}
	if got, want := table.Allowed(path), refAllowed(table.Rules(), path); !slices.Equal(got, want) {
		t.Fatalf("Allowed(%q)\n got %q\nwant %q\nin %v", path, got, want, describe(table.Rules()...))
	}
	if got == nil {
		return
	}
	if owner, want := got.Owner(path), refSegment(got, "user_id", path); owner != want {
		t.Fatalf("%s: the owner in %q is %q, want %q", got.Route, path, owner, want)
	}
	if app, want := got.App(path), refSegment(got, "app_id", path); app != want {
		t.Fatalf("%s: the app in %q is %q, want %q", got.Route, path, app, want)
	}
}

func describe(rules ...*Rule) []string {
	var list []string
	for _, r := range rules {
		if r == nil {
			list = append(list, "nothing")
			continue
		}
		list = append(list, fmt.Sprintf("%s %v", r.Route, r.Allow))
	}
	return list
}

func pick(rnd *rand.Rand, list ...string) string { return list[rnd.IntN(len(list))] }

// randomRoute is a route over so few words that many have much in common.
func randomRoute(rnd *rand.Rand, n int) Route {
	if rnd.IntN(12) == 0 {
		return Route{Method: MethodGRPC, Pattern: "/" + pick(rnd, "a", "b") + "/" + pick(rnd, "a", "b")}
	}
	var pattern strings.Builder
	names := []string{"user_id", "app_id", "v0", "v1", "v2"}
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i := range 1 + rnd.IntN(4) {
		pattern.WriteByte('/')
		switch rnd.IntN(7) {
		case 0, 1, 2:
			pattern.WriteString(pick(rnd, "a", "b", "c:d"))
		case 3, 4, 5:
			pattern.WriteString("{" + names[i] + "}")
		case 6:
			pattern.WriteString(pick(rnd, "{w=a/*}", "{w=*/b}", "{w=**}", "{w=a/**}", ""))
		}
	}
	switch rnd.IntN(5) {
	case 0:
		pattern.WriteString(pick(rnd, ":go", ":stop"))
	case 1:
		pattern.WriteString("/{rest=**}")
	case 2:
		pattern.WriteString("/{rest=**}:go")
	}
	r := Route{
		Method:  pick(rnd, "GET", "GET", "POST", "HEAD", "DELETE", "*"),
		Pattern: pattern.String(),
		Place:   fmt.Sprint(n),
	}
	if rnd.IntN(4) == 0 {
		r.Allow = []string{"colon"}
	}
	return r
}

// randomPath fills in the pattern of a route, and then often spoils it.
func randomPath(rnd *rand.Rand, r *Rule) string {
	segment := func() string { return pick(rnd, "a", "b", "c:d", "x", "%61", "%2F", "c%3ad", "%zz", "") }
	p := r.Parsed()
	var path strings.Builder
	for _, seg := range p.Segments {
		switch {
		case seg == "**":
			for range rnd.IntN(3) {
				path.WriteString("/" + segment())
			}
		case seg == "*" || rnd.IntN(6) == 0:
			path.WriteString("/" + segment())
		default:
			path.WriteString("/" + seg)
		}
	}
	if p.Verb != "" {
		path.WriteString(":" + p.Verb)
	}
	if rnd.IntN(3) == 0 {
		path.WriteString(pick(rnd, ":go", ":stop", ":", ":x:go", ":go:", ":%67o", "/", "/a", "/x:y"))
	}
	return path.String()
}

// Random tables, and random paths in each: the table finds what the list
// finds, in whatever order its routes are declared.
func TestTableAgainstReference(t *testing.T) {
	found := 0
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		routes := []Route{{Method: "GET", Pattern: "/a/{user_id}/{app_id}", Place: "first"}}
		for n := range rnd.IntN(25) {
			// Leave out patterns that don't parse, and routes with the shape of an
			// earlier one but other demands. They have tests of their own.
			rt := randomRoute(rnd, n)
			if _, err := NewTable(append(routes, rt), "user_id", "app_id"); err == nil {
				routes = append(routes, rt)
			}
		}
		declared, err := NewTable(routes, "user_id", "app_id")
		if err != nil {
			t.Fatal(err)
		}
		rnd.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		shuffled, err := NewTable(routes, "user_id", "app_id")
		if err != nil {
			t.Fatal(err)
		}
		for range 150 {
			method, grpc := pick(rnd, "GET", "HEAD", "POST", "DELETE", "PUT", "get"), rnd.IntN(3) == 0
			path := randomPath(rnd, declared.Rules()[rnd.IntN(len(declared.Rules()))])
			compare(t, declared, method, grpc, path)
			compare(t, shuffled, method, grpc, path)
			if declared.Find(method, grpc, path) != nil {
				found++
			}
		}
	}
	if found < 10000 {
		t.Errorf("only %d lookups found something: the tables or paths are too random to show much", found)
	}
}

func FuzzTableFind(f *testing.F) {
	f.Add("/v2/inputs", "/v2/inputs/{id}", "/v2/{r=**}", "/v2/inputs/%73tatus", 0, true)
	f.Add("/{user_id}/{app_id}:go", "/{user_id}/{x}", "/{user_id}/{r=**}:go", "/me/a:go", 1, false)
	f.Add("/a/{w=b/*/c}", "/a/b/{x}/{r=**}", "/", "/a/b/x/c", 2, false)
	f.Add("/public/{r=**}", "/a.S/M", "/{x}", "/public/", 3, true)
	f.Add("/a:b/{x}", "/a", "/a/", "/a:/", 4, true)
	f.Fuzz(func(t *testing.T, one, two, three, path string, method int, grpc bool) {
		var routes []Route
		for i, pattern := range []string{one, two, three, one} {
			rt := Route{Method: append(Methods(), MethodAny, MethodGRPC)[uint(method+i)%9], Pattern: pattern}
			if i == 2 {
				rt.Allow = []string{"colon"}
			}
			if _, err := NewTable(append(routes, rt), "user_id", "app_id"); err == nil {
				routes = append(routes, rt)
			}
		}
		table, err := NewTable(routes, "user_id", "app_id")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range append(Methods(), "TRACE", "get", "") {
			compare(t, table, m, grpc, path)
		}
	})
}
