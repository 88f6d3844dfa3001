//go:build linux

package boltstore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// While the disk fails, nothing is read and nothing is written, however often
// the store is opened again.
func TestRefusesWhileTheDiskFails(t *testing.T) {
	for name, inject := range map[string][]string{
		"syncs fail":          failing("fdatasync,fsync:error=EIO"),
		"writes fail":         failing("pwrite64:error=EIO"),
		"it is full":          failing("pwrite64,ftruncate:error=ENOSPC"),
		"it can only be read": failing("pwrite64,ftruncate,fdatasync,fsync:error=EROFS"),
	} {
		t.Run(name, func(t *testing.T) {
			path, want := newPath(t), newReference(t)
			const before = 5
			if !startChanger(t, path, 0, before, goesOn).wait() {
				t.Fatal("it didn't end")
			}
			machine.Program(t, "strace")
			run := holdChanger(t, path, before, before+1, looks)
			run.trace(logOf(t), append([]string{"-e", "trace=" + recorded}, inject...)...)
			if !run.wait() || run.told["refused"] != 1 {
				t.Fatalf("it told %q: %s", run.last, run.errOut.String())
			}
			if run.next != before {
				t.Error("it acknowledged what it could not write")
			}
			want.look(t, path, before)
		})
	}
}

// A disk that is full, and then has room again.
func TestFullDisk(t *testing.T) {
	onOwnDisk(t, func(folder string) {
		path, ballast := filepath.Join(folder, "keys.db"), filepath.Join(folder, "ballast")
		const end = 2*inGroup + 1
		run := holdChanger(t, path, 0, end, goesOn)
		if err := fill(ballast); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("filling the disk: %v", err)
		}
		if err := run.hold.Close(); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if !run.listen("failed") {
				t.Fatalf("no change failed: %s", run.errOut.String())
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if !run.wait() || run.next != end {
			t.Fatalf("with room again it told %q: %s", run.last, run.errOut.String())
		}
		newReference(t).look(t, path, end)
	})
}

func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return err
		}
	}
}

// A disk that can only be read is said to be so, and left as it is.
func TestReadOnlyDisk(t *testing.T) {
	onOwnDisk(t, func(folder string) {
		path := filepath.Join(folder, "keys.db")
		run := startChanger(t, path, 0, 5, goesOn)
		if !run.wait() {
			t.Fatalf("it didn't end: %s", run.errOut.String())
		}
		if err := syscall.Mount("", folder, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		if s, err := Open(path); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
			if err == nil {
				_ = s.Close()
			}
			t.Errorf("opened with %v", err)
		}
		if err := syscall.Mount("", folder, "", syscall.MS_REMOUNT, ""); err != nil {
			t.Fatal(err)
		}
		newReference(t).look(t, path, run.next)
	})
}

// onDisk makes the test binary run a test in a place where it may mount.
const onDisk = "CADDY_API_KEYS_TEST_ON_OWN_DISK"

// onOwnDisk runs a test in a folder that is a small disk of its own, which
// nobody else sees: in a process with its own mounts. Linux allows that root
// everywhere, and others where it allows them user namespaces.
func onOwnDisk(t *testing.T, test func(folder string)) {
	t.Helper()
	if os.Getenv(onDisk) != "" {
		folder := t.TempDir()
		if err := errors.Join(
			syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
			syscall.Mount("keys", folder, "tmpfs", 0, "size=1m"),
		); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Unmount(folder, 0); err != nil {
				t.Error(err)
			}
		})
		test(folder)
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), onDisk+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func failing(injections ...string) (args []string) {
	for _, inject := range injections {
		args = append(args, "-e", "inject="+inject)
	}
	return args
}
