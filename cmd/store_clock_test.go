package cmd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A store whose newest write is a year old, or of 2031, names the way out, and
// takes it.
func TestAcceptClock(t *testing.T) {
	for name, c := range map[string]struct {
		newest  time.Time
		refused []string
	}{
		"off for a year": {time.Now().AddDate(-1, 0, 0), []string{"user", "create", "bob"}},
		"a write of the year after next": {time.Now().AddDate(2, 0, 0),
			[]string{"key", "rotate", "KEY", "--grace", "1h"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.db")
			offline := &shell{t: t, where: []string{"--db", path}}
			offline.must("", "user", "create", "alice")
			key := offline.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict").Keys[0]
			s, err := boltstore.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Update(t.Context(), func(w keys.Writer) error { w.ResetClock(c.newest); return nil }); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			args := append([]string{}, c.refused...)
			for i, arg := range args {
				if arg == "KEY" {
					args[i] = key.KeyID
				}
			}
			args = append(args, "--db", path)
			if r := run(t, "", args...); r.err == nil || !strings.Contains(r.err.Error(), "caddy api-keys store clock --accept") {
				t.Errorf("it ended with %v", r.err)
			}
			if r := run(t, "", "store", "clock", "--db", path); r.err == nil || r.err.Error() != "exiting with status 2" {
				t.Errorf("without --accept it ended with %v", r.err)
			}
			contains(t, offline.must("", "store", "clock", "--accept"), "The newest write was dated "+c.newest.Format("2006"))
			if r := run(t, "", args...); r.err != nil {
				t.Errorf("afterwards it ended with %v", r.err)
			}
			contains(t, offline.must("", "store", "check"), "is good")
		})
	}
}
