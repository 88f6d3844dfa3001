// Package example_test checks the examples of a fleet.
package example_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.yaml.in/yaml/v3"

	_ "github.com/caddy-api-keys/gateway/module"
)

// Each example is YAML, and has a Caddyfile that adapts, with a store in etcd whose
// mirror is on a volume.
func TestExamples(t *testing.T) {
	for _, file := range []string{"compose.yaml", "kubernetes.yaml"} {
		t.Run(file, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var caddyfiles []string
			for documents := yaml.NewDecoder(bytes.NewReader(text)); ; {
				var document struct {
					Data    map[string]string `yaml:"data"`
					Configs map[string]struct {
						Content string `yaml:"content"`
					} `yaml:"configs"`
				}
				err := documents.Decode(&document)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, found := range []string{document.Data["Caddyfile"], document.Configs["caddyfile"].Content} {
					if found != "" {
						caddyfiles = append(caddyfiles, found)
					}
				}
			}
			if len(caddyfiles) != 1 {
				t.Fatalf("%d Caddyfiles, want 1", len(caddyfiles))
			}
			config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfiles[0]), nil)
			if err != nil || len(warnings) > 0 {
				t.Fatal(err, warnings)
			}
			for _, part := range []string{`"module":"etcd"`, `"mirror":"/mirror/mirror.db"`} {
				if !strings.Contains(string(config), part) {
					t.Errorf("%s is not in %s", part, config)
				}
			}
		})
	}
}
