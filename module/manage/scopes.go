package manage

import (
	"maps"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Scope is a scope of the catalogue in the API's form.
type Scope struct {
	Scope       string `json:"scope"`
	Description string `json:"description,omitempty"`
	// DependingScopes have to be granted together with it.
	DependingScopes []string `json:"depending_scopes"`
}

// ScopeResource describes a resource that scopes refer to.
type ScopeResource struct {
	Resource    string `json:"resource"`
	Description string `json:"description"`
}

// listScopes answers the whole catalogue, which is only as long as a
// configuration.
func (r *request) listScopes(from keys.Reader) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	answer := &Answer{Scopes: []Scope{}}
	if r.api.Catalogue == nil {
		return answer, nil
	}
	for _, s := range r.api.Catalogue.List() {
		if s.Hidden {
			continue
		}
		answer.Scopes = append(answer.Scopes, Scope{
			Scope: s.Name, Description: s.Description, DependingScopes: append([]string{}, s.Needs...),
		})
		answer.describe(policy.ResourceOf(s.Name), s.Resource)
	}
	answer.Endpoints = r.api.endpoints()
	return answer, nil
}

// describe adds the description of a resource, if there is one.
func (a *Answer) describe(resource, description string) {
	known := func(r ScopeResource) bool { return r.Resource == resource }
	if description != "" && !slices.ContainsFunc(a.ScopeResources, known) {
		a.ScopeResources = append(a.ScopeResources, ScopeResource{resource, description})
	}
}

// endpoints returns the endpoints that keys can be limited to.
func (a *API) endpoints() []string {
	all := slices.AppendSeq(a.Catalogue.Endpoints(), maps.Keys(serviceEndpoints))
	slices.Sort(all)
	return slices.Compact(all)
}

// checkGrantable refuses undeclared scopes, except those that the key already has,
// because the catalogue may have changed since.
func (a *API) checkGrantable(field string, given, held []string) error {
	if a.Catalogue == nil {
		return nil
	}
	unknown := difference(a.Catalogue.Unknown(given), held)
	if len(unknown) == 0 {
		return nil
	}
	for _, s := range unknown {
		if err := policy.CheckScopeName(s); err != nil {
			return refuse(CodeInvalid, field, "%v", err)
		}
	}
	var offered []string
	for _, s := range a.Catalogue.List() {
		if !s.Hidden {
			offered = append(offered, s.Name)
		}
	}
	text := "the catalogue has no " + strings.Join(unknown, ", ")
	if meant := nearest(unknown, offered); len(meant) > 0 {
		return refuse(CodeInvalid, field, "%s; did you mean %s?", text, strings.Join(meant, ", "))
	}
	return refuse(CodeInvalid, field, "%s; it has the scopes that the configuration declares, or that its routes need if it declares none", text)
}

// serviceEndpoints are the endpoints of this API's own calls. Keys can be limited
// to them on every site.
var serviceEndpoints = map[string]bool{}

// init breaks a cycle: the functions of the calls use serviceEndpoints.
func init() {
	for _, r := range Routes() {
		for _, e := range r.Endpoint {
			serviceEndpoints[e] = true
		}
	}
}

// checkEndpoints refuses endpoints that no route names, except those that the key
// already has. They would permit nothing, and every endpoint of a key stays in
// memory, so users can't invent names.
func (a *API) checkEndpoints(field string, given, held []string) error {
	if a.Catalogue == nil {
		return nil
	}
	unknown := difference(a.Catalogue.UnknownEndpoints(given), held)
	unknown = slices.DeleteFunc(unknown, func(e string) bool { return serviceEndpoints[e] })
	if len(unknown) == 0 {
		return nil
	}
	for _, e := range unknown {
		if err := policy.CheckEndpoint(e); err != nil {
			return refuse(CodeInvalid, field, "%v", err)
		}
	}
	text := "no route has the endpoint " + texts(unknown)
	if meant := nearest(unknown, a.endpoints()); len(meant) > 0 {
		return refuse(CodeInvalid, field, "%s; did you mean %s?", text, texts(meant))
	}
	return refuse(CodeInvalid, field, "%s; use the endpoints of the configuration's routes", text)
}

// maxMeant is how many unknown names get a suggestion.
const maxMeant = 5

// nearest returns the offered names that the unknown ones may be misspellings of.
func nearest(unknown, offered []string) []string {
	var meant []string
	for _, name := range unknown[:min(len(unknown), maxMeant)] {
		best, least := "", min(2, len(name)/3)+1 // names further away are not misspellings
		for _, s := range offered {
			if d := distance(strings.ToLower(name), strings.ToLower(s), least); d < least {
				best, least = s, d
			}
		}
		if best != "" && !slices.Contains(meant, best) {
			meant = append(meant, best)
		}
	}
	return meant
}

// distance returns how many letters have to be added, removed or changed to turn
// one name into another, but at most most.
func distance(from, to string, most int) int {
	if len(from)-len(to) >= most || len(to)-len(from) >= most {
		return most
	}
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(from) {
		before := row[0]
		row[0] = i + 1
		for j := range len(to) {
			change := before
			if from[i] != to[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, row[j]+1, before+1)
		}
	}
	return min(row[len(to)], most)
}

// checkComplete refuses scopes that need scopes outside the list.
func (a *API) checkComplete(field string, result []string) error {
	if a.Catalogue == nil {
		return nil
	}
	lacking := a.Catalogue.Lacking(result)
	if len(lacking) == 0 {
		return nil
	}
	e := refuse(CodeInvalid, field, "these scopes also need %s; grant those too, or leave out the scopes that need them", strings.Join(lacking, ", "))
	e.MissingScopes = lacking
	return e
}
