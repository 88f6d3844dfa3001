package operation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest"
)

// Behind trusted proxies, a client must not choose the address that sign-ins
// are throttled by. Loading warns where it can.
func TestChosenAddressesAreWarnedOf(t *testing.T) {
	const trusted = "trusted_proxies static private_ranges\n"
	const managed = "api_keys_manage\nrespond no\n"
	for _, row := range []struct {
		name, options, site string
		warned              bool
	}{
		{"no proxies", "", managed, false},
		{"not strict", trusted, managed, true},
		{"strict", trusted + "trusted_proxies_strict\n", managed, false},
		{"over a socket", "trusted_proxies_unix\n", managed, true},
		{"a gate", trusted, "api_keys {\nroute GET /x Predict\n}\nrespond no\n", true},
		{"nothing of ours", trusted, "respond no\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			text := fmt.Sprintf("{\nadmin off\nauto_https off\nlog {\noutput file %s\n}\nservers {\n%s}\n}\nhttp://localhost:18340 {\n%s}\n", log, row.options, row.site)
			gatetest.Validate(t, text)
			logged, err := os.ReadFile(log)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			warnings := strings.Count(string(logged), "clients choose their address")
			if row.warned != (warnings == 1) || row.warned && !strings.Contains(string(logged), "trusted_proxies_strict") {
				t.Errorf("warned %d times: %s", warnings, logged)
			}
		})
	}
}
