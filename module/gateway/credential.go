package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"

	"github.com/caddy-api-keys/gateway/module/gateway/source"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// Source is a further place where a credential may stand.
type Source struct {
	// In is header or query.
	In string `json:"in"`
	// Name is the header's name, or the query field's.
	Name string `json:"name"`
}

// provisionSources compiles where the site's requests carry credentials.
func (g *Gate) provisionSources() error {
	g.sources = source.Set{source.Authorization()}
	if g.SessionHeader == "" {
		g.SessionHeader = "off"
		if slices.Contains(g.Include, "clarifai") {
			g.SessionHeader = clarifaiSession
		}
	}
	if g.SessionHeader != "off" {
		if !wire.IsToken(g.SessionHeader) {
			return fmt.Errorf("session_header %q: that is not a header name", g.SessionHeader)
		}
		name := textproto.CanonicalMIMEHeaderKey(g.SessionHeader)
		if name == "Authorization" || g.ours(name) {
			return fmt.Errorf("session_header %s: that header has another meaning here; a session may always stand in Authorization", g.SessionHeader)
		}
		g.sources = append(g.sources, source.Session(name))
	}
	for _, s := range g.Credential {
		if err := g.addSource(s); err != nil {
			return err
		}
	}
	return nil
}

// addSource adds a source that the configuration names.
func (g *Gate) addSource(s Source) error {
	one, err := source.New(s.In, s.Name)
	switch {
	case errors.Is(err, source.ErrKind):
		return fmt.Errorf("credential %s: %w", s.In, err)
	case err != nil:
		return fmt.Errorf("credential %s %q: %w", s.In, s.Name, err)
	}
	name := s.Name
	if s.In == "header" {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	if s.In == "header" && (name == "Authorization" || slices.Contains(g.sources.Logged().Headers, name)) || slices.Contains(g.sources, one) {
		return fmt.Errorf("credential %s %s: it is read already", s.In, name)
	}
	if s.In == "header" && g.ours(name) {
		return fmt.Errorf("credential header %s: a client's headers of this name are dropped; choose another", name)
	}
	g.sources = append(g.sources, one)
	return nil
}

// credential returns the one credential of a request.
func (g *Gate) credential(r *http.Request) (source.Found, *refusal) {
	found, err := g.sources.Find(r)
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, source.ErrMissing):
		return found, errNoCredential
	case errors.Is(err, source.ErrSeveral):
		return found, errSeveral
	}
	return found, errMalformed
}
