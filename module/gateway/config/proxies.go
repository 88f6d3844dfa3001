package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// ChosenAddress is a server on which clients choose the address that sign-ins
// are throttled by, and that the audit log and last uses record.
type ChosenAddress struct {
	// Server is the server's name in the configuration, and Listen are its
	// addresses.
	Server string
	Listen []string
}

// Text is a sentence for people.
func (c *ChosenAddress) Text() string {
	return "behind a trusted proxy the client's address is the left end of X-Forwarded-For, which the client writes, " +
		"so it can choose the address that sign-ins are throttled by; add trusted_proxies_strict beside trusted_proxies, which reads it from the right"
}

// ChosenAddresses looks through a configuration (JSON) for servers that have a
// handler of ours and trust proxies without trusted_proxies_strict.
func ChosenAddresses(config []byte) (found []ChosenAddress, err error) {
	var app struct {
		Servers map[string]struct {
			Listen             []string        `json:"listen"`
			TrustedProxies     json.RawMessage `json:"trusted_proxies"`
			TrustedProxiesUnix bool            `json:"trusted_proxies_unix"`
			Strict             int             `json:"trusted_proxies_strict"`
			Routes             json.RawMessage `json:"routes"`
			NamedRoutes        json.RawMessage `json:"named_routes"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(httpApp(config), &app); err != nil {
		return nil, fmt.Errorf("reading the http app's configuration: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		s := app.Servers[name]
		trusts := s.TrustedProxies != nil || s.TrustedProxiesUnix
		ours := hasHandler(s.Routes, "api_keys", "api_keys_manage") || hasHandler(s.NamedRoutes, "api_keys", "api_keys_manage")
		if trusts && s.Strict <= 0 && ours {
			found = append(found, ChosenAddress{Server: name, Listen: s.Listen})
		}
	}
	return found, nil
}

// httpApp is the http app's part of a configuration, or what was given if that
// is the app's part already.
func httpApp(config []byte) []byte {
	var whole struct {
		Apps struct {
			HTTP json.RawMessage `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &whole); err == nil && whole.Apps.HTTP != nil {
		return whole.Apps.HTTP
	}
	return config
}
