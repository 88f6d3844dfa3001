package policy_test

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/policy"
)

func TestValuesPermit(t *testing.T) {
	v := policy.Values{"model": {"llama-3*", "org/gpt", "a/../b", "*-small-*"}, "voice": {}}
	for value, want := range map[string]bool{
		"llama-3": true, "llama-3-8b": true, "llama-3/8b": true, "llama-2": false, "LLAMA-3": false, "": false,
		"org/gpt": true, "org/gpt2": false, "x-small-y": true, "-small-": true, "small": false,
		"llama-3/../gpt-4": false, "llama-3,gpt-4": false, "llama-3，gpt-4": false, "llama-3/./x": false, "llama-3//x": false, "llama-3%2f..": false, `llama-3\x`: false,
		"llama-3 ": false, "llama-3\x00": false, "llama-3;x": false, "llama-3?x": false, "llama-3#x": false,
		"llama-3/\u200b..\u200b/x": false, "llama-3/.\u00ad./x": false, "llama-3\u200d": false, "llama-3/..\ufe0f/x": false,
		"llama-3/\u3164..": false, "llama-3/.\u0308./x": false, "llama-3\U000e0041": false, "llama-3-m\u00fcller": true, "llama-3-mu\u0308ller": true,
		"llama-3/...": false, "llama-3\xff": false, "llama-3\u0085x": false,
		"llama-3/ ../x": false, "llama-3／．．／x": false, "llama-3/‥/x": false, "llama-3％2fx": false, "llama-3-é": true,
		"a/../b": true, // to the letter, there is nothing to interpret
	} {
		if got := v.Permit("model", value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
	if v.Permit("voice", "anna") {
		t.Error("an empty list permits a value")
	}
	if !v.Permit("dataset", "anything") || !policy.Values(nil).Permit("model", "anything") {
		t.Error("a resource without a list is limited")
	}
}

func TestValuesWithin(t *testing.T) {
	values := func(text string) policy.Values {
		v := policy.Values{}
		for _, one := range strings.Fields(text) {
			name, list, _ := strings.Cut(one, "=")
			v[name] = strings.FieldsFunc(list, func(c rune) bool { return c == ',' })
		}
		return v
	}
	for _, row := range []struct {
		values, of string
		within     bool
	}{
		{"model=a", "", true},
		{"", "model=a", false},
		{"model=a", "model=a,b", true},
		{"model=a,c", "model=a,b", false},
		{"model=llama-3-8b*", "model=llama-3*", true},
		{"model=llama*", "model=llama-3*", false},
		{"model=*", "model=llama-3*", false},
		{"model=", "model=llama-3*", true},
		{"model=a voice=b", "model=a", true},
		{"model=a", "model=a voice=b", false},
		{"model=a/../b", "model=a*", false},
		{"model=a/../b", "model=a/../b", true},
	} {
		if got := values(row.values).Within(values(row.of)); got != row.within {
			t.Errorf("%q within %q: %v", row.values, row.of, got)
		}
		both := values(row.values).And(values(row.of))
		if !both.Within(values(row.values)) || !both.Within(values(row.of)) {
			t.Errorf("%q and %q: %v", row.values, row.of, both)
		}
	}
}

// If a pattern is within another, no value is permitted by it alone.
func FuzzValuesWithin(f *testing.F) {
	f.Add("llama-3*", "llama*", "llama-3-8b")
	f.Add("a*b*c", "a*c", "axbxc")
	f.Fuzz(func(t *testing.T, narrow, wide, value string) {
		a, b := policy.Values{"x": {narrow}}, policy.Values{"x": {wide}}
		if a.Check() != nil || b.Check() != nil {
			return
		}
		if a.Within(b) && a.Permit("x", value) && !b.Permit("x", value) {
			t.Errorf("%q is within %q, which doesn't permit %q", narrow, wide, value)
		}
	})
}

func TestCheckValues(t *testing.T) {
	for name, v := range map[string]policy.Values{
		"a name in capitals": {"Model": {"a"}}, "an empty value": {"model": {""}}, "a control character": {"model": {"a\n"}},
		"not UTF-8": {"model": {"\xff"}}, "too many *": {"model": {"*a*b*c*d*"}}, "too long": {"model": {strings.Repeat("a", 257)}},
	} {
		if v.Check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
