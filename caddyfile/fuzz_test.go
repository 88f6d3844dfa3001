package caddyfile_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gateway"
)

// Whatever stands in a Caddyfile, adapting it ends with an error or with a
// configuration: the same one each time, whose gates can be built. A mistake
// that is found only when it is loaded has lost its file and line.
func FuzzAdapt(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.caddyfile)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, _, err := golden{caddyfile: text}.adapt()
		if err != nil {
			return
		}
		if !json.Valid(config) {
			t.Fatalf("neither a configuration nor an error: %q", config)
		}
		if again, _, err := (golden{caddyfile: text}).adapt(); err != nil || !bytes.Equal(again, config) {
			t.Errorf("adapted again, it is another: %v\n%s\n%s", err, config, again)
		}
		if _, err := gateway.Sites(config); err != nil {
			t.Errorf("adapted, it can't be loaded: %v\n%s", err, config)
		}
	})
}
