package portal

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// askMethods are the methods that can be asked about. The API calls gRPC calls grpc.
var askMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodHead, "grpc"}

// question asks whether a key can make a request, and has the answer.
type question struct {
	Method, Path string
	// Answer is nil before the question is asked.
	Answer  *manage.Operation
	Problem *manage.Status
	// Scopes and Endpoints are what a grant would add. It would permit More
	// other operations too.
	Scopes, Endpoints []string
	More              int
	// Hosts name the site that answers, if there are several.
	Hosts []string
}

// Methods returns the methods that can be asked about.
func (q *question) Methods() []string { return askMethods }

// Lacks returns the scopes and endpoints that the key lacks for the request.
func (q *question) Lacks() []string {
	return slices.Concat(q.Answer.MissingScopes, q.Answer.MissingEndpoints)
}

// Grantable reports whether a grant would permit the request.
func (q *question) Grantable() bool { return len(q.Scopes)+len(q.Endpoints) > 0 }

// Grants returns what a grant would add, for its button.
func (q *question) Grants() []string { return namesOfGrant(q.Scopes, q.Endpoints) }

// namesOfGrant names scopes and endpoints for a button.
func namesOfGrant(scopes, endpoints []string) []string {
	list := slices.Clone(scopes)
	for _, e := range endpoints {
		list = append(list, shortEndpoint(e))
	}
	return list
}

// ask asks about a request that the form names. The API has the gate decide.
func (v *visit) ask(p *keyPage) (*question, error) {
	q := &question{Method: v.r.PostForm.Get("method"), Path: v.r.PostForm.Get("path")}
	if q.Path == "" {
		q.Problem = &manage.Status{Field: "path", Details: "Give the path of the request, such as /v2/users/me/inputs."}
		return q, nil
	}
	query := url.Values{"method": {q.Method}, "path": {q.Path}}
	a, err := v.get(mine("keys", p.Key.KeyID, "callable") + "?" + query.Encode())
	if no, ok := problems(err); ok {
		// The path may hold a credential, which must not be shown again.
		q.Problem, q.Path = no, ""
		return q, nil
	}
	if err != nil {
		return nil, err
	}
	q.Answer = a.Operation
	if len(v.portal.sites()) > 1 {
		q.Hosts = q.Answer.Hosts
	}
	if len(q.Lacks()) == 0 {
		return q, nil
	}
	c, err := v.catalogue()
	if err != nil {
		return nil, err
	}
	q.Scopes = c.lackingOf(p.Key.Scopes, q.Answer.MissingScopes)
	q.Endpoints = q.Answer.MissingEndpoints
	then := v.holderOf(p.App != nil, slices.Concat(p.Key.Scopes, q.Scopes), slices.Concat(p.Key.Endpoints, q.Endpoints))
	then.Caller.Resources = p.Key.Resources
	q.More = reachOf(then, c.sites).Count - p.Reach.Count - 1
	return q, nil
}

// askKey answers whether the key can make a request.
func (v *visit) askKey() error {
	p, err := v.keyToShow()
	if err != nil {
		return err
	}
	if p.Question, err = v.ask(p); err != nil {
		return err
	}
	status := http.StatusOK
	if p.Question.Problem != nil {
		status = http.StatusBadRequest
	}
	return v.show(status, "key", titleOf(p.Key), p)
}

// grantKey grants the key what it lacks for a request. What that is, the API says
// again: the form names only the request.
func (v *visit) grantKey() error {
	p, err := v.keyToShow()
	if err != nil {
		return err
	}
	q, err := v.ask(p)
	if err != nil {
		return err
	}
	p.Question = q
	if q.Problem != nil {
		return v.show(http.StatusBadRequest, "key", titleOf(p.Key), p)
	}
	if !q.Grantable() {
		return v.show(http.StatusOK, "key", titleOf(p.Key), p)
	}
	return v.grant(p, q.Scopes, q.Endpoints)
}
