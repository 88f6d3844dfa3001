package boltstore

import (
	"os"
	"path/filepath"
	"testing"
)

// All paths to one file are one store, before the file is made and after.
func TestKey(t *testing.T) {
	folder, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	must(0, os.Mkdir("real", 0o700))
	for link, target := range map[string]string{
		"folder":      "real",
		"real/latest": "keys/a.db", // to a file that is still to be made
		"absolute.db": filepath.Join(folder, "real/keys/a.db"),
		"chain.db":    "folder/latest",
		"up.db":       "folder/../real/keys/a.db",
		"loop":        "loop",
	} {
		must(0, os.Symlink(target, link))
	}
	paths := []string{
		"real/keys/a.db", "./real//keys/../keys/a.db", filepath.Join(folder, "real", "keys", "a.db"),
		"folder/keys/a.db", "real/latest", "folder/latest", "absolute.db", "chain.db", "up.db",
	}
	want := "bbolt:" + filepath.Join(folder, "real", "keys", "a.db")
	wantKeys := func() {
		t.Helper()
		for _, path := range paths {
			if got, err := (File{Path: path}).Key(); err != nil || got != want {
				t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
			}
		}
		if got, err := (File{Path: "real/keys/b.db"}).Key(); err != nil || got == want {
			t.Errorf("another file: got %q, %v", got, err)
		}
		if got, err := (File{Path: "loop"}).Key(); err == nil {
			t.Errorf("a link to itself: got %q, want an error", got)
		}
	}
	wantKeys()
	if _, err := os.Stat("real/keys"); !os.IsNotExist(err) {
		t.Errorf("the key made the folder: %v", err)
	}

	s, err := (File{Path: "chain.db"}).Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat("real/keys/a.db"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("it was opened elsewhere: %v", err)
	}
	wantKeys()
}
