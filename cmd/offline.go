package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// makesStore marks the commands that create a missing store. For all other
// commands a missing store is a mistake.
const makesStore = "makes-store"

// openStore returns a client of the store itself.
func openStore(c *call, path string) (*client, error) {
	api := &manage.API{
		Brand:  credential.DefaultBrand,
		Failed: func(_ string, cause error) { c.PrintErrln("The key store failed:", cause) },
	}
	if file := c.flag("config"); file != "" {
		if err := configured(api, file, c.flag("adapter")); err != nil {
			return nil, err
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && c.Annotations[makesStore] == "" {
		return nil, fmt.Errorf("there is no key store at %s; \"user create\" makes one", path)
	}
	store, err := boltstore.File{Path: path}.Open() // follows links, as a running Caddy does
	if err != nil {
		return nil, fmt.Errorf("%w; if a Caddy is running, leave --db out to ask it", err)
	}
	if c.wrap != nil {
		wrapped, err := c.wrap(store)
		if err != nil {
			return nil, errors.Join(err, store.Close())
		}
		store = wrapped
	}
	d, err := directory.New(store, 0)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	api.Directory = d.Directory
	api.Explain = func(ctx context.Context, q manage.ExplainQuery) ([]manage.Explanation, error) {
		return gateway.Explain(ctx, api.Directory, nil, q)
	}
	return &client{
		http:    http.Client{Transport: inProcess{api}},
		base:    "http://127.0.0.1",
		where:   path,
		offline: api,
		close:   d.Close,
	}, nil
}

// inProcess hands requests to the API without a network in between.
type inProcess struct{ api *manage.API }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	http.StripPrefix("/api_keys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.api.Serve(w, r, manage.Caller{Operator: true})
	})).ServeHTTP(w, r)
	return &http.Response{
		Status:     http.StatusText(w.status),
		StatusCode: w.status,
		Header:     w.header,
		Body:       io.NopCloser(&w.body),
		Request:    r,
	}, nil
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header            { return w.header }
func (w *recorder) WriteHeader(status int)         { w.status = status }
func (w *recorder) Write(text []byte) (int, error) { return w.body.Write(text) }

// configured takes the settings that a running Caddy would use from a
// configuration: the scopes that can be granted, the plans, the resources, and the
// prefix of new credentials.
func configured(api *manage.API, file, adapter string) error {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	var parsed struct {
		Apps struct {
			APIKeys gateway.App     `json:"api_keys"`
			HTTP    json.RawMessage `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &parsed); err != nil {
		return fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	if prefix := parsed.Apps.APIKeys.KeyPrefix; prefix != "" {
		api.Brand = prefix
	}
	if api.Plans, err = policy.NewPlans(parsed.Apps.APIKeys.Plan); err != nil {
		return fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	sites, err := gateway.Sites(parsed.Apps.HTTP)
	var catalogues []*policy.Catalogue
	for _, site := range sites {
		catalogues = append(catalogues, site.Catalogue())
		api.Resources = append(api.Resources, site.Resources()...)
	}
	if manages := config.Manages(parsed.Apps.HTTP); err == nil && (len(catalogues) > 0 || manages) {
		api.Catalogue, err = gateway.CatalogueOf(catalogues, manages)
	}
	if err != nil {
		return fmt.Errorf("reading the configuration %s: %w", file, err)
	}
	return nil
}
