package gateway

import (
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/manage"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminPath is where the management API stands on Caddy's admin endpoint.
const adminPath = "/api_keys"

// adminAPI is the operator's mount of the management API, on Caddy's admin
// endpoint: a client that can reach it can change everything anyway.
//
// It holds nothing, for Caddy makes it before the apps, never cleans it up,
// and lets that of a failed configuration go on serving.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.api_keys",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes returns the routes of the management API.
func (a adminAPI) Routes() []caddy.AdminRoute {
	h := http.StripPrefix(adminPath, http.HandlerFunc(a.serve))
	return []caddy.AdminRoute{{
		Pattern: adminPath + "/",
		Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			h.ServeHTTP(w, r)
			return nil
		}),
	}}
}

func (adminAPI) serve(w http.ResponseWriter, r *http.Request) {
	api := &manage.API{Failed: func(reqID string, cause error) {
		caddy.Log().Named("admin.api.api_keys").Error("a call of the management API failed", zap.String("req_id", reqID), zap.Error(cause))
	}}
	lease, err := prepare(api)
	if err != nil {
		api.Refuse(w, r, err)
		return
	}
	// A reload may let go of the store meanwhile: it stays open until this is
	// answered.
	visit, open := lease.Enter()
	if !open {
		api.Refuse(w, r, keys.ErrClosed)
		return
	}
	defer visit.Exit()
	// A socket that is a file has no address.
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	api.Serve(w, r, manage.Caller{Operator: true, Address: host})
}

// prepare fills in the API from the configuration that is running now.
func prepare(api *manage.API) (*directory.Lease, error) {
	running, err := caddy.ActiveContext().AppIfConfigured("api_keys")
	if err != nil {
		return nil, &manage.Error{
			Code:    manage.CodeUnavailable,
			Details: "the running configuration has no api_keys; add the option to it, or the directive to a site, and reload",
		}
	}
	app := running.(*App)
	lease, err := app.Directory()
	if err != nil {
		return nil, unavailable(err)
	}
	return lease, app.prepare(api, lease)
}

// Interface guards
var _ caddy.AdminRouter = (*adminAPI)(nil)
