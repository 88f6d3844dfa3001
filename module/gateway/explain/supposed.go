package explain

import (
	"context"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Supposed is the caller that a query describes. Where it doesn't say whose the
// credential is, it is whose the request's things are, by what it names.
func Supposed(given *manage.ExplainCaller, named *policy.Named) (c policy.Caller, err error) {
	c = policy.Caller{
		Kind: policy.AppKey, UserID: given.UserID, AppID: given.AppID,
		KeyID: "supposed", Grant: policy.NewGrant(given.Scopes, endpointList(given.Endpoints)),
	}
	if given.Kind != "" {
		if c.Kind, err = policy.ParseKind(given.Kind); err != nil {
			return c, Invalid("caller.kind", "%v", err)
		}
	}
	owner, app, _ := named.Settle(&c)
	if owner == policy.Me || owner == "" {
		owner = "caller"
	}
	if c.UserID == "" {
		c.UserID = owner
	}
	switch {
	case c.Kind != policy.AppKey && c.AppID != "":
		return c, Invalid("caller.app_id", "only an app_key has an app")
	case c.Kind == policy.AppKey && c.AppID == "" && app != "":
		c.AppID = app
	case c.Kind == policy.AppKey && c.AppID == "":
		c.AppID = "app"
	}
	if c.Kind == policy.Session {
		c.Grant = policy.Everything()
	}
	return c, nil
}

// endpointList is nil where there is no list.
func endpointList(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return names
}

// Supposition is a registry that knows one credential, and no collaborator.
type Supposition struct{ Entry *directory.Entry }

// Find answers the one credential.
func (s Supposition) Find(context.Context, credential.Digest) (*directory.Entry, error) {
	return s.Entry, nil
}

// Collaborator answers that there is none.
func (Supposition) Collaborator(context.Context, keys.CollaboratorRef) (*directory.Entry, error) {
	return new(directory.Entry), nil
}

// Standing answers that it is good.
func (Supposition) Standing(*directory.Entry) keys.Standing { return keys.Active }
