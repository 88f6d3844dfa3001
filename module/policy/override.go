package policy

import "strings"

// Overridable reports whether other demands may apply to a request for r if an
// upstream overrides its method: the demands of another route of this path, or
// a refusal because no route has that method.
func (t *Table) Overridable(r *Rule, path string) bool {
	for _, method := range methods {
		if o := t.Find(method, false, path); o == nil || r.asksElse(o) {
			return true
		}
	}
	return false
}

// MayOverride reports whether a request for r may override its method. It may
// not if any method of the path has other demands, whichever method it names,
// because it isn't known how an upstream reads the name.
func (t *Table) MayOverride(r *Rule, path, method string) bool {
	for _, other := range methods {
		if o := t.Find(other, false, path); o != nil && r.asksElse(o) {
			return false
		}
	}
	return t.Find(strings.ToUpper(method), false, path) != nil
}
