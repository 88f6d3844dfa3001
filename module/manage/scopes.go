package manage

import (
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Scope is a scope of the catalogue as the API shows one.
type Scope struct {
	Scope       string `json:"scope"`
	Description string `json:"description,omitempty"`
	// DependingScopes are those that have to be granted beside it.
	DependingScopes []string `json:"depending_scopes"`
}

// listScopes answers the catalogue, whole: it is as long as a configuration.
func (r *request) listScopes() (*Answer, error) {
	if err := r.noBody(); err != nil {
		return nil, err
	}
	err := r.view(func(from keys.Reader) error {
		_, err := r.findUser(from)
		return err
	})
	if err != nil {
		return nil, err
	}
	answer := &Answer{Scopes: []Scope{}}
	if r.api.Catalogue == nil {
		return answer, nil
	}
	for _, s := range r.api.Catalogue.List() {
		if !s.Hidden {
			answer.Scopes = append(answer.Scopes, Scope{
				Scope: s.Name, Description: s.Description, DependingScopes: slices.Concat([]string{}, s.Needs),
			})
		}
	}
	return answer, nil
}

// checkGrantable refuses scopes that nobody has declared, but for those that
// the key holds already: a catalogue may have changed since.
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
	return refuse(CodeInvalid, field, "the catalogue has no %s; GET /v2/users/USER/scopes lists what it has", strings.Join(unknown, ", "))
}

// checkComplete refuses scopes that need others which are not among them.
func (a *API) checkComplete(field string, result []string) error {
	if a.Catalogue == nil {
		return nil
	}
	lacking := a.Catalogue.Lacking(result)
	if len(lacking) == 0 {
		return nil
	}
	e := refuse(CodeInvalid, field, "these scopes need %s beside them; grant those too, or leave out what needs them", strings.Join(lacking, ", "))
	e.MissingScopes = lacking
	return e
}
