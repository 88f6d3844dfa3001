package manage_test

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// bodies are bodies of about a size that would cost a reader the most.
func bodies(size int) map[string]string {
	fill := func(before, unit, after string) string {
		return before + strings.TrimSuffix(strings.Repeat(unit, (size-len(before)-len(after))/len(unit)), ",") + after
	}
	numbered := func(before, after string) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < size-len(after)-12; i++ {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + strings.Repeat("x", i%3) + string(rune('a'+i%26)) + itoa(i) + `":0`)
		}
		return b.String() + after
	}
	return map[string]string{
		"many fields":              numbered(`{`, `}`),
		"one field many times":     fill(`{`, `"a":0,`, `}`),
		"many fields of a key":     numbered(`{"keys":[{`, `}]}`),
		"deep lists":               fill(`{"keys":`, `[`, ``),
		"deep objects":             fill(`{"keys":`, `{"a":`, ``),
		"deep, then wide":          strings.Repeat(`{"keys":[`, 20) + fill(``, `{"":0},`, ``) + strings.Repeat(`]}`, 20),
		"many keys":                fill(`{"keys":[`, `{},`, `]}`),
		"many numbers":             fill(`{"keys":[`, `0,`, `]}`),
		"many scopes":              fill(`{"keys":[{"type":"personal_access_token","scopes":[`, `"",`, `]}]}`),
		"many scopes, all other":   `{"keys":[{"type":"personal_access_token","scopes":[` + strings.TrimSuffix(strings.TrimPrefix(strings.ReplaceAll(numbered(`{`, `}`), `:0`, ``), `{`), `}`) + `]}]}`,
		"a long name":              fill(`{"`, `x`, `":0}`),
		"a long text":              fill(`{"keys":[{"description":"`, `x`, `"}]}`),
		"escapes":                  fill(`{"keys":[{"description":"`, `\u0041`, `"}]}`),
		"a long number":            fill(`{"keys":[{"expires_at":`, `1`, `}]}`),
		"white space":              fill(`{"keys":[`, ` `, `{}]}`),
		"many ids":                 fill(`{"ids":[`, `"a",`, `]}`),
		"many endpoints":           fill(`{"keys":[{"type":"personal_access_token","scopes":[],"endpoints":[`, `"/a.B/C",`, `]}]}`),
		"many credentials to find": fill(`{"credentials":[`, `"x",`, `]}`),
	}
}

func itoa(n int) string {
	digits := []byte{}
	for ; n > 0; n /= 10 {
		digits = append(digits, byte('0'+n%10))
	}
	return string(digits)
}

// A body costs no more than reading it: what a call has no use for is not
// allocated piece by piece.
func TestBodiesCostLittle(t *testing.T) {
	s := newService(t)
	s.alice()
	for name, body := range bodies(manage.DefaultMaxBody) {
		for _, path := range []string{"/v2/users/alice/keys", "/v2/users/alice/keys/revoke"} {
			const most = 25_000 // a thousand keys are read field by field
			if n := testing.AllocsPerRun(1, func() { s.call("POST", path, body) }); n > most {
				t.Errorf("%s: %s allocates %.0f times, want at most %d", name, path, n, most)
			}
		}
	}
}

// The cost of the largest bodies of any shape.
func BenchmarkBodies(b *testing.B) {
	s := newService(b)
	s.alice()
	for name, body := range bodies(manage.DefaultMaxBody) {
		for _, path := range []string{"/v2/users/alice/keys", "/v2/users/alice/keys/revoke"} {
			method := "POST"
			b.Run(name+path, func(b *testing.B) {
				for b.Loop() {
					s.call(method, path, body)
				}
			})
		}
	}
}
