package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// page is a page of the documentation.
type page struct{ path, text string }

// pages reads every page.
func pages(t *testing.T) (list []page) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		list = append(list, page{path, string(text)})
		return err
	})
	if err != nil || len(list) < 2 {
		t.Fatalf("%d pages: %v", len(list), err)
	}
	return list
}

var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// blocks returns the blocks of a language.
func (p page) blocks(language string) (list []string) {
	for _, m := range fence.FindAllStringSubmatch(p.text, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

// whole finds the first line of global options or of a site.
var whole = regexp.MustCompile(`(?m)^(\S+ )?\{$`)

// inSite completes a Caddyfile. One that has neither sites nor global options
// is what stands in a site's api_keys block.
func inSite(text string) string {
	if whole.MatchString(text) {
		return text
	}
	return ":80 {\n\tapi_keys {\n\t\troute GET /in_every_gate\n" + text + "\n\t}\n}\n"
}

var ownCommand = regexp.MustCompile(`(?m)caddy api-keys ([^#|>\n]+)`)

// Every command of ours in the pages exists, and so do its flags.
func TestCommandsOfPages(t *testing.T) {
	for _, p := range pages(t) {
		for _, block := range p.blocks("sh") {
			for _, m := range ownCommand.FindAllStringSubmatch(block, -1) {
				root := &cobra.Command{Use: "api-keys"}
				configure(root)
				cmd, args, err := root.Find(strings.Fields(m[1]))
				if err == nil && cmd == root {
					err = os.ErrNotExist
				}
				if err == nil {
					err = cmd.ParseFlags(args)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", p.path, m[0], err)
				}
			}
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// Every link to a place in the project leads there.
func TestLinksOfPages(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p.path), m[1])); err != nil {
				t.Errorf("%s: %v", p.path, err)
			}
		}
	}
}

// The calls of the management API's page do what the page says, on a running
// gate, one after another.
func TestCallsOfPages(t *testing.T) {
	text, err := os.ReadFile("../module/manage/README.md")
	if err != nil {
		t.Fatal(err)
	}
	term := newTerminal(t)
	d := term.start()
	defer d.interrupt(os.Interrupt)
	signIn := regexp.MustCompile(`sign in as\s+(\S+) with the password (\S+)`).FindStringSubmatch(d.text)
	if signIn == nil {
		t.Fatalf("nobody can sign in: %s", d.text)
	}
	known := map[string]string{
		"https://api.example.com": d.where("gate"), "alice@example.com": signIn[1],
		`"password": "…"`: `"password": "` + signIn[2] + `"`,
	}
	calls := 0
	for _, block := range (page{text: string(text)}).blocks("sh") {
		for line := range strings.Lines(block) {
			for from, to := range known {
				line = strings.ReplaceAll(line, from, to)
			}
			out, err := term.command("bash", "-c", strings.Replace(line, "curl ", "curl --silent --noproxy '*' ", 1)).Output()
			if err != nil || !strings.Contains(string(out), `"code":10000`) {
				t.Fatalf("%s: %v: %s", line, err, out)
			}
			if m := regexp.MustCompile(`"session_token":"([^"]+)"`).FindSubmatch(out); m != nil {
				known["$SESSION"] = string(m[1])
			}
			if m := regexp.MustCompile(`"key_id":"([^"]+)"`).FindSubmatch(out); m != nil {
				known["cak_4fQ…"], known["cap_7Jw…"] = string(m[1]), string(m[1])
			}
			calls++
		}
	}
	if calls < 5 {
		t.Errorf("%d calls were found, want 5 or more", calls)
	}
}
