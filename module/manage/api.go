// Package manage is the management API: users, apps and keys, in the shape of
// Clarifai's. It gets a caller and doesn't know how the caller was found, so
// the same code serves the admin endpoint, sites, and commands that open the
// store themselves.
//
// Each call is a row of the table in calls.go: method, path, frame, and what it
// requires of a credential. The frame reads the body, opens the transaction and
// builds the answer. A call's own code is a function that parses its input and a
// function that runs in the transaction.
package manage

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// DefaultMaxBody is the size of the largest body that is read by default.
const DefaultMaxBody = 1 << 20

// API answers the calls of the management API below /v2/. It is cheap to make, so
// each request may have its own.
type API struct {
	// Directory holds the records that calls read and change.
	Directory *directory.Directory
	// Catalogue lists what can be granted. Without one, such as without a
	// configuration, only the form of scopes is checked.
	Catalogue *policy.Catalogue
	// Plans are the plans of the configuration. Resources are the names of the
	// resources that its sites declare. Without a Catalogue, only the form of names is
	// checked.
	Plans     policy.Plans
	Resources []string
	// Brand is the prefix of new credentials.
	Brand string
	// Explain explains how requests would be decided. It is nil without a gate.
	Explain func(context.Context, ExplainQuery) ([]Explanation, error)
	// Ask is Explain for the management API's own calls too.
	Ask func(context.Context, ExplainQuery) ([]Explanation, error)
	// Sites list what can be called with credentials.
	Sites []authz.Site
	// Name is the name of the site for people, or empty.
	Name string
	// Portal is the address of the portal, such as https://keys.example.com/portal,
	// or empty if it isn't known.
	Portal string
	// MaxBody is the largest body that is read, in bytes; 0 is
	// [DefaultMaxBody].
	MaxBody int64
	// RequestID returns the ID of a request in the log. If it is nil, an ID is
	// generated.
	RequestID func(*http.Request) string
	// Failed is called with the causes of internal failures, which the client
	// doesn't learn. It may be nil.
	Failed func(reqID string, cause error)
	// Refused is called with the code of each call that is answered with an
	// error. It may be nil.
	Refused func(r *http.Request, code Code)
}

// Caller is the caller of a request. The zero Caller has no credential, and may
// only make public calls. A site that serves a call has decided by [Mount.Routes]
// that the caller may make it.
type Caller struct {
	// Operator is true for a person who can reach Caddy's admin endpoint or the
	// store file. The operator may do everything, and is not a user. It is also
	// true for a user whom [NewOperatorMount] serves.
	Operator bool
	// Caller is the holder of the credential of a request to a site.
	policy.Caller
	// Digest is the digest of the credential.
	Digest credential.Digest
	// Address is the client's address, without the port.
	Address string
}

// actor returns how records and the audit log name the caller.
func (c *Caller) actor() keys.Actor {
	a := keys.Actor{ID: c.KeyID, UserID: c.UserID, Address: c.Address}
	if c.Operator && !c.byRole() {
		a.ID = keys.Operator
	}
	return a
}

// request is one running call.
type request struct {
	*http.Request
	w      http.ResponseWriter
	api    *API
	caller Caller
	// pattern is the call's pattern, such as /v2/users/{user_id}/keys.
	pattern string
	// vars are the decoded variables of the path.
	vars map[string]string
	// own is the caller's credential as read in the transaction of a change. It
	// is nil for the operator.
	own *keys.Credential
}

// Serve answers a request below /v2/. The operator also has paths outside it, such
// as /health.
func (a *API) Serve(w http.ResponseWriter, r *http.Request, caller Caller) {
	mount := &site
	if caller.Operator {
		mount = &operator
	}
	rule, err := mount.find(r)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	a.ServeRule(w, r, caller, mount.Mount, rule)
}

// ServeRule answers a request by the rule that decided it, which belongs to one of
// the mount's [Mount.Routes].
func (a *API) ServeRule(w http.ResponseWriter, r *http.Request, caller Caller, mount *Mount, rule *policy.Rule) {
	if mount.byRole {
		if caller.UserID == "" {
			a.Refuse(w, r, refuse(CodeKeyUnknown, "", "this call needs a session"))
			return
		}
		caller.Operator = true
	}
	answer, err := a.answer(w, r, caller, mount.calls[rule.String()], rule)
	if err != nil {
		a.Refuse(w, r, err)
		return
	}
	if answer.backup != nil {
		a.sendBackup(w, r, answer.backup)
		return
	}
	succeed(w, a.requestID(r), answer)
}

// Refuse answers a request that failed, such as with an [Error]. It needs no
// Directory.
func (a *API) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	e, reqID := refusal(err), a.requestID(r)
	if e.Cause != nil && a.Failed != nil {
		a.Failed(reqID, e.Cause)
	}
	if a.Refused != nil {
		a.Refused(r, e.Code)
	}
	fail(w, reqID, e)
}

func (a *API) requestID(r *http.Request) string {
	if a.RequestID != nil {
		return a.RequestID(r)
	}
	return newRequestID()
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, caller Caller, c *call, rule *policy.Rule) (answer *Answer, err error) {
	defer func() {
		// Treat a panicking store like any other failure.
		if p := recover(); p != nil {
			answer, err = nil, &Error{
				Code:    CodeInternal,
				Details: "the call failed; see the server's log",
				Cause:   fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			}
		}
	}()
	if !caller.Operator && !rule.Accepts().Public() && caller.UserID == "" {
		return nil, refuse(CodeKeyUnknown, "", "this call needs a credential; send the header Authorization: Key YOUR_KEY")
	}
	ctx, err := settling(r)
	if err != nil {
		return nil, err
	}
	req := &request{Request: r.WithContext(ctx), w: w, api: a, caller: caller, pattern: c.pattern}
	if err := req.hasRole(); err != nil {
		return nil, err
	}
	if req.vars, err = variables(rule, r.URL.EscapedPath()); err != nil {
		return nil, err
	}
	if err := req.checkVars(); err != nil {
		return nil, err
	}
	return c.frame.serve(req)
}

// variables decodes the values of a rule's variables in a path. Each is one
// segment.
func variables(rule *policy.Rule, path string) (map[string]string, error) {
	segments := strings.Split(path[1:], "/")
	vars := map[string]string{}
	for _, v := range rule.Parsed().Variables {
		value, err := url.PathUnescape(segments[v.First])
		if err != nil {
			return nil, refuse(CodeInvalid, v.Name, "it can't be decoded")
		}
		vars[v.Name] = value
	}
	return vars, nil
}

// checkVars refuses texts that can't name anything in a path.
func (r *request) checkVars() error {
	for name, value := range r.vars {
		// Paths end up in logs, a proxy's too.
		if credential.FormOf(value) != credential.Foreign {
			return credentialInPath(name)
		}
		// A text that can't be an ID isn't in the store, so don't look it up.
		if name != "key_id" && keys.CheckID(name, value) != nil {
			return refuse(CodeNotFound, name, "it doesn't exist; IDs are letters, digits, - and _")
		}
	}
	if r.vars["user_id"] != policy.Me {
		return nil
	}
	if r.caller.Operator {
		return refuse(CodeInvalid, "user_id", "%s is the caller, and the operator is not a user: write the user's ID", policy.Me)
	}
	r.vars["user_id"] = r.caller.UserID
	return nil
}

func credentialInPath(name string) error {
	return refuse(CodeInvalid, name, `this is a whole credential, and paths end up in logs: revoke it with a DELETE of /v2/users/USER/keys and the body {"ids":["…"]}, which accepts whole credentials; in a path use the key ID`)
}

// user returns the user of the path. It is empty if the call concerns all users.
func (r *request) user() string { return r.vars["user_id"] }

// app returns the app of the path.
func (r *request) app() keys.AppRef {
	return keys.AppRef{OwnerID: r.user(), AppID: r.vars["app_id"]}
}

func (a *API) maxBody() int64 {
	if a.MaxBody > 0 {
		return a.MaxBody
	}
	return DefaultMaxBody
}
