// Package gateway is the gate itself: the app that holds the key store, the
// handler that decides on every request, and the mounts of the management API.
// It adapts Caddy to the packages keys (who is it) and policy (may they), in
// which the thinking is done.
package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/gateway/metrics"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the sites share: the key store and the cache in front of it.
type App struct {
	// Store is where users, apps and credentials are kept: a module of the
	// namespace api_keys.stores.
	// Default: bbolt, at {data dir}/api_keys/keys.db.
	Store json.RawMessage `json:"store,omitempty" caddy:"namespace=api_keys.stores inline_key=module"`

	// Cache is how much memory the cache of credentials may take, such as 64MiB;
	// off does without one, which asks the store about every request.
	// Default: 64MiB.
	Cache string `json:"cache,omitempty"`

	// KeyPrefix is the brand in front of every credential that is minted: 1 to
	// 10 of a-z and 0-9. Credentials minted with another stay valid.
	// Default: ca.
	KeyPrefix string `json:"key_prefix,omitempty"`

	// AuditRetention is how long the audit log goes back.
	// Default: 2160h, which is 90 days.
	AuditRetention caddy.Duration `json:"audit_retention,omitempty"`

	// MaxKeys is how many keys one user may have: app keys and personal access
	// tokens that are not revoked. A user who has as many is refused one more
	// with 403 (11006). What the operator makes or imports isn't bounded. In
	// JSON a number, or "off" for no bound.
	// Default: 10000.
	MaxKeys config.Most `json:"max_keys,omitempty"`

	// MaxApps is how many apps one user may have, as max_keys.
	// Default: 1000.
	MaxApps config.Most `json:"max_apps,omitempty"`

	// Plan has named sets of limits for users, apps and keys. A user's plan limits all
	// of the user's credentials together, an app's plan limits all of the app's keys
	// together, and a key's plan limits the key. All of them apply. The plan default
	// applies to every user without another plan. If the plan of a key, its app or its
	// user is not configured, requests with the key are refused with 503.
	// Default: none.
	Plan []policy.Plan `json:"plan,omitempty"`

	plans      policy.Plans
	opener     keys.Opener
	cacheBytes int64
	logger     *zap.Logger
	tasks      *metrics.Tasks

	// lease is the store once it is open, for the gate to look at without a
	// lock.
	lease    atomic.Pointer[directory.Lease]
	opening  sync.Mutex
	openErr  error
	released bool

	sitesMu sync.Mutex
	// catalogue is the union of the sites' so far: one, or none.
	catalogue []*policy.Catalogue
	sites     []*Site
	// places are where gates stand in the configuration while it is being
	// loaded, less those whose gates are there.
	places []config.Site
	// managed are where the management API stands, less those whose handlers are
	// there.
	managed    []config.Site
	looked     bool // around in the configuration
	management []managedSite
	// operations are what can be called on the sites, once they were asked for.
	operations []authz.Site
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "api_keys",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision prepares the app; it opens nothing, because a configuration that is
// only validated must not touch the store.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger = ctx.Logger()
	if a.KeyPrefix == "" {
		a.KeyPrefix = credential.DefaultBrand
	}
	if err := credential.CheckBrand(a.KeyPrefix); err != nil {
		return fmt.Errorf("key_prefix: %w", err)
	}
	if a.AuditRetention < 0 {
		return errors.New("audit_retention: give a duration, such as 2160h")
	}
	if a.AuditRetention == 0 {
		a.AuditRetention = caddy.Duration(directory.DefaultAuditRetention)
	}
	if !a.MaxKeys.Valid() || !a.MaxApps.Valid() {
		return errors.New("max_keys and max_apps: give a number of at least 1, or off")
	}
	var err error
	if a.plans, err = policy.NewPlans(a.Plan); err != nil {
		return err
	}
	if a.cacheBytes, err = ParseCache(a.Cache); err != nil {
		return err
	}
	if a.tasks, err = metrics.NewTasks(a.logger, ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if err := metrics.ObserveFleet(ctx.GetMetricsRegistry(), a.fleet); err != nil {
		return err
	}
	return a.loadStore(ctx)
}

// fleet describes the processes that share the store, if it is open and shared.
func (a *App) fleet(ctx context.Context) (keys.Fleet, error) {
	lease := a.lease.Load()
	if lease == nil {
		return keys.Fleet{}, keys.ErrClosed
	}
	return lease.Fleet(ctx)
}

func (a *App) loadStore(ctx caddy.Context) error {
	var mod any
	var err error
	if a.Store == nil {
		mod, err = ctx.LoadModuleByID("api_keys.stores.bbolt", nil)
	} else {
		mod, err = ctx.LoadModule(a, "Store")
	}
	if err != nil {
		return fmt.Errorf("loading the key store's module: %w", err)
	}
	opener, ok := mod.(keys.Opener)
	if !ok {
		return fmt.Errorf("the module %T is not a key store", mod)
	}
	a.opener = opener
	return nil
}

// ParseCache reads the size of the cache in bytes: 0 for off, the default for
// an empty text.
func ParseCache(text string) (int64, error) {
	switch text {
	case "":
		return directory.DefaultCacheBytes, nil
	case "off":
		return 0, nil
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n < 64<<10 || n > 1<<40 {
		return 0, fmt.Errorf("cache %q: give a size from 64KiB to 1TiB, such as 64MiB, or off", text)
	}
	return int64(n), nil
}

// Start opens the store, unless a request was faster.
func (a *App) Start() error {
	_, err := a.Directory()
	return err
}

// Stop does nothing: requests of this configuration may still be running.
func (*App) Stop() error { return nil }

// Cleanup gives the store back. It is called after a failed Provision too.
func (a *App) Cleanup() error {
	a.opening.Lock()
	defer a.opening.Unlock()
	a.released = true
	if lease := a.lease.Load(); lease != nil {
		return lease.Close()
	}
	return nil
}

// Directory is the open store. Apps start in no particular order, so a request
// may come before Start: the first one opens the store, and the one that comes
// meanwhile waits.
func (a *App) Directory() (*directory.Lease, error) {
	if lease := a.lease.Load(); lease != nil {
		return lease, nil
	}
	a.opening.Lock()
	defer a.opening.Unlock()
	if lease := a.lease.Load(); lease != nil || a.openErr != nil {
		return lease, a.openErr
	}
	if a.released {
		return nil, keys.ErrClosed
	}
	lease, err := directory.Lend(a.opener, a.cacheBytes)
	if err != nil {
		a.openErr = fmt.Errorf("opening the key store: %w", err)
		return nil, a.openErr
	}
	lease.KeepAudit(time.Duration(a.AuditRetention))
	if err := lease.CheckClock(); err != nil {
		a.logger.Warn("clock of the key store", zap.Error(err))
	}
	lease.Bound(keys.Maximums{Keys: a.MaxKeys.Or(keys.DefaultMaxKeys), Apps: a.MaxApps.Or(keys.DefaultMaxApps)})
	lease.Plan(a.plans)
	lease.Observe(a.tasks)
	a.lease.Store(lease)
	return lease, nil
}

// Brand stands in front of every credential that is minted.
func (a *App) Brand() string { return a.KeyPrefix }

// addSite takes in a site, and its catalogue of scopes into the
// configuration's.
func (a *App) addSite(s *Site) error {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	a.sites, a.operations = append(a.sites, s), nil
	all, err := policy.Union(append(a.catalogue, s.catalogue)...)
	if err != nil {
		return err
	}
	a.catalogue = []*policy.Catalogue{all}
	return nil
}

// running are the sites of the configuration, in the order in which they stand.
func (a *App) running() []*Site {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	return slices.SortedStableFunc(slices.Values(a.sites), func(s, o *Site) int { return s.place.Order - o.place.Order })
}

// resources are the names of the resources that sites declare.
func (a *App) resources() []string {
	var names []string
	for _, s := range a.running() {
		names = append(names, s.Resources()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// placeOf is where a gate stands, while the configuration is being loaded, and
// empty if that isn't known. The gate is as it was written. Equal gates are
// loaded in the order in which they stand, so the first that is left is the
// gate's.
func (a *App) placeOf(ctx caddy.Context, g *Gate) config.Site {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	a.lookAround(ctx)
	i := slices.IndexFunc(a.places, func(place config.Site) bool {
		written := new(Gate)
		return json.Unmarshal(place.Gate, written) == nil && reflect.DeepEqual(written, g)
	})
	if i < 0 {
		return config.Site{}
	}
	place := a.places[i]
	a.places = slices.Delete(a.places, i, i+1)
	return place
}

// lookAround reads the configuration that is being loaded, once, and warns of
// what in it is easy to get wrong. Mistakes are reported where they stand.
func (a *App) lookAround(ctx caddy.Context) {
	if a.looked {
		return
	}
	a.looked = true
	loading := config.BeingLoaded(ctx)
	a.places, a.managed = config.Sites(loading), config.Managed(loading)
	undecided, _ := config.UndecidedRequests(loading)
	for _, u := range undecided {
		a.logger.Warn("requests reach an upstream undecided", zap.Strings("site", u.Site), zap.String("matcher", u.Matcher), zap.String("details", u.Text()))
	}
	chosen, _ := config.ChosenAddresses(loading)
	for _, c := range chosen {
		a.logger.Warn("clients choose their address", zap.String("server", c.Server), zap.Strings("listen", c.Listen), zap.String("details", c.Text()))
	}
}

// Catalogue is what can be granted: the union over the sites.
func (a *App) Catalogue() (*policy.Catalogue, error) {
	a.sitesMu.Lock()
	defer a.sitesMu.Unlock()
	return CatalogueOf(a.catalogue, len(a.management) > 0)
}

// CatalogueOf is what can be granted where sites have these catalogues, and
// perhaps the management API. What the sites declare of its scopes counts.
func CatalogueOf(sites []*policy.Catalogue, management bool) (*policy.Catalogue, error) {
	all, err := policy.Union(sites...)
	if err != nil || !management {
		return all, err
	}
	return manage.WithCalls(all)
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
