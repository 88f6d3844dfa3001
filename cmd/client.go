package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// client speaks to the management API, wherever it is.
type client struct {
	http http.Client
	// base is scheme and host.
	base string
	// origin is the Origin header: base over TCP, where the admin endpoint may
	// require it. Over a Unix socket it is empty, because it would be refused.
	origin string
	// where names the API in errors.
	where string
	// offline is the API if the command works on the store itself, without a
	// server.
	offline *manage.API
	// noWait is true if changes return before the other nodes of a fleet know of
	// them.
	noWait bool
	close  func() error
}

// newClient chooses between a running Caddy and the store itself.
func newClient(c *call) (*client, error) {
	if path := c.flag("db"); path != "" {
		if c.flag("address") != "" {
			return nil, usagef("--db opens the store itself, and --address asks a running Caddy: give one of them")
		}
		return openStore(c, path)
	}
	address, err := adminAddress(c)
	if err != nil {
		return nil, fmt.Errorf("finding out the address of the admin endpoint: %w", err)
	}
	return dialAdmin(address)
}

// adminAddress returns the address of the admin endpoint: from --address, else
// from the configuration, else Caddy's default.
func adminAddress(c *call) (string, error) {
	if address := c.flag("address"); address != "" || c.flag("config") == "" {
		return caddycmd.DetermineAdminAPIAddress(address, nil, "", "")
	}
	config, file, _, err := caddycmd.LoadConfig(c.flag("config"), c.flag("adapter"))
	if err != nil {
		return "", err
	}
	var written struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if err := json.Unmarshal(config, &written); err != nil {
		return "", fmt.Errorf("reading admin of %s: %w", file, err)
	}
	if written.Admin.Disabled {
		return "", fmt.Errorf("%s turns off the admin endpoint, which is the only way to reach a running Caddy: "+
			"remove \"admin off\", or stop Caddy and open the key store itself with --db FILE", file)
	}
	return caddycmd.DetermineAdminAPIAddress("", config, file, c.flag("adapter"))
}

// dialAdmin returns a client of an admin endpoint, which may be a Unix socket.
func dialAdmin(address string) (*client, error) {
	if _, bare, ok := strings.Cut(address, "://"); ok {
		return nil, usagef("%q is a URL; give the address alone, such as %s", address, strings.TrimRight(bare, "/"))
	}
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.PortRangeSize() > 1 {
		return nil, usagef("%q is not the address of an admin endpoint; it looks like localhost:2019 or unix//run/caddy.sock", address)
	}
	api := &client{base: "http://127.0.0.1", where: address}
	if parsed.IsUnixNetwork() {
		// The path may be followed by the permissions of the socket.
		parsed.Host, _, _ = strings.Cut(parsed.Host, "|")
	} else {
		api.base = "http://" + parsed.JoinHostPort(0)
		api.origin = api.base
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, parsed.Network, parsed.JoinHostPort(0))
		},
	}
	api.http.Transport = transport
	api.close = func() error {
		transport.CloseIdleConnections()
		return nil
	}
	return api, nil
}

// ask calls the API below /v2, like [client.askAt].
func (c *client) ask(ctx context.Context, method string, path []string, query url.Values, body any) ([]byte, *manage.Answer, error) {
	return c.askAt(ctx, method, append([]string{"v2"}, path...), query, body)
}

// askAt calls the API, and returns the raw and the decoded body of its answer. It
// escapes the parts of path. With a nil body it sends none.
func (c *client) askAt(ctx context.Context, method string, path []string, query url.Values, body any) ([]byte, *manage.Answer, error) {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	return c.answer(resp)
}

// send sends a request to the API.
func (c *client) send(ctx context.Context, method string, path []string, query url.Values, body any) (*http.Response, error) {
	parts := []string{c.base + "/api_keys"}
	for _, part := range path {
		parts = append(parts, url.PathEscape(part))
	}
	target := strings.Join(parts, "/")
	if c.noWait && method != http.MethodGet {
		query = maps.Clone(query)
		if query == nil {
			query = url.Values{}
		}
		query.Set("wait", "false")
	}
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		sent = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, target, sent)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return resp, nil
}

// answer returns the raw and the decoded body of a response.
func (c *client) answer(resp *http.Response) ([]byte, *manage.Answer, error) {
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the answer of %s: %w", c.where, err)
	}
	answer := new(manage.Answer)
	if err := json.Unmarshal(text, answer); err != nil || answer.Status.Code == 0 {
		return nil, nil, fmt.Errorf("the server at %s (%s) doesn't manage API keys: "+
			"is it the admin endpoint of a Caddy with this plug-in?", c.where, resp.Status)
	}
	if answer.Status.Code != manage.CodeOK {
		return nil, nil, refusedError(answer.Status)
	}
	return text, answer, nil
}

// unreachable adds a remedy to the error of a failed connection.
func (c *client) unreachable(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return fmt.Errorf("no Caddy answers at %s (%w): start it, name another with --address, or open the key store itself with --db FILE", c.where, dial.Err)
	}
	return fmt.Errorf("asking %s: %w", c.where, err)
}

// refusedError is a refusal by the API.
type refusedError manage.Status

func (r refusedError) Error() string {
	switch {
	case r.Details == "":
		return r.Description
	case r.Code == manage.CodeNotFound && r.Field == "user_id":
		return r.Details + "; \"user list\" shows all users"
	case r.Code == manage.CodeNotFound && (r.Field == "app_id" || strings.HasSuffix(r.Field, "apps[0].id")):
		return r.Details + "; \"app list\" shows all apps"
	}
	return r.Details
}
