package keys

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestCheckImported(t *testing.T) {
	genuine, _ := credential.Mint("ca", policy.AppKey)
	other := byte('0')
	if genuine[54] == other {
		other = '1'
	}
	forged := genuine[:54] + string(other)
	for _, c := range []struct {
		name, text, says string
	}{
		{"Clarifai's", "0123456789abcdef0123456789abcdef", ""},
		{"shortest", strings.Repeat("x", 16), ""},
		{"longest", strings.Repeat("x", 512), ""},
		{"every character", "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", ""},
		{"ours", genuine, ""},
		{"ours, mistyped", forged, "checksum"},
		{"too short", strings.Repeat("x", 15), "15 bytes"},
		{"too long", strings.Repeat("x", 513), "513 bytes"},
		{"none", "", "0 bytes"},
		{"a space", "0123456789 abcdef", "space"},
		{"a comma", "0123456789,abcdef", "comma"},
		{"a control character", "0123456789\x7fabcdef", "visible"},
		{"not ASCII", "0123456789äabcdef", "visible"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckImported(c.text)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var e *InvalidError
			if !errors.As(err, &e) || e.Field != "credential" || !strings.Contains(e.Reason, c.says) {
				t.Fatalf("got %v, want %q", err, c.says)
			}
			if len(c.text) > 0 && strings.Contains(err.Error(), c.text) {
				t.Errorf("the error repeats it: %v", err)
			}
		})
	}
}
