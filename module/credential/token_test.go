package credential_test

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestMint(t *testing.T) {
	for _, tt := range []struct {
		brand string
		kind  policy.Kind
		front string
		long  int
	}{
		{"ca", policy.AppKey, "cak_", 55},
		{"ca", policy.PAT, "cap_", 55},
		{"ca", policy.Session, "cas_", 55},
		{"acme", policy.AppKey, "acmek_", 57},
		{"k", policy.PAT, "kp_", 54},
		{"abcdefghij", policy.Session, "abcdefghijs_", 63},
	} {
		t.Run(tt.front, func(t *testing.T) {
			text, id := credential.Mint(tt.brand, tt.kind)
			if len(text) != tt.long || !strings.HasPrefix(text, tt.front) {
				t.Errorf("minted %d bytes that begin %q, want %d and %q", len(text), text[:6], tt.long, tt.front)
			}
			if len(id) != len(tt.front)+12 || !strings.HasPrefix(text, id+"_") {
				t.Errorf("key ID %q is not the credential's front", id)
			}
			if f := credential.FormOf(text); f != credential.Genuine {
				t.Errorf("form of a minted credential is %v", f)
			}
			if other, _ := credential.Mint(tt.brand, tt.kind); other == text {
				t.Error("minted the same twice")
			}
		})
	}
}

// The vector was worked out with another implementation of CRC-32 (zlib's) and
// of base 62.
const (
	genuine        = "cak_0123456789AB_0123456789ABCDEFGHIJKLMNOPQRSTUV"
	vectorChecksum = "34f1B6"
)

func TestFormOf(t *testing.T) {
	good, _ := credential.Mint("ca", policy.AppKey)
	flip := func(i int) string {
		c := byte('A')
		if good[i] == c {
			c = 'B'
		}
		return good[:i] + string(c) + good[i+1:]
	}
	for _, tt := range []struct {
		name, text string
		want       credential.Form
	}{
		{"minted", good, credential.Genuine},
		{"wrong checksum", flip(len(good) - 1), credential.Forged},
		{"wrong secret", flip(20), credential.Forged},
		{"wrong id", flip(6), credential.Forged},
		{"another brand, checksum of the first", "x" + good, credential.Forged},
		{"too long", good + "A", credential.Foreign},
		{"too short", good[:len(good)-1], credential.Foreign},
		{"unknown kind", "cax" + good[3:], credential.Foreign},
		{"upper case brand", "CA" + good[2:], credential.Foreign},
		{"no brand", good[2:], credential.Foreign},
		{"not base 62", good[:30] + "-" + good[31:], credential.Foreign},
		{"brand of eleven", "abcdefghijk" + good[2:], credential.Foreign},
		{"32 hexadecimal digits", "0123456789abcdef0123456789abcdef", credential.Foreign},
		{"empty", "", credential.Foreign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := credential.FormOf(tt.text); got != tt.want {
				t.Errorf("form %v, want %v", got, tt.want)
			}
		})
	}
	if n := testing.AllocsPerRun(100, func() { credential.FormOf(good) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { credential.DigestOf(good) }); n != 0 {
		t.Errorf("DigestOf: %v allocations", n)
	}
}

func TestIsPublicID(t *testing.T) {
	text, id := credential.Mint("ca", policy.PAT)
	for text, want := range map[string]bool{
		id:                          true,
		"acme1k_0123456789AB":       true,
		"abcdefghijs_0123456789ab":  true,
		"abcdefghijks_0123456789ab": false, // a brand of eleven
		"k_0123456789AB":            false,
		"cak_0123456789A":           false,
		"cak_0123456789ABC":         false,
		"cak_0123456789A-":          false,
		"cax_0123456789AB":          false,
		"CAk_0123456789AB":          false,
		"cak-0123456789AB":          false,
		text:                        false,
		id + "\n":                   false,
		"_0123456789AB":             false,
		"":                          false,
	} {
		if got := credential.IsKeyID(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestChecksumVector(t *testing.T) {
	if f := credential.FormOf(genuine + vectorChecksum); f != credential.Genuine {
		t.Errorf("form %v: the checksum is not CRC-32 (IEEE) in base 62, high digit first", f)
	}
}

func TestRedact(t *testing.T) {
	good, _ := credential.Mint("ca", policy.AppKey)
	for _, text := range []string{good, good[:len(good)-1] + "!", "0123456789abcdef0123456789abcdef", ""} {
		shown := credential.Redact(text)
		if len(shown) > len("cak_4fQ…") {
			t.Errorf("%q shows too much", shown)
		}
	}
	if shown := credential.Redact(good); shown != good[:7]+"…" {
		t.Errorf("shows %q", shown)
	}
}

func FuzzFormOf(f *testing.F) {
	good, _ := credential.Mint("ca", policy.AppKey)
	f.Add(good)
	f.Add(genuine + vectorChecksum)
	f.Add("")
	f.Add("cak__")
	f.Fuzz(func(t *testing.T, text string) {
		if credential.FormOf(text) != credential.Genuine {
			return
		}
		// Genuine tokens have this form, and no other byte would fit.
		if len(text) < 54 || len(text) > 63 || strings.Count(text, "_") != 2 {
			t.Fatalf("%q is not a credential", text)
		}
		for i := range len(text) {
			other := text[:i] + string(text[i]^1) + text[i+1:]
			if credential.FormOf(other) == credential.Genuine {
				t.Fatalf("%q and %q are both genuine", text, other)
			}
		}
	})
}
