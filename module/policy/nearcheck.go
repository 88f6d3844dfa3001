package policy

import (
	"slices"
	"strings"
)

// nears finds pairs of routes for which a lenient upstream routes some path of
// the first to the second. Each finding shows such a path.
func (c *Checked) nears(table *Table, fresh string) (found []Finding) {
	type pair struct{ r, o *Rule }
	seen := map[pair]bool{}
	for _, o := range table.Rules() {
		for _, path := range spellings(o, fresh) {
			for _, method := range answered(o.Method) {
				grpc := o.Method == MethodGRPC
				r := table.Find(method, grpc, path)
				near := table.NearLiteral(r, method, grpc, path)
				if near != o || seen[pair{r, o}] {
					continue
				}
				seen[pair{r, o}] = true
				found = append(found, r.finding(Note, FindingNear,
					"refuses paths such as %s, which a lenient upstream routes to %s%s; add allow near_literal to the route if your upstream compares exactly", path, o, inPlace(o.Place)))
			}
		}
	}
	return found
}

// spellings returns paths that are near to a route: its samples with one or all
// literals in upper case, and with a trailing dot or slash.
func spellings(r *Rule, fresh string) []string {
	var list []string
	for _, path := range samples(r, fresh)[:1] {
		segments := strings.Split(path, "/")
		all := slices.Clone(segments)
		for i, seg := range segments {
			if i > len(r.pattern.Segments) || strings.ToUpper(seg) == seg {
				continue
			}
			if i > 0 && (r.pattern.Segments[i-1] == anySegment || r.pattern.Segments[i-1] == anyRest) {
				continue
			}
			one := slices.Clone(segments)
			one[i], all[i] = strings.ToUpper(seg), strings.ToUpper(seg)
			list = append(list, strings.Join(one, "/"))
		}
		list = append(list, strings.Join(all, "/"), path+".", path+"/")
	}
	return list
}
