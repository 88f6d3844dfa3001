package machine

import (
	"os"
	"path/filepath"
	"testing"
)

// Root returns the folder of the project: that of the go.mod above the folder
// that the test runs in.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			tb.Fatal("no go.mod above the folder that the test runs in")
		}
		dir = above
	}
}
