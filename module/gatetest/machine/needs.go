package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// howTo ends every message about something that is missing.
const howTo = "bash .ci/test installs what the tests need and runs them"

// Program returns the path of the first of the programs that is installed.
// If none is, the test can't run.
func Program(tb testing.TB, names ...string) string {
	tb.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(tb, "%s is not installed", names[0])
	return ""
}

// NPMModules returns the folder of the npm modules that the lock file in dir names.
// It installs them first if they are missing or older than that file.
func NPMModules(tb testing.TB, dir string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Minute)
	defer cancel()
	defer alone(ctx, tb)()
	modules := filepath.Join(dir, "node_modules")
	lock, err := os.Stat(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		tb.Fatal(err)
	}
	// npm writes this file last, so an interrupted installation lacks it.
	installed, err := os.Stat(filepath.Join(modules, ".package-lock.json"))
	if err == nil && !installed.ModTime().Before(lock.ModTime()) {
		return modules
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	Program(tb, "npm")
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		Missing(tb, "npm ci in %s needs the network once: %v\n%s", dir, err, out)
	}
	return modules
}

// installing is the address that a process listens on while it installs, so that
// the tests of two packages don't install the same modules at the same time.
const installing = "127.0.0.1:19999"

// alone waits until no other process installs, and holds others off until done
// is called.
func alone(ctx context.Context, tb testing.TB) (done func()) {
	tb.Helper()
	var lc net.ListenConfig
	for {
		if guard, err := lc.Listen(ctx, "tcp", installing); err == nil {
			return func() { _ = guard.Close() }
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatalf("another process still installs npm modules, or listens on %s: %v", installing, ctx.Err())
		}
	}
}

// Missing ends a test that can't run here, and says what to install. It skips the
// test, or fails it where CI is true, because a skipped test is not a passed one.
func Missing(tb testing.TB, format string, args ...any) {
	tb.Helper()
	text := fmt.Sprintf(format, args...) + "; " + howTo
	if os.Getenv("CI") == "true" {
		tb.Fatal(text)
	}
	tb.Skip(text)
}
