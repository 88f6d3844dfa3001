//go:build linux

package etcdtest

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// buildTime bounds how long etcd is built.
const buildTime = 15 * time.Minute

// Binary returns the path of an etcd of the version in testdata/etcd. It builds
// etcd if no test has done so yet. If it can't, the test can't run.
func Binary(tb testing.TB) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), buildTime)
	defer cancel()
	build := exec.CommandContext(ctx, filepath.Join(machine.Root(tb), "testdata", "etcd", "build")) //nolint:gosec // the project's own script
	var stderr bytes.Buffer
	build.Stderr = &stderr
	path, err := build.Output()
	if err != nil {
		machine.Missing(tb, "building etcd needs the network once: %v\n%s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(path))
}
