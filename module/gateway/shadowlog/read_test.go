package shadowlog_test

import (
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gateway/shadowlog"
)

// Lines of a log that are no decisions are counted, however they come.
func TestReadDecisions(t *testing.T) {
	line := `{"level":"info","logger":"http.handlers.api_keys","msg":"decided in shadow mode","decision":"allow","key_id":"cak_1","scopes":["A"]}`
	for name, tt := range map[string]struct {
		log            string
		taken, skipped int
	}{
		"nothing":               {"", 0, 0},
		"one":                   {line, 1, 0},
		"blank lines":           {"\n\n" + line + "\n\r\n", 1, 0},
		"others":                {"hello\n{}\n[]\n" + line + "\n" + line, 2, 3},
		"another logger":        {strings.Replace(line, "http.handlers.api_keys", "http.log.access", 1), 0, 1},
		"another message":       {strings.Replace(line, `"msg":"decided`, `"msg":"was decided`, 1), 0, 1},
		"another type":          {strings.Replace(line, `["A"]`, `"A"`, 1), 0, 1},
		"cut off":               {line[:len(line)-3] + "\n" + line, 1, 1},
		"a line that is long":   {strings.Repeat("x", 3<<20) + "\n" + line, 1, 1},
		"a long one, cut off":   {line + "\n" + strings.Repeat("x", 3<<20), 1, 1},
		"a long line of blanks": {strings.Repeat(" ", 3<<20) + line, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			taken := 0
			skipped, err := shadowlog.Read(strings.NewReader(tt.log), func(*shadowlog.Decision) { taken++ })
			if err != nil || taken != tt.taken || skipped != tt.skipped {
				t.Errorf("took %d and passed over %d, %v; want %d and %d", taken, skipped, err, tt.taken, tt.skipped)
			}
		})
	}
}

func FuzzReadDecisions(f *testing.F) {
	f.Add(`{"logger":"http.handlers.api_keys","msg":"decided in shadow mode","decision":"allow"}` + "\nx")
	f.Fuzz(func(t *testing.T, log string) {
		lines := strings.Count(log, "\n") + 1
		taken := 0
		skipped, err := shadowlog.Read(strings.NewReader(log), func(*shadowlog.Decision) { taken++ })
		if err != nil || taken+skipped > lines {
			t.Errorf("took %d and passed over %d of %d lines, %v", taken, skipped, lines, err)
		}
	})
}
