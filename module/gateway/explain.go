package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/explain"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Explain says how the gates of sites would decide on a request, step by step.
// It is their own code that decides, from [Gate.ServeHTTP]'s first step to its
// last; nothing is forwarded, logged or counted. directory may be nil where
// the query names no key.
func Explain(ctx context.Context, directory *directory.Directory, running []*Site, q manage.ExplainQuery) ([]manage.Explanation, error) {
	if err := explain.CheckQuery(&q); err != nil {
		return nil, err
	}
	sites, err := asked(running, &q)
	if err != nil {
		return nil, err
	}
	e := explainer{query: q, registry: directory}
	if q.Key != "" {
		if e.digest, err = digestOfKey(ctx, directory, q.Key); err != nil {
			return nil, err
		}
	}
	list := make([]manage.Explanation, 0, len(sites))
	for _, site := range sites {
		x, err := e.explain(ctx, site)
		if err != nil {
			return nil, err
		}
		list = append(list, *x)
	}
	return list, nil
}

// asked are the sites whose gates are asked.
func asked(running []*Site, q *manage.ExplainQuery) ([]*Site, error) {
	sites := running
	if len(q.Gates) > 0 {
		sites = nil
	}
	for i, given := range q.Gates {
		site, err := compileAt(config.Site{Hosts: given.Hosts, Gate: given.Gate})
		if err != nil {
			return nil, explain.Invalid(fmt.Sprintf("gates[%d].gate", i), "%v", err)
		}
		sites = append(sites, site)
	}
	if len(sites) == 0 {
		return nil, &manage.Error{Code: manage.CodeNotFound, Details: "the configuration has no site with a gate: add the directive api_keys to one"}
	}
	if q.Site == "" {
		return sites, nil
	}
	var picked []*Site
	var hosts []string
	for _, s := range sites {
		if s.Named(q.Site) {
			picked = append(picked, s)
		}
		hosts = append(hosts, s.Hosts()...)
	}
	if len(picked) == 0 {
		return nil, explain.Invalid("site", "no site of that host has a gate; there are %s", strings.Join(hosts, ", "))
	}
	return picked, nil
}

func digestOfKey(ctx context.Context, directory *directory.Directory, id string) (digest credential.Digest, err error) {
	if directory == nil {
		return digest, explain.Invalid("key", "there is no store to look the key up in: suppose a caller, or ask a running Caddy")
	}
	err = directory.View(ctx, func(from keys.Reader) error {
		c, err := from.CredentialByID(id)
		digest = c.Digest
		return err
	})
	if errors.Is(err, keys.ErrNotFound) {
		err = &manage.Error{Code: manage.CodeNotFound, Field: "key", Details: "no key has this key ID; it may have been revoked"}
	}
	return digest, err
}

// Unreached is [Explain] for a site whose gate the request never reaches, and
// nil for any other.
func Unreached(ctx context.Context, place config.Site, q manage.ExplainQuery) *manage.Explanation {
	if q.Site != "" && !place.Named(q.Site) {
		return nil
	}
	r, err := explain.Request(&q, place.Hosts)
	if err != nil {
		return nil
	}
	return unreached(ctx, place, r)
}

// unreached explains a request that never reaches a site's gate, and is nil
// where it does, or where that can't be told.
func unreached(ctx context.Context, place config.Site, r *http.Request) *manage.Explanation {
	where, ok := place.EndsAt(ctx, r)
	if !ok {
		return nil
	}
	t := explain.New(explain.Site{Hosts: place.Hosts}, "")
	t.Unreached(where)
	return t.End()
}

// explainer explains one request, to any number of gates.
type explainer struct {
	query    manage.ExplainQuery
	registry authz.Registry[*directory.Entry]
	digest   credential.Digest
	// ownerOnly reports whether only the owner may call a route. It is nil unless the
	// management API answers.
	ownerOnly func(*policy.Rule) bool
}

// explain goes the way of [Gate.ServeHTTP].
func (e *explainer) explain(ctx context.Context, site *Site) (*manage.Explanation, error) {
	t := explain.New(explain.Site{Hosts: site.Hosts(), Shadow: site.shadow, ForwardCredential: site.forwardCredential}, e.query.Address)
	r, err := explain.Request(&e.query, site.Hosts())
	if err != nil {
		o := misread(wire.ErrNotHTTP)
		t.Malformed(answer.To(new(authz.Question), &o), err)
		return t.End(), nil
	}
	if x := unreached(ctx, site.place, r); x != nil {
		return x, nil
	}
	sent := maps.Clone(r.Header)
	q := question{decider: &decider{Site: site}, managed: e.ownerOnly != nil}
	if o := q.ask(r); o.Refused() {
		t.Target(r, sent, q.Rule, answer.To(&q.Question, &o))
		return t.End(), nil
	}
	t.Target(r, sent, q.Rule, nil)
	if site.cors.IsPreflight(r) {
		w := new(wire.Nowhere)
		site.cors.Preflight(w, r, site.table.Allowed(q.Path))
		t.Preflight(w.Status)
		return t.End(), nil
	}
	t.Public(q.Rule)
	if q.Public() {
		return t.End(), nil
	}
	if q.credential(r) != authz.CredentialMissing {
		return nil, explain.Invalid("headers", "a credential is among what is sent: leave it out, and name the key by its key ID")
	}
	if e.query.Key == "" && e.query.Caller == nil {
		t.Absent(answer.To(&q.Question, &authz.Outcome{Reason: authz.CredentialMissing}))
		return t.End(), nil
	}
	return e.decided(ctx, t, &q)
}

// decided explains the steps that need the credential's record.
func (e *explainer) decided(ctx context.Context, t *explain.Telling, q *question) (*manage.Explanation, error) {
	q.registry, q.Digest = e.registry, e.digest
	if e.query.Caller != nil {
		caller, err := explain.Supposed(e.query.Caller, &q.Named)
		if err != nil {
			return nil, err
		}
		q.registry = explain.Supposition{Entry: directory.Suppose(caller)}
	}
	v := e.decide(ctx, q)
	if v.Reason.Unavailable() {
		return nil, v.Err
	}
	if !v.Refused() && e.ownerOnly != nil && e.ownerOnly(q.Rule) && v.Reach != policy.Own {
		v.Reason = authz.Owner
	}
	site := q.decider.Site
	asked := &explain.Question{Question: &q.Question}
	if q.Rule != nil {
		asked.Body = site.places.MayNameInBody(q.Rule.Pattern, q.Rule.Method == policy.MethodGRPC)
		asked.Values = v.Credential != nil && site.places.MayNameValueInBody(v.Credential.Caller().Resources)
	}
	t.Decided(asked, site.told(q, &v))
	return t.End(), nil
}

// decide decides about a request that comes from the query's address, or else from an
// address that the credential permits.
func (e *explainer) decide(ctx context.Context, q *question) verdict {
	q.address = e.query.Address
	v := q.decide(ctx)
	if q.address != "" || v.Reason != authz.Address {
		return v
	}
	may := v.Credential.Caller().Addresses
	if len(may) == 0 {
		return v // it may be used from nowhere
	}
	q.address = may[0].Addr().String()
	return q.decide(ctx)
}

// told returns a verdict as it is explained.
func (s *Site) told(q *question, v *verdict) *explain.Verdict {
	told := &explain.Verdict{Owner: v.Owner, App: v.App}
	if v.Refused() {
		told.Refused = answer.To(&q.Question, &v.Outcome)
	}
	if v.Credential == nil {
		return told
	}
	told.Caller = v.Credential.Caller()
	if v.Collaborator.Exists() {
		told.Collaborator = v.Collaborator.Grant()
	}
	if v.Everyone.Exists() {
		told.Everyone = v.Everyone.Grant()
	}
	if names, id := &s.identity, identify(v); told.Refused == nil && names.prefix != "" {
		told.Told = []string{names.userID + ": " + id.userID, names.keyID + ": " + id.keyID, names.keyType + ": " + id.keyType}
		if id.appID != "" {
			told.Told = append(told.Told, names.ownerID+": "+id.ownerID, names.appID+": "+id.appID)
		}
	}
	return told
}
