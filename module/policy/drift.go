package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Drift compares a table with one that was made from a description. It finds
// what only the description has, what only the table has, what differs, and the
// operations that no table can express. It ignores the descriptions of scopes
// and the allow words of routes (colons, escaped slashes), because only the
// table has them.
func Drift(have, want Checked) []Finding {
	haveTable, err := NewTable(have.Routes, have.Owner, have.App)
	if err != nil {
		return mistakes(err)
	}
	wantTable, err := NewTable(want.Routes, want.Owner, want.App)
	if err != nil {
		return mistakes(fmt.Errorf("the description: %w", err))
	}
	described := map[string]*Rule{}
	for _, r := range wantTable.Rules() {
		described[r.shape()] = r
	}
	var found []Finding
	for _, r := range haveTable.Rules() {
		d := described[r.shape()]
		delete(described, r.shape())
		if d == nil {
			found = append(found, r.finding(Error, FindingRemoved, "is no longer in the description; remove it"))
		} else if changes := r.changes(d); len(changes) > 0 {
			found = append(found, r.finding(Error, FindingChanged, "differs from the description: %s", strings.Join(changes, "; ")))
		}
	}
	for _, r := range wantTable.Rules() {
		if described[r.shape()] != nil {
			found = append(found, Finding{Error, FindingAdded, "", fmt.Sprintf("route %s is in the description only: it is refused until the table has it", r)})
		}
	}
	found = append(found, leftOut(haveTable.Rules(), want.LeftOut)...)
	found = append(found, scopeDrift(have.Scopes, want.Scopes)...)
	return append(found, ownerDrift(have.ownerLines(), want.ownerLines())...)
}

// ownerLines returns the places outside paths that name the owner or the app.
// Each is written as a line that declares only that place.
func (c *Checked) ownerLines() (lines []string) {
	for _, f := range c.OwnerQuery {
		lines = append(lines, "owner_query "+f.Owner+" "+f.App)
	}
	for _, f := range c.OwnerBody {
		lines = append(lines, "owner_body "+f)
	}
	for _, m := range c.OwnerMessage {
		for _, f := range m.Fields {
			lines = append(lines, "owner_message "+m.Method+" "+f)
		}
	}
	return sortedSet(lines)
}

func ownerDrift(have, want []string) (found []Finding) {
	for _, line := range have {
		if !slices.Contains(want, line) {
			found = append(found, Finding{Error, FindingRemoved, "", line + " is not in the description any more: take it away"})
		}
	}
	for _, line := range want {
		if !slices.Contains(have, line) {
			found = append(found, Finding{Error, FindingAdded, "", line + " is in the description only: what is named there is not checked until the table has it"})
		}
	}
	return found
}

// shape returns a text that is equal for two routes that one table can't both
// have.
func (r *Rule) shape() string {
	return r.Method + " " + strings.Join(r.pattern.Segments, "/") + ":" + r.pattern.Verb
}

// changes lists the demands in which a description differs.
func (r *Rule) changes(d *Rule) (list []string) {
	differ := func(what string, have, want []string) {
		if !slices.Equal(have, want) {
			list = append(list, fmt.Sprintf("%s %s instead of %s", what, orNothing(want), orNothing(have)))
		}
	}
	differ("scopes", r.Scopes, d.Scopes)
	differ("accept", r.accept.Words(), d.accept.Words())
	differ("endpoint", r.Endpoint, d.Endpoint)
	if r.owner != d.owner || r.app != d.app {
		list = append(list, fmt.Sprintf("owner and app as in %s", d.Pattern))
	}
	return list
}

func scopeDrift(have, want []Scope) (found []Finding) {
	described := map[string]Scope{}
	for _, s := range want {
		described[s.Name] = s
	}
	declared := map[string]bool{ScopeAll: true}
	for _, s := range have {
		declared[s.Name] = true
		d, ok := described[s.Name]
		switch {
		case s.Name == ScopeAll:
		case !ok:
			found = append(found, Finding{Error, FindingRemoved, s.Place, fmt.Sprintf("scope %s is no longer in the description; remove it", s.Name)})
		case !slices.Equal(sortedSet(s.Needs), sortedSet(d.Needs)):
			found = append(found, Finding{Error, FindingChanged, s.Place, fmt.Sprintf("scope %s differs from the description: it needs %s instead of %s",
				s.Name, orNothing(sortedSet(d.Needs)), orNothing(sortedSet(s.Needs)))})
		}
	}
	for _, s := range want {
		if !declared[s.Name] {
			found = append(found, Finding{Error, FindingAdded, "", fmt.Sprintf("scope %s is in the description only: it can't be granted until the table has it", s.Name)})
		}
	}
	return found
}
