package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-api-keys/gateway/module/gateway"
)

// site is the Caddyfile of the demo, as far as there is something to learn
// from it.
func (p *demoPlaces) site() string {
	return fmt.Sprintf(`http://:%d {
    bind %s
    log
    api_keys_manage {
        portal /portal
    }
    api_keys {
        include clarifai
    }
    reverse_proxy %s
}
`, p.gate.Port, p.gate.IP, p.upstream)
}

// config is the whole configuration: the site, and what keeps the demo apart
// from any other Caddy of this user.
func (p *demoPlaces) config() ([]byte, error) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return nil, errors.New("this program can't read a Caddyfile: build one with Caddy's standard modules, as ./cmd/caddy has them")
	}
	// A request that doesn't end must not keep the demo from ending.
	const globals = "{\n    grace_period 2s\n}\n"
	adapted, _, err := adapter.Adapt([]byte(globals+p.site()), nil)
	if err != nil {
		return nil, fmt.Errorf("adapting the demo's Caddyfile: %w", err)
	}
	var config caddy.Config
	if err := json.Unmarshal(adapted, &config); err != nil {
		return nil, fmt.Errorf("reading the demo's configuration: %w", err)
	}
	config.Admin = &caddy.AdminConfig{Listen: p.admin, Config: &caddy.ConfigSettings{Persist: new(false)}}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		// The terminal is for the commands, so only errors join them there.
		"default": {BaseLog: caddy.BaseLog{
			Level:      "ERROR",
			WriterRaw:  object{"output": "stderr"}.json(),
			EncoderRaw: withoutSessions(object{"format": "console"}),
		}},
		"file": {BaseLog: caddy.BaseLog{
			WriterRaw:  object{"output": "file", "filename": literal(p.log())}.json(),
			EncoderRaw: withoutSessions(object{"format": "json"}),
		}},
	}}
	config.AppsRaw["api_keys"] = caddyconfig.JSON(&gateway.App{Store: object{"module": "bbolt", "path": literal(p.store())}.json()}, nil)
	// There are no certificates, nor a place to look after where they were.
	config.AppsRaw["tls"] = caddyconfig.JSON(&caddytls.TLS{DisableStorageCheck: true, DisableStorageClean: true}, nil)
	return json.Marshal(config)
}

// withoutSessions is the filter that the gate asks for when it starts: Caddy
// redacts Authorization and cookies by itself, and knows of no other header.
func withoutSessions(format object) json.RawMessage {
	return object{
		"format": "filter",
		"wrap":   format,
		"fields": object{"request>headers>X-Clarifai-Session-Token": object{"filter": "delete"}},
	}.json()
}

// object is one of JSON.
type object map[string]any

func (o object) json() json.RawMessage { return caddyconfig.JSON(o, nil) }

// literal keeps Caddy from looking for placeholders in a path.
func literal(path string) string {
	return strings.NewReplacer("{", `\{`, "}", `\}`).Replace(path)
}
