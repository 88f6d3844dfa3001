package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestKinds(t *testing.T) {
	for _, k := range Kinds() {
		got, err := ParseKind(k.String())
		if err != nil || got != k {
			t.Errorf("ParseKind(%q) = %v, %v", k.String(), got, err)
		}
		if !AcceptAny.Kind(k) || AcceptNone.Kind(k) || AcceptPublic.Kind(k) {
			t.Errorf("%v: any has to accept it, none and public not", k)
		}
	}
	for _, name := range []string{"", "key", "PAT", "kind(0)", "public"} {
		if k, err := ParseKind(name); err == nil {
			t.Errorf("ParseKind(%q) = %v", name, k)
		}
	}
	if Kind(0).String() != "kind(0)" || Kind(9).String() != "kind(9)" || AcceptAny.Kind(0) {
		t.Error("a kind that is none looks like one")
	}
}

func TestParseAccept(t *testing.T) {
	for _, tc := range []struct{ words, want string }{
		{"", "app_key pat session"},
		{"session app_key pat", "app_key pat session"},
		{"session pat", "pat session"},
		{"app_key", "app_key"},
		{"public", "public"},
		{"none", "none"},
	} {
		a, err := ParseAccept(strings.Fields(tc.words))
		if err != nil || strings.Join(a.Words(), " ") != tc.want {
			t.Errorf("ParseAccept(%q) = %q, %v, want %q", tc.words, a.Words(), err, tc.want)
			continue
		}
		if a.Public() != (tc.want == "public") {
			t.Errorf("%q: Public() = %t", tc.words, a.Public())
		}
		for _, k := range Kinds() {
			if a.Kind(k) != slices.Contains(strings.Fields(tc.want), k.String()) {
				t.Errorf("%q: Kind(%v) = %t", tc.words, k, a.Kind(k))
			}
		}
		if again, err := ParseAccept(a.Words()); err != nil || again != a {
			t.Errorf("%q: its words are read as %v, %v", tc.words, again, err)
		}
	}
	for _, tc := range []struct{ words, want string }{
		{"key", "accept takes"},
		{"Pat", "accept takes"},
		{"pat pat", "twice"},
		{"public pat", "stands alone"},
		{"pat public", "stands alone"},
		{"public public", "stands alone"},
		{"pat none", "stands alone"},
		{"none public", "stands alone"},
	} {
		if a, err := ParseAccept(strings.Fields(tc.words)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("ParseAccept(%q) = %v, %v, want %q", tc.words, a.Words(), err, tc.want)
		}
	}
}
