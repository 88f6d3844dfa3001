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

// site returns the part of the demo's Caddyfile that users can learn from.
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

// config returns the whole configuration: the site, and settings that keep the
// demo apart from other Caddys of this user.
func (p *demoPlaces) config() ([]byte, error) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	if adapter == nil {
		return nil, errors.New("this program can't read a Caddyfile: build it with Caddy's standard modules, like ./cmd/caddy")
	}
	// An endless request must not keep the demo from ending.
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
		// The terminal shows the commands to paste, so it gets only errors.
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
	config.AppsRaw["api_keys"] = caddyconfig.JSON(&gateway.App{Store: p.storeModule().json()}, nil)
	// The demo has no certificates, so Caddy needn't maintain their storage.
	config.AppsRaw["tls"] = caddyconfig.JSON(&caddytls.TLS{DisableStorageCheck: true, DisableStorageClean: true}, nil)
	return json.Marshal(config)
}

// storeModule returns the configuration of the key store.
func (p *demoPlaces) storeModule() object {
	if p.etcd == "" {
		return object{"module": "bbolt", "path": literal(p.store())}
	}
	return object{"module": "etcd", "endpoints": []string{p.etcd}, "mirror": literal(p.mirror())}
}

// withoutSessions returns the log filter that the gate asks for when it starts.
// Caddy itself redacts only Authorization and cookies.
func withoutSessions(format object) json.RawMessage {
	return object{
		"format": "filter",
		"wrap":   format,
		"fields": object{"request>headers>X-Clarifai-Session-Token": object{"filter": "delete"}},
	}.json()
}

// object is a JSON object.
type object map[string]any

func (o object) json() json.RawMessage { return caddyconfig.JSON(o, nil) }

// literal keeps Caddy from looking for placeholders in a path.
func literal(path string) string {
	return strings.NewReplacer("{", `\{`, "}", `\}`).Replace(path)
}
