package manage_test

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// No part of a text is a formula, even if semicolons separate the cells.
func TestNoFormula(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "a=b; c-d": "a=b; c-d", "2026-11-29": "2026-11-29",
		`=HYPERLINK("x")`: `'=HYPERLINK("x")`, "-1": "'-1", "＠x": "'＠x", "\t=1": "'\t=1",
		"x;=1+1": "x;'=1+1", ";;@x": ";;'@x", `x;"=1+1"`: `x;"'=1+1"`, "+1;-1": "'+1;'-1",
	} {
		if got := manage.NoFormula(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
