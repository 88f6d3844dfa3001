package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Rotating a key whose successor is refused says so.
func TestRotateWarnsOfADisabledKey(t *testing.T) {
	shells(t, func(t *testing.T, s *shell) {
		s.must("", "user", "create", "alice")
		key := s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict").Keys[0]
		s.must("", "key", "disable", key.KeyID)
		r := s.run("", "key", "rotate", key.KeyID, "--grace", "2d")
		if r.err != nil {
			t.Fatal(r.err)
		}
		contains(t, r.errOut, "disabled", "enable it")
		contains(t, r.out, "works until")

		key = s.answer("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict", "--expires-in", "30d").Keys[0]
		next := s.answer("", "key", "rotate", key.KeyID, "--expires-in", "60d").Key
		if days := next.ExpiresAt.Sub(next.CreatedAt).Hours() / 24; days < 59 || days > 60 {
			t.Errorf("the new key expires after %.1f days, want 60", days)
		}
		r = s.run("", "key", "rotate", next.KeyID, "--expires-in", "-1h")
		if r.err == nil || !strings.Contains(r.errOut, "--expires-in takes a time from now on") {
			t.Errorf("got %v %s", r.err, r.errOut)
		}
	})
}

// A key that nobody can use is made, and its maker is told.
func TestCreateWarnsOfAUselessKey(t *testing.T) {
	folder := t.TempDir()
	config := filepath.Join(folder, "Caddyfile")
	err := os.WriteFile(config, []byte("http://localhost:8080 {\n\tapi_keys {\n\t\tscope Search\n\t\troute GET /models Predict\n\t\tscope Predict\n\t}\n}\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	s := &shell{t: t, where: []string{"--db", filepath.Join(folder, "keys.db"), "--config", config}}
	s.must("", "user", "create", "alice")
	r := s.run("", "key", "create", "--user", "alice", "--pat", "--scopes", "Search")
	contains(t, r.errOut, "can call nothing")
	contains(t, r.out, "Created personal access token")
	if r := s.run("", "key", "create", "--user", "alice", "--pat", "--scopes", "Predict"); strings.Contains(r.errOut, "can call nothing") {
		t.Errorf("of a key that can call the route: %s", r.errOut)
	}
}

// A configuration without an admin endpoint doesn't lead to another Caddy.
func TestConfigurationWithoutAdminEndpoint(t *testing.T) {
	config := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(config, []byte("{\n\tadmin off\n}\nlocalhost {\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", "user", "list", "--config", config, "--adapter", "caddyfile")
	if r.err == nil {
		t.Fatal("users were listed")
	}
	contains(t, r.err.Error(), config, "admin off", "--db FILE")
}

func TestAddressThatIsAURL(t *testing.T) {
	r := run(t, "", "user", "list", "--address", "http://localhost:2019/")
	if r.err == nil {
		t.Fatal("users were listed")
	}
	contains(t, r.errOut, "is a URL", "such as localhost:2019\n")
}

func TestDemoHelp(t *testing.T) {
	r := run(t, "", "demo", "--help")
	contains(t, r.out, "--listen", "--data")
	for _, flag := range refusedByDemo {
		if strings.Contains(r.out, "--"+flag) {
			t.Errorf("the help of the demo has --%s, which it refuses:\n%s", flag, r.out)
		}
	}
	if r := run(t, "", "demo", "--db", "x"); r.err == nil || !strings.Contains(r.errOut, "takes no --db") {
		t.Errorf("got %v %s", r.err, r.errOut)
	}
}

// At a terminal, deleting asks first; elsewhere, and with --yes, it doesn't.
func TestDeletingAsksAtATerminal(t *testing.T) {
	db := filepath.Join(t.TempDir(), "keys.db")
	s := &shell{t: t, where: []string{"--db", db}}
	for _, c := range []struct {
		typed   string
		more    []string
		asked   bool
		deleted bool
	}{
		{"yes\n", nil, true, true},
		{"y\n", nil, true, false},
		{"\n", nil, true, false},
		{"", []string{"--yes"}, false, true},
	} {
		for _, command := range [][]string{{"user", "delete", "alice"}, {"app", "delete", "shop", "--user", "bob"}} {
			t.Run(fmt.Sprint(command, c.typed, c.more), func(t *testing.T) {
				s.t = t
				for _, user := range []string{"alice", "bob"} {
					s.run("", "user", "create", user)
				}
				s.run("", "app", "create", "shop", "--user", "bob")
				errOut, err := atTerminal(t, c.typed, append(append(command, c.more...), "--db", db)...)
				if asked := strings.Contains(errOut, "Type yes to continue"); asked != c.asked {
					t.Errorf("asked: %v, want %v: %s", asked, c.asked, errOut)
				}
				if deleted := err == nil; deleted != c.deleted {
					t.Errorf("deleted: %v, want %v: %v", deleted, c.deleted, err)
				}
				if err != nil && !strings.Contains(err.Error(), "nothing was deleted") {
					t.Error(err)
				}
			})
		}
		// A user ID is never used again.
		db = filepath.Join(t.TempDir(), "keys.db")
		s.where = []string{"--db", db}
	}
	s.t = t
	s.must("", "user", "create", "zoe")
	s.must("", "user", "delete", "zoe") // its input is no terminal
	if list := s.answer("", "user", "list").Users; len(list) != 0 {
		t.Errorf("left are %+v", list)
	}
}

// atTerminal runs a command with a terminal as its input, at which something is
// typed, and returns what it printed to standard error.
func atTerminal(t *testing.T, typed string, args ...string) (string, error) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer keyboard.Close()
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if _, err := keyboard.WriteString(typed); err != nil {
		t.Fatal(err)
	}
	root := newRoot()
	root.SilenceErrors = true
	var errOut strings.Builder
	root.SetIn(terminal)
	root.SetOut(new(strings.Builder))
	root.SetErr(&errOut)
	root.SetArgs(append([]string{"api-keys"}, args...))
	err = root.Execute()
	return errOut.String(), err
}
