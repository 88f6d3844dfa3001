package policy

import "strings"

// Overridable reports whether a request for r that an upstream takes for one of
// another method may meet other demands: those of another route of this path,
// or of none, which the gate would have refused.
func (t *Table) Overridable(r *Rule, path string) bool {
	for _, method := range methods {
		if o := t.Find(method, false, path); o == nil || r.asksElse(o) {
			return true
		}
	}
	return false
}

// MayOverride reports whether a request for r may ask to be taken for one of
// the method. Where any method of the path has other demands it may not,
// whichever it names: what an upstream makes of the name isn't known.
func (t *Table) MayOverride(r *Rule, path, method string) bool {
	for _, other := range methods {
		if o := t.Find(other, false, path); o != nil && r.asksElse(o) {
			return false
		}
	}
	return t.Find(strings.ToUpper(method), false, path) != nil
}
