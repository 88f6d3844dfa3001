package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// settling returns the context of a call: with wait=false its changes return before
// the other nodes of a fleet know of them.
func settling(r *http.Request) (context.Context, error) {
	values, given := r.URL.Query()["wait"]
	switch {
	case !given || len(values) == 1 && values[0] == "true":
		return r.Context(), nil
	case len(values) == 1 && values[0] == "false":
		return directory.WithoutSettling(r.Context()), nil
	}
	return nil, refuse(CodeInvalid, "wait", "wait is true or false")
}

// listNodes describes the nodes that share the store. It works on a node that isn't
// fresh.
func (r *request) listNodes() (*Answer, error) {
	fleet, err := r.api.Directory.Fleet(r.Context())
	if err != nil {
		return nil, fleetFailed(err)
	}
	return &Answer{Fleet: &fleet}, nil
}

// reconcile takes back what the store has lost. acceptLost gives up what only nodes
// know that don't answer.
func (r *request) reconcile(acceptLost bool) (*Answer, error) {
	done, err := r.api.Directory.Reconcile(r.Context(), acceptLost)
	if err != nil {
		return nil, fleetFailed(err)
	}
	return &Answer{Reconciled: &done}, nil
}

func readAcceptLost(o *object) (accept bool) {
	o.flag("accept_lost_revocations", &accept)
	return accept
}

// fleetFailed returns an answer with the cause, which the operator may learn.
func fleetFailed(err error) error {
	if errors.Is(err, keys.ErrNotShared) {
		return refuse(CodeInvalid, "", "%v", keys.ErrNotShared)
	}
	return &Error{Code: CodeUnavailable, Details: err.Error(), Cause: err}
}
