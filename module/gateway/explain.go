package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Explain says how the gates of sites would decide on a request, step by step.
// It is their own code that decides, from [Gate.ServeHTTP]'s first step to its
// last; nothing is forwarded, logged or counted. directory may be nil where
// the query names no key.
func Explain(ctx context.Context, d *directory.Directory, running []Site, q manage.ExplainQuery) ([]manage.Explanation, error) {
	if err := checkQueryOf(&q); err != nil {
		return nil, err
	}
	sites, err := asked(running, &q)
	if err != nil {
		return nil, err
	}
	e := explainer{query: q, registry: d}
	if q.Key != "" {
		if e.digest, err = digestOfKey(ctx, d, q.Key); err != nil {
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

func invalid(field, format string, args ...any) error {
	return &manage.Error{Code: manage.CodeInvalid, Field: field, Details: fmt.Sprintf(format, args...)}
}

// checkQueryOf refuses what can't be a request line or a header line, and any
// credential: none is needed, and what is explained ends up in terminals.
func checkQueryOf(q *manage.ExplainQuery) error {
	unprintable := func(c rune) bool { return c < 0x20 || c == 0x7f }
	switch {
	case q.Method == "" || strings.ContainsFunc(q.Method, unprintable) || strings.Contains(q.Method, " "):
		return invalid("method", "give the request's method, as GET, or grpc for a gRPC call")
	case q.Target == "" || strings.ContainsFunc(q.Target, unprintable) || strings.Contains(q.Target, " "):
		return invalid("target", "give the request's path and query as they are sent, as /v2/inputs?page=1, with spaces escaped")
	case hasCredential(q.Target):
		return invalid("target", "there is a credential in it: leave it out, and name the key by its key ID")
	case q.Key != "" && q.Caller != nil:
		return invalid("key", "give a stored key or a supposed caller, not both")
	}
	for i, line := range q.Headers {
		field := fmt.Sprintf("headers[%d]", i)
		name, value, ok := strings.Cut(line, ":")
		if !ok || !wire.IsToken(name) || strings.ContainsFunc(value, func(c rune) bool { return unprintable(c) && c != '\t' }) {
			return invalid(field, `write a header as "Name: value"`)
		}
		if hasCredential(value) {
			return invalid(field, "there is a credential in it: leave it out, and name the key by its key ID")
		}
	}
	return nil
}

// hasCredential reports whether a part of a text is of a credential's form.
func hasCredential(text string) bool {
	parts := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("/?&=, \t:", c) })
	return slices.ContainsFunc(parts, func(part string) bool { return credential.FormOf(part) != credential.Foreign })
}

// asked are the sites whose gates are asked.
func asked(running []Site, q *manage.ExplainQuery) ([]Site, error) {
	sites := running
	if len(q.Gates) > 0 {
		sites = nil
	}
	for i, given := range q.Gates {
		read, err := written(given.Gate, given.Hosts)
		if err == nil {
			_, err = read[0].Gate.Build()
		}
		if err != nil {
			return nil, invalid(fmt.Sprintf("gates[%d].gate", i), "%v", err)
		}
		sites = append(sites, read...)
	}
	if len(sites) == 0 {
		return nil, &manage.Error{Code: manage.CodeNotFound, Details: "the configuration has no site with a gate: add the directive api_keys to one"}
	}
	if q.Site == "" {
		return sites, nil
	}
	var picked []Site
	var hosts []string
	for _, s := range sites {
		if s.Named(q.Site) {
			picked = append(picked, s)
		}
		hosts = append(hosts, s.Hosts...)
	}
	if len(picked) == 0 {
		return nil, invalid("site", "no site of that host has a gate; there are %s", strings.Join(hosts, ", "))
	}
	return picked, nil
}

func digestOfKey(ctx context.Context, d *directory.Directory, id string) (digest credential.Digest, err error) {
	if d == nil {
		return digest, invalid("key", "there is no store to look the key up in: suppose a caller, or ask a running Caddy")
	}
	err = d.View(ctx, func(from keys.Reader) error {
		c, err := from.CredentialByID(id)
		digest = c.Digest
		return err
	})
	if errors.Is(err, keys.ErrNotFound) {
		err = &manage.Error{Code: manage.CodeNotFound, Field: "key", Details: "no key has this key ID; it may have been revoked"}
	}
	return digest, err
}

// explainer explains one request, to any number of gates.
type explainer struct {
	query    manage.ExplainQuery
	registry registry
	digest   credential.Digest
}

// explain goes the way of [Gate.ServeHTTP].
func (e *explainer) explain(ctx context.Context, site Site) (*manage.Explanation, error) {
	g := site.Gate
	t := newTelling(site)
	r, err := e.request(site)
	if err != nil {
		t.Malformed(toldRefusal(refuseTarget(wire.ErrNotHTTP)), err)
		return t.End(), nil
	}
	if x := unreached(ctx, site, r); x != nil {
		return x, nil
	}
	sent := maps.Clone(r.Header)
	path, rule, refused := g.address(r)
	t.Target(r, sent, rule, toldRefusal(refused))
	if refused != nil {
		return t.End(), nil
	}
	if g.isPreflight(r) {
		w := &recorder{header: http.Header{}}
		g.preflight(w, r, path)
		t.Preflight(w.status)
		return t.End(), nil
	}
	q := g.ask(r, path, rule)
	t.Public(q.rule)
	if q.public() {
		return t.End(), nil
	}
	_, refused = g.credential(r)
	if refused == nil || refused.reason != authz.CredentialMissing {
		return nil, invalid("headers", "a credential is among what is sent: leave it out, and name the key by its key ID")
	}
	if e.query.Key == "" && e.query.Caller == nil {
		t.Absent(toldRefusal(refused))
		return t.End(), nil
	}
	q.registry, q.digest = e.registry, e.digest
	if e.query.Caller != nil {
		caller, err := e.supposed(&q)
		if err != nil {
			return nil, err
		}
		q.registry = supposition{directory.Suppose(caller)}
	}
	v := q.decide(ctx)
	if v.refused != nil && v.refused.cause != nil {
		return nil, v.refused.cause
	}
	t.Decided(toldQuestion(&q), toldVerdict(g, &v))
	return t.End(), nil
}

// request is what the server would hand to the gate, read as it does.
func (e *explainer) request(site Site) (*http.Request, error) {
	var text strings.Builder
	method, headers := e.query.Method, e.query.Headers
	if method == policy.MethodGRPC {
		method, headers = http.MethodPost, append([]string{"Content-Type: application/grpc"}, headers...)
	}
	host := "localhost"
	if len(site.Hosts) > 0 && !strings.HasPrefix(site.Hosts[0], ":") {
		host = site.Hosts[0]
	}
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, e.query.Target, host)
	for _, line := range headers {
		fmt.Fprintf(&text, "%s\r\n", line)
	}
	text.WriteString("\r\n")
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
}

// supposed is the caller that the query describes. Where it doesn't say whose
// the credential is, it is whose the request's things are.
func (e *explainer) supposed(q *question) (c policy.Caller, err error) {
	given := e.query.Caller
	c = policy.Caller{
		Kind: policy.AppKey, UserID: given.UserID, AppID: given.AppID,
		KeyID: "supposed", Grant: policy.NewGrant(given.Scopes, endpointList(given.Endpoints)),
	}
	if given.Kind != "" {
		if c.Kind, err = policy.ParseKind(given.Kind); err != nil {
			return c, invalid("caller.kind", "%v", err)
		}
	}
	owner, app, _ := q.names.Settle(&c)
	if owner == policy.Me || owner == "" {
		owner = "caller"
	}
	if c.UserID == "" {
		c.UserID = owner
	}
	switch {
	case c.Kind != policy.AppKey && c.AppID != "":
		return c, invalid("caller.app_id", "only an app_key has an app")
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

// supposition is a registry that knows one credential, and no invitation.
type supposition struct{ entry *directory.Entry }

// Find answers the one credential.
func (s supposition) Find(context.Context, credential.Digest) (*directory.Entry, error) {
	return s.entry, nil
}

// Invitation answers that there is none.
func (supposition) Invitation(context.Context, keys.CollaboratorRef) (*directory.Entry, error) {
	return new(directory.Entry), nil
}

// Standing answers that it is good.
func (supposition) Standing(*directory.Entry) keys.Standing { return keys.Active }

// recorder keeps the header of an answer that nobody is sent.
type recorder struct {
	header http.Header
	status int
}

func (w *recorder) Header() http.Header            { return w.header }
func (w *recorder) WriteHeader(status int)         { w.status = status }
func (w *recorder) Write(text []byte) (int, error) { return len(text), nil }
