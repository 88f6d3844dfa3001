package operation

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
)

// logsWorld runs a site with these log blocks: the one of the global options
// and the site's. Both may name {global} and {site}, files of their own.
func logsWorld(t *testing.T, options, global, site string) (server *gatetest.Server, folder string) {
	t.Helper()
	server, folder = gatetest.Start(t, options), t.TempDir()
	_, port, _ := strings.Cut(server.Addr, ":")
	files := strings.NewReplacer("{global}", filepath.Join(folder, "global"), "{site}", filepath.Join(folder, "site"))
	loadText(server, fmt.Sprintf("{\nadmin off\npersist_config off\n%s\napi_keys {\nstore bbolt %s\n}\n}\nhttp://localhost:%s, http://127.0.0.1:%s {\n%s\napi_keys {\n%s\n}\nreverse_proxy %s\n}\n",
		files.Replace(global), server.StorePath, port, port, files.Replace(site), options, server.Upstream.Addr))
	return server, folder
}

func loadText(server *gatetest.Server, text string) {
	server.T.Helper()
	if err := server.Load(text); err != nil {
		server.T.Fatalf("%v in %s", err, text)
	}
}

// warnings are the lines of a log about other logs.
func warnings(t *testing.T, folder string) (list []logWarning) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "global"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var w logWarning
		if json.Unmarshal([]byte(line), &w) == nil && w.Filter != "" {
			list = append(list, w)
		}
	}
	return list
}

type logWarning struct {
	Level, Filter string
	Site, Logs    []string
}

const withSources = "route GET /v2/inputs\nsession_header X-Session\ncredential header X-Api-Key\ncredential query api_key"

// The gate warns of each log that would show a credential, and of no other.
func TestLogsThatWouldShowCredentialsAreNamed(t *testing.T) {
	filter := builtFilter(t, withSources)
	for _, row := range []struct {
		name, options, global, site string
		warned                      []string
	}{
		{name: "nothing is read elsewhere", options: "route GET /v2/inputs", site: "log"},
		{name: "no access log", options: withSources},
		{name: "an access log in the default log", options: withSources, site: "log", warned: []string{"default"}},
		{name: "a log of the site", options: withSources, site: "log mine {\noutput file {site}\n}", warned: []string{"mine"}},
		{name: "a log that is thrown away", options: withSources, site: "log {\noutput discard\n}"},
		{name: "a filter in the site's log", options: withSources, site: "log {\noutput file {site}\n" + filter + "\n}"},
		{name: "half a filter", options: withSources, site: "log mine {\noutput file {site}\nformat filter {\nfields {\nrequest>headers>X-Api-Key delete\n}\n}\n}", warned: []string{"mine"}},
		{name: "no headers and no target at all", options: withSources, site: "log mine {\noutput file {site}\nformat filter {\nfields {\nrequest>headers delete\nrequest>uri delete\n}\n}\n}"},
		{name: "a filter of other fields", options: withSources, site: "log mine {\noutput file {site}\nformat filter {\nfields {\nuser_id delete\n}\n}\n}", warned: []string{"mine"}},
		{name: "a log of other hosts", options: withSources, site: "log mine {\nhostnames other.example.com\noutput file {site}\n}", warned: []string{"default"}},
		{name: "include clarifai", options: "include clarifai", site: "log", warned: []string{"default"}},
		{name: "include clarifai without its header", options: "include clarifai\nsession_header off", site: "log"},
	} {
		t.Run(row.name, func(t *testing.T) {
			server, folder := logsWorld(t, row.options, "log {\noutput file {global}\n"+row.global+"\n}", row.site)
			var named []string
			for _, warning := range warnings(t, folder) {
				if warning.Level != "warn" {
					continue
				}
				_, port, _ := strings.Cut(server.Addr, ":")
				sites := []string{"localhost:" + port, "127.0.0.1:" + port}
				slices.Sort(warning.Site)
				slices.Sort(sites)
				if !slices.Equal(warning.Site, sites) {
					t.Errorf("the warning names the site %q", warning.Site)
				}
				named = append(named, warning.Logs...)
			}
			if !slices.Equal(named, row.warned) {
				t.Errorf("warned of %q, want %q", named, row.warned)
			}
		})
	}
}

// The filter that the warning and the command print hides every credential, and
// ends the warning.
func TestTheFilterHidesCredentialsAndTheWarning(t *testing.T) {
	filter := builtFilter(t, withSources)
	server, folder := logsWorld(t, withSources, "log {\noutput file {global}\n"+filter+"\n}", "log mine {\noutput file {site}\n"+filter+"\n}")
	if list := warnings(t, folder); len(list) > 0 {
		t.Errorf("warned of %v", list)
	}
	server.AddUsers("alice")
	server.AddApp("alice", "shop")
	key := server.AppKey("alice", "shop")
	c := gatetest.Client(t, "HTTP/1.1")
	server.Ask(c, "GET", "/v2/inputs?api_key="+key+"&page=7")
	server.Ask(c, "GET", "/v2/inputs", "X-Api-Key: "+key)
	server.Ask(c, "GET", "/v2/inputs", "X-Session: "+key)
	server.Ask(c, "GET", "/v2/inputs", "Authorization: Key "+key, "Referer: https://example.com/?api_key="+key)
	var text string
	gatetest.Until(t, "four lines", func() bool {
		all, _ := os.ReadFile(filepath.Join(folder, "site"))
		text = string(all)
		return strings.Count(text, "\n") >= 4
	})
	if strings.Contains(text, key) || !strings.Contains(text, "page=7") {
		t.Errorf("the log shows %s", text)
	}
}

// builtFilter is the filter of a site with these options.
func builtFilter(t *testing.T, options string) string {
	t.Helper()
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(":80 {\napi_keys {\n"+options+"\n}\n}"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sites, err := gateway.Sites(text)
	if err != nil {
		t.Fatal(err)
	}
	var shown config.LogFields
	shown.Add(sites[0].Logged())
	return shown.Filter()
}
