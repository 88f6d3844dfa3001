package gateway

// The pages of the portal call the API in process, as a browser would.

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// within answers the calls of a mount for the pages of the portal alone. They
// stand under no path of the site.
func (m *Manage) within(ctx caddy.Context, mount *manage.Mount) (*Manage, error) {
	in := &Manage{mount: mount, logger: m.logger, PortalBrand: m.PortalBrand}
	site, err := managementSite(mount)
	if err != nil {
		return nil, err
	}
	// The user in a path is whom a call is about, and needn't be the caller.
	if site.table, err = policy.NewTable(mount.Routes(), "", ""); err != nil {
		return nil, err
	}
	in.decider, err = newDecider(site, m.decider.app, m.logger, ctx.GetMetricsRegistry())
	return in, err
}

// call makes a call of the API for a page of the portal, as the browser would
// that the page is made for.
func (m *Manage) call(from *http.Request, credential, method, target string, body any) (*manage.Answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	if body == nil {
		text = nil
	}
	target = m.mount.Path(target)
	r, err := http.NewRequestWithContext(from.Context(), method, target, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.RequestURI, r.RemoteAddr, r.Host = target, from.RemoteAddr, from.Host
	r.Header.Set("User-Agent", from.UserAgent())
	if credential != "" {
		r.Header.Set("Authorization", "Key "+credential)
	}
	w := &reply{header: http.Header{}}
	if err := m.serve(w, r); err != nil {
		return nil, err
	}
	a := new(manage.Answer)
	if err := json.Unmarshal(w.body.Bytes(), a); err != nil {
		return nil, fmt.Errorf("reading the API's answer: %w", err)
	}
	return a, nil
}

// reply keeps an answer, which says in itself what its status is.
type reply struct {
	header http.Header
	body   bytes.Buffer
}

func (w *reply) Header() http.Header            { return w.header }
func (*reply) WriteHeader(int)                  {}
func (w *reply) Write(text []byte) (int, error) { return w.body.Write(text) }
