package management

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/signin"
)

const portalRoutes = `
	scope Inputs:Get "Read inputs"
	scope Inputs:Add "Write inputs" {
		needs Inputs:Get
	}
	scope Inputs:Delete "Delete inputs" {
		needs Inputs:Add Inputs:Get
	}
	scope Models:Get "Read models"
	scope Predict "Ask models" {
		needs Models:Get
	}
	scope Secret:Get {
		hidden
	}
	route GET /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Get {
		endpoint /clarifai.api.V2/ListInputs
	}
	route POST /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Add Inputs:Get {
		endpoint /clarifai.api.V2/PostInputs
	}
	route DELETE /v2/users/{user_id}/apps/{app_id}/inputs Inputs:Delete
	route POST /v2/users/{user_id}/apps/{app_id}/models/{model_id}/outputs Predict Models:Get
`

// portalTasks are the scripts of testdata/portal, with the tasks of each.
var portalTasks = []struct {
	script string
	tasks  []string
}{
	{"portal.mjs", []string{"wide", "phone", "plain", "plain-phone", "tokens", "collaborators", "account", "keyboard", "attempts"}},
	{"signin.mjs", []string{"factor", "factor-plain-phone", "reset", "reset-plain"}},
	{"lists.mjs", []string{"all-keys", "all-keys-plain", "all-keys-phone", "leaked", "leaked-plain", "rotation", "leave"}},
	{"words.mjs", []string{"choosing", "choosing-plain", "asking", "asking-plain"}},
	{"zoom.mjs", []string{"zoom", "forced-colors"}},
	{"tabs.mjs", []string{"another-tab", "another-tab-plain-phone"}},
	{"operator.mjs", []string{"operator", "operator-dark", "operator-phone", "operator-plain-phone", "no-plans"}},
}

// The tasks of the portal in Chromium: every page, wide and on a phone, with
// and without JavaScript, by keyboard only, and what an attacker would try. Set
// PICTURES to a folder to get screenshots there.
func TestPortal(t *testing.T) {
	dir, err := filepath.Abs("../../../testdata/portal")
	if err != nil {
		t.Fatal(err)
	}
	machine.NPMModules(t, dir)
	node, browser := machine.Program(t, "node"), machine.Program(t, "chromium", "chromium-browser", "google-chrome")
	for _, of := range portalTasks {
		for _, task := range of.tasks {
			t.Run(task, func(t *testing.T) { runPortalTask(t, dir, node, browser, of.script, task) })
		}
	}
}

// One round through the portal in Firefox, by keyboard.
func TestPortalInFirefox(t *testing.T) {
	dir, err := filepath.Abs("../../../testdata/portal")
	if err != nil {
		t.Fatal(err)
	}
	machine.NPMModules(t, dir)
	runPortalTask(t, dir, machine.Program(t, "node"), machine.Program(t, "firefox-esr", "firefox"), "firefox.mjs", "firefox")
}

func runPortalTask(t *testing.T, dir, node, browser, script, task string) {
	t.Helper()
	routes := portalRoutes
	if script == "words.mjs" {
		routes = "include clarifai"
	}
	m := startManagedWith(t, routes, "api_keys_manage {\nportal /portal\n}")
	if script == "operator.mjs" && task != "no-plans" {
		m.plan(routes, "plan default {\nquota 1000/day\n}\nplan pro {\nrate 100/s burst 200\nquota 1000000/month\nconcurrent 50\naddresses 127.0.0.0/8 ::1\n}\n")
	}
	const (
		password  = "correct horse battery staple"
		resetLink = "alice.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	)
	hash, err := signin.HashPassword(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	m.Update(func(tx *keys.Tx) error {
		for _, id := range []string{"alice", "bob"} {
			if _, err := tx.ChangeUser(id, func(u *keys.User) error { u.PasswordHash = hash; return nil }); err != nil {
				return err
			}
		}
		reset := keys.PasswordReset{Digest: credential.DigestOf(resetLink), Until: tx.Now().Add(time.Hour)}
		if err := tx.AllowReset("alice", reset); err != nil {
			return err
		}
		_, err := tx.CreateUser(keys.User{ID: "olga", Email: "olga@example.com", PasswordHash: hash, Operator: true})
		return err
	})
	m.browse(dir, node, browser, script, task,
		"OTHER_EMAIL=bob@example.com", "OTHER_ID=bob", "OPERATOR_EMAIL=olga@example.com", "PASSWORD="+password, "RESET_CODE="+resetLink)
}

// browse runs a task of a script in a browser. environment is what the task has
// to know of the site, beside its address and alice's.
func (m *managed) browse(dir, node, browser, script, task string, environment ...string) {
	m.T.Helper()
	_, port, err := net.SplitHostPort(m.Addr)
	if err != nil {
		m.T.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(m.T.Context(), 5*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, node, script, task)
	run.Dir = dir
	run.WaitDelay = 10 * time.Second // for a browser that outlives the script
	run.Env = append(os.Environ(), "BASE=http://localhost:"+port, "CHROMIUM="+browser, "FIREFOX="+browser, "EMAIL=alice@example.com")
	run.Env = append(run.Env, environment...)
	if out, err := run.CombinedOutput(); err != nil {
		m.T.Fatalf("%v\n%s", err, out)
	}
}
