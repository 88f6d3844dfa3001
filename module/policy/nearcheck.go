package policy

import (
	"slices"
	"strings"
)

// nears names the pairs of routes of which a lenient upstream takes some path
// of the first for the second. Each is shown by such a path.
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
					"refuses paths such as %s, which a lenient upstream takes for %s%s; say allow near_literal there if yours compares exactly", path, o, inPlace(o.Place)))
			}
		}
	}
	return found
}

// spellings are paths that are near to a route: its samples with literals in
// upper case, one and all of them, and with a dot or a slash behind.
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
