package importer

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// sound checks what is true of every result, whatever it was imported from:
// a site takes the table, and its text says the same.
func sound(t testing.TB, res *Result) string {
	t.Helper()
	if _, err := policy.NewTable(res.Table.Routes, "user_id", "app_id"); err != nil {
		t.Errorf("no site would take the routes: %v", err)
	}
	catalogue, err := policy.NewCatalogue(res.Table.Scopes)
	if err != nil {
		t.Fatalf("no site would take the scopes: %v", err)
	}
	for _, r := range res.Table.Routes {
		if unknown := catalogue.Unknown(r.Scopes); unknown != nil {
			t.Errorf("%s demands %q, which is not declared", r, unknown)
		}
	}
	text, err := res.Text()
	if err != nil {
		t.Fatalf("Text: %v", err)
	}
	again, err := tables.Read("imported.routes", text)
	if err != nil {
		t.Fatalf("the text can't be read: %v\n%s", err, text)
	}
	want, err := res.Table.Format()
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Format()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the text says\n%s\nand the table\n%s", got, want)
	}
	return string(text)
}

// body is the text of a table without its header.
func body(t testing.TB, res *Result) string {
	t.Helper()
	_, rest, _ := strings.Cut(sound(t, res), "\n\n")
	return strings.TrimSpace(rest)
}

// warned checks that there is exactly one warning with each of the texts, and
// no other.
func warned(t testing.TB, res *Result, texts ...string) {
	t.Helper()
	left := slices.Clone(res.Warnings)
	for _, text := range texts {
		i := slices.IndexFunc(left, func(w Warning) bool { return strings.Contains(w.String(), text) })
		if i < 0 {
			t.Errorf("no warning says %q", text)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, w := range left {
		t.Errorf("unexpected warning: %s", w)
	}
}

// folder is an import path in memory, from names and texts in turn.
func folder(files ...string) []fs.FS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return []fs.FS{m}
}
