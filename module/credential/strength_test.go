package credential

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestBits(t *testing.T) {
	minted, _ := Mint("ca", policy.PAT)
	for _, c := range []struct {
		name, text string
		guessable  bool
	}{
		{"ours", minted, false},
		{"32 hex digits", "9f86d081884c7d659a2feaa0c55ad015", false},
		{"a UUID", "4174348a-9222-4e81-b33e-5d72d2fd7f1e", false},
		{"32 letters and digits", "Zq3vT8mXb2Lr9KcW5yHn7PdJ4sGf6RtA", false},
		{"22 of base64", "oW8x3+Jq/7Vn2bTzK5mD9g", false},
		{"24 digits at random", "918273640557190263847502", true},
		{"30 digits at random", "918273640557190263847502661839", false},
		{"16 digits", "4929176435208817", true},
		{"16 hex digits", "9f86d081884c7d65", true},
		{"one character", strings.Repeat("a", 64), true},
		{"a run", "0123456789abcdefghijklmnopqrstuvwxyz", true},
		{"a run down", "zyxwvutsrqponmlkjihgfedcba9876543210", true},
		{"a short text again and again", strings.Repeat("k3y!", 10), true},
		{"words", "my-secret-api-key-password", true},
		{"a word and a year", "production-password-2024", true},
		{"words of an app", "mobile-app-client-key-1", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Bits(c.text); got < MinBits != c.guessable {
				t.Errorf("%.0f bits", got)
			}
		})
	}
}

func FuzzBits(f *testing.F) {
	f.Add("password")
	f.Add("0123456789abcdef")
	f.Add("\xff\x00äöü")
	f.Add("\xff567")
	f.Fuzz(func(t *testing.T, text string) {
		if b := Bits(text); !(b >= 0 && b <= float64(len(text))*7) {
			t.Errorf("%v bits", b)
		}
	})
}
