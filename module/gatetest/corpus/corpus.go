// Package corpus reads the attacks of testdata/attacks, whose README explains the
// format, and has what their tests share: a writer of requests, and an upstream
// that reads them to the letter.
package corpus

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// Corpus is the attacks and the sites that they are sent to.
type Corpus struct {
	// Sites are the names of the sites, which are snippets in Caddyfile.
	Sites     []string
	Caddyfile string
	Cases     []*Case
}

var siteName = regexp.MustCompile(`(?m)^\((\w+)\) \{$`)

// Read reads the corpus.
func Read(tb testing.TB) *Corpus {
	tb.Helper()
	folder := filepath.Join(machine.Root(tb), "testdata", "attacks")
	snippets, err := os.ReadFile(filepath.Join(folder, "sites.caddyfile"))
	if err != nil {
		tb.Fatal(err)
	}
	c := &Corpus{Caddyfile: string(snippets)}
	for _, found := range siteName.FindAllStringSubmatch(c.Caddyfile, -1) {
		if name := found[1]; name != "routes" { // which the sites import
			c.Sites = append(c.Sites, name)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("no attacks in %s: %v", folder, err)
	}
	places := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		cases, err := Parse(filepath.Base(file), string(text), c.Sites)
		if err != nil {
			tb.Fatal(err)
		}
		for _, a := range cases {
			if other := places[a.Name]; other != "" {
				tb.Fatalf("%s: %s has a case of this name too", a.Place, other)
			}
			places[a.Name] = a.Place
		}
		c.Cases = append(c.Cases, cases...)
	}
	return c
}
