package credential_test

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestContains(t *testing.T) {
	for _, brand := range []string{"ca", "a", "0123456789", "kkkkkkkkkk"} {
		for _, kind := range []policy.Kind{policy.AppKey, policy.PAT, policy.Session} {
			text, id := credential.Mint(brand, kind)
			for value, want := range map[string]bool{
				text: true, "Key " + text: true, "a=" + text + ";b": true, "zzzzzzzzzzzzzzzz" + text: true, text + text: true,
				"_" + text + "_": true, "__" + text: true, strings.Repeat("_k", 99) + text: true, "cak_" + text: true, "é" + text: true,
				"": false, "_": false, "k_": false, id: false, text[:len(text)-1]: false, text[len(brand)+1:]: false,
				text[:len(text)-1] + "!": false, strings.ToUpper(text): false, strings.Replace(text, "_", "-", 1): false,
			} {
				if got := credential.Contains(value); got != want {
					t.Errorf("%q: %v, want %v", value, got, want)
				}
				if n := testing.AllocsPerRun(10, func() { credential.Contains(value) }); n != 0 {
					t.Errorf("%q: %v allocations", value, n)
				}
			}
		}
	}
}
