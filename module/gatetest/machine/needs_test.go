package machine

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// recorder records how a test would have ended. It goes on after that, so only
// what it was told first counts.
type recorder struct {
	testing.TB
	ended string
}

func (r *recorder) Fatal(args ...any) { r.end("failed: ", args) }
func (r *recorder) Skip(args ...any)  { r.end("skipped: ", args) }

func (r *recorder) end(how string, args []any) {
	if r.ended == "" {
		r.ended = how + fmt.Sprint(args...)
	}
}

func TestMissingProgram(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed: ", "": "skipped: "} {
		t.Setenv("CI", ci)
		r := &recorder{TB: t}
		Program(r, "a-program-that-nobody-has", "nor-this-one")
		if !strings.HasPrefix(r.ended, want+"a-program-that-nobody-has is not installed; ") {
			t.Errorf("with CI=%q the test %q, want %q", ci, r.ended, want)
		}
	}
}

func TestProgram(t *testing.T) {
	r := &recorder{TB: t}
	path := Program(r, "a-program-that-nobody-has", "go")
	if r.ended != "" || !strings.HasPrefix(filepath.Base(path), "go") {
		t.Errorf("go is %q, and the test %q", path, r.ended)
	}
}
