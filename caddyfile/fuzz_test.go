package caddyfile_test

import "testing"

// Whatever stands in a Caddyfile, adapting it ends with a configuration or an
// error.
func FuzzAdapt(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(g.caddyfile)
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, _, err := golden{caddyfile: text}.adapt()
		if err == nil && len(config) == 0 {
			t.Error("neither a configuration nor an error")
		}
	})
}
