package manage

import (
	"errors"
	"net/url"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Operation is an operation of a site, with the decision about a key.
type Operation struct {
	// Hosts are the hosts of the site, with their ports unless that is 443.
	Hosts []string `json:"hosts,omitempty"`
	// Method and Pattern are those of the route. They are empty if no route matches.
	// The method of a gRPC route is grpc.
	Method  string `json:"method"`
	Pattern string `json:"pattern"`
	// Endpoints and Scopes are what the route requires.
	Endpoints []string `json:"endpoints"`
	Scopes    []string `json:"scopes"`
	// Callable reports whether the key can call it. Reason is the reason of the
	// decision, such as allowed or scopes.
	Callable bool   `json:"callable"`
	Reason   string `json:"reason"`
	// MissingScopes and MissingEndpoints are what the key lacks.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// Details explain a refusal of one request.
	Details string `json:"details,omitempty"`
}

// callableQuery asks about one request if method isn't empty.
type callableQuery struct{ method, path string }

func (r *request) readCallableQuery(q *callableQuery) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(CodeInvalid, "", "the query can't be read; method and path are known")
	}
	for name := range query {
		if name != "method" && name != "path" || len(query[name]) > 1 {
			return refuse(CodeInvalid, "", "the query takes method and path, each once")
		}
	}
	q.method, q.path = query.Get("method"), query.Get("path")
	switch {
	case q.method == "" && q.path != "":
		return refuse(CodeInvalid, "method", "it is missing; give the method of the request, or grpc for a gRPC call")
	case q.path == "" && q.method != "":
		return refuse(CodeInvalid, "path", "it is missing; give the path of the request, with its query")
	}
	return nil
}

// listCallable answers what a key can call, or whether it can make one request.
func (r *request) listCallable(q callableQuery) (*Answer, error) {
	var c keys.Credential
	err := r.view(func(from keys.Reader) (err error) {
		c, err = r.findKeyInPath(from)
		return err
	})
	if err != nil {
		return nil, err
	}
	if q.method != "" {
		return r.askCallable(c.ID, q)
	}
	entry, err := r.api.Directory.Find(r.Context(), c.Digest)
	if err != nil {
		return nil, err
	}
	if !entry.Exists() {
		return nil, refuse(CodeNotFound, "key_id", "there is no such key, or it was revoked")
	}
	h := authz.Holder{Caller: *entry.Caller(), Standing: r.api.Directory.Standing(entry)}
	can := h.Callable(r.api.Sites)
	return &Answer{Standing: standings[h.Standing], Operations: showDecided(can.Calls), Near: showDecided(can.Near)}, nil
}

func showDecided(list []authz.Decided) []Operation {
	shown := make([]Operation, len(list))
	for i, d := range list {
		shown[i] = Operation{
			Hosts: d.Hosts, Method: d.Method, Pattern: d.Pattern,
			Endpoints: append([]string{}, d.Endpoint...), Scopes: append([]string{}, d.Scopes...),
			Callable: !d.Refused(), Reason: d.Reason.String(), MissingScopes: d.Lack.Scopes, MissingEndpoints: d.Lack.Endpoints,
		}
	}
	return shown
}

// askCallable answers whether a key can make one request. If several sites have
// gates, the answer is that of the site where the request comes furthest.
func (r *request) askCallable(id string, q callableQuery) (*Answer, error) {
	if r.api.Ask == nil {
		return nil, refuse(CodeUnavailable, "", "no configuration is running here: ask a running Caddy")
	}
	list, err := r.api.Ask(r.Context(), ExplainQuery{Method: q.method, Target: q.path, Key: id})
	if e, ok := errors.AsType[*Error](err); ok {
		e.Field = map[string]string{"target": "path", "key": "key_id"}[e.Field]
	}
	if err != nil {
		return nil, err
	}
	var best *Operation
	furthest := -1
	for i := range list {
		if step := stepOf(&list[i]); step > furthest {
			best, furthest = showExplained(&list[i]), step
		}
	}
	return &Answer{Operation: best}, nil
}

// stepOf returns the step at which a decision ended. Public routes come furthest
// too.
func stepOf(x *Explanation) int {
	if x.Outcome == OutcomeAllowed || x.Outcome == OutcomePublic {
		return int(authz.StepForward)
	}
	reason, err := authz.ParseReason(x.Reason)
	if err != nil {
		return 0 // the request never reaches the gate
	}
	return int(reason.Step())
}

// showExplained shows the decision of a site about one request.
func showExplained(x *Explanation) *Operation {
	o := &Operation{
		Hosts: x.Hosts, Endpoints: append([]string{}, x.Endpoints...), Scopes: append([]string{}, x.Scopes...),
		Callable: x.Outcome == OutcomeAllowed || x.Outcome == OutcomePublic, Reason: x.Reason, Details: x.Details,
		MissingScopes: x.Lack.Scopes, MissingEndpoints: x.Lack.Endpoints,
	}
	o.Method, o.Pattern, _ = strings.Cut(x.Route, " ")
	if x.Reason == "" {
		o.Reason = OutcomeUndecided
	}
	return o
}
