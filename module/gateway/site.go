package gateway

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/caddy-api-keys/gateway/module/gateway/answer"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/cors"
	"github.com/caddy-api-keys/gateway/module/gateway/source"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/usage"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Site is a gate's configuration, checked and compiled to decide by. It never
// changes.
type Site struct {
	gate  *Gate       // what it was compiled from
	place config.Site // where the gate stands, empty if that isn't known
	owner [2]string   // the path variables that name the owner and the app

	table     *policy.Table
	catalogue *policy.Catalogue

	identity identityNames
	places   tenant.Places
	sources  source.Set
	cors     *cors.Policy // nil without
	form     answer.Form
	usage    *usage.Source // nil without

	shadow, forwardCredential, keepOverrides, websocket bool
}

// The defaults of owner_limit and owner_timeout.
const (
	DefaultOwnerLimit   = 1 << 20 // bytes
	DefaultOwnerTimeout = 10 * time.Second
)

// defaultOwner are the names of the variables unless the option owner says
// otherwise.
var defaultOwner = [2]string{"user_id", "app_id"}

// clarifaiSession is the header in which Clarifai's clients send a session.
const clarifaiSession = "X-Clarifai-Session-Token"

// ErrOwnerUnused is the mistake of a name in the option owner that no route
// has.
var ErrOwnerUnused = errors.New("owner: no route has a variable")

// Compile checks a gate's configuration, and returns the site that it makes.
func Compile(g *Gate) (*Site, error) {
	s, err := compileOptions(g)
	if err != nil {
		return nil, err
	}
	return s, s.compileRoutes(g)
}

// CheckOptions reports what is wrong with a gate's options, whatever its scopes
// and routes are. A Caddyfile's mistakes are told with their places by it.
func CheckOptions(g *Gate) error {
	_, err := compileOptions(g)
	return err
}

// compileOptions compiles what is not scopes and routes.
func compileOptions(g *Gate) (*Site, error) {
	s := &Site{
		gate: g, owner: defaultOwner, forwardCredential: g.ForwardCredential,
		keepOverrides: g.KeepOverrideHeaders, websocket: g.Upgrade == "websocket",
	}
	for _, compile := range []func(*Gate) error{
		s.compileMode, s.compileOwner, s.compilePlaces, s.compileResources, s.compileIdentity, s.compileSources, s.compileAnswers,
	} {
		if err := compile(g); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Site) compileMode(g *Gate) error {
	if !slices.Contains([]string{"", "enforce", "shadow"}, g.Mode) {
		return fmt.Errorf("mode %q: use enforce or shadow", g.Mode)
	}
	s.shadow = g.Mode == "shadow"
	if g.Upgrade != "" && !s.websocket {
		return fmt.Errorf("upgrade %q: only websocket can be allowed", g.Upgrade)
	}
	return nil
}

func (s *Site) compileOwner(g *Gate) error {
	switch len(g.Owner) {
	case 0:
		return nil
	case 2:
		if s.owner = [2]string(g.Owner); s.owner[0] == s.owner[1] {
			return fmt.Errorf("owner: the owner and the app can't both be {%s}", s.owner[0])
		}
		return nil
	default:
		return errors.New("owner: give two names, that of the path variable for the owner and that for the app")
	}
}

// compilePlaces compiles where requests name owner and app, besides the path.
func (s *Site) compilePlaces(g *Gate) error {
	s.places = tenant.NewPlaces(s.owner[0], s.owner[1])
	if err := s.places.Add(g.OwnerQuery, g.OwnerBody, g.OwnerMessage); err != nil {
		return err
	}
	limit, timeout := int64(DefaultOwnerLimit), DefaultOwnerTimeout
	if g.OwnerLimit != "" {
		n, err := humanize.ParseBytes(g.OwnerLimit)
		if err != nil || n < 1 || n > 1<<30 {
			return fmt.Errorf("owner_limit %q: give a size up to 1GiB, such as 1MiB", g.OwnerLimit)
		}
		limit = int64(n)
	}
	switch {
	case g.OwnerTimeout < 0:
		return errors.New("owner_timeout: give a duration, such as 10s")
	case s.shadow:
		timeout = 0 // a body that was late once can't be handed on
	case g.OwnerTimeout > 0:
		timeout = time.Duration(g.OwnerTimeout)
	}
	s.places.Bound(limit, timeout)
	return nil
}

// compileResources compiles where requests name resources.
func (s *Site) compileResources(g *Gate) error {
	list := slices.Clone(g.Resource)
	for i := range list {
		if list[i].Place == "" {
			list[i].Place = fmt.Sprintf("resource[%d]", i)
		}
	}
	return s.places.Declare(list)
}

func (s *Site) compileIdentity(g *Gate) error {
	prefix := g.IdentityHeaders
	switch prefix {
	case "off":
		return nil
	case "":
		prefix = "X-Caller-"
	}
	if strings.Trim(prefix, "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" ||
		!strings.HasSuffix(prefix, "-") || len(prefix) < 3 {
		return fmt.Errorf("identity_headers %q: give a prefix of letters, digits and - that ends in -, such as X-Caller-, or off", prefix)
	}
	s.identity = newIdentityNames(strings.ToLower(prefix))
	return nil
}

func (s *Site) compileAnswers(g *Gate) (err error) {
	if s.usage, err = usage.Compile(g.Usage); err != nil {
		return err
	}
	if g.CORS != nil {
		if s.cors, err = cors.Compile(g.CORS, s.sources.Logged().Headers); err != nil {
			return err
		}
	}
	s.form, err = answer.ParseForm(g.Errors)
	return err
}

// compileSources compiles where requests carry credentials.
func (s *Site) compileSources(g *Gate) error {
	s.sources = source.Set{source.Authorization()}
	session := g.SessionHeader
	if session == "" && slices.Contains(g.Include, "clarifai") {
		session = clarifaiSession
	}
	if session != "" && session != "off" {
		if !wire.IsToken(session) {
			return fmt.Errorf("session_header %q: that is not a header name", session)
		}
		name := textproto.CanonicalMIMEHeaderKey(session)
		if name == "Authorization" || s.ours(name) {
			return fmt.Errorf("session_header %s: that header has another meaning here; a session may always stand in Authorization", session)
		}
		s.sources = append(s.sources, source.Session(name))
	}
	for _, one := range g.Credential {
		if err := s.addSource(one); err != nil {
			return err
		}
	}
	return nil
}

// addSource adds a source that the configuration names.
func (s *Site) addSource(given Source) error {
	one, err := source.New(given.In, given.Name)
	switch {
	case errors.Is(err, source.ErrKind):
		return fmt.Errorf("credential %s: %w", given.In, err)
	case err != nil:
		return fmt.Errorf("credential %s %q: %w", given.In, given.Name, err)
	}
	name, header := given.Name, given.In == "header"
	if header {
		name = textproto.CanonicalMIMEHeaderKey(name)
	}
	if header && (name == "Authorization" || slices.Contains(s.sources.Logged().Headers, name)) || slices.Contains(s.sources, one) {
		return fmt.Errorf("credential %s %s: it is read already", given.In, name)
	}
	if header && s.ours(name) {
		return fmt.Errorf("credential header %s: a client's headers of this name are dropped; choose another", name)
	}
	s.sources = append(s.sources, one)
	return nil
}
