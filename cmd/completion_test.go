package cmd

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
)

// offeredTo is what a shell is offered after words, of which the last is being
// typed. It fails where anything else is printed to it.
func offeredTo(t *testing.T, words ...string) []string {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(new(bytes.Buffer))
	root.SetArgs(append([]string{cobra.ShellCompRequestCmd, "api-keys"}, words...))
	if err := root.Execute(); err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, ":") || last == ":1" {
		t.Errorf("%v ends with %s", words, last)
	}
	var list []string
	for _, line := range lines[:len(lines)-1] {
		id, _, _ := strings.Cut(line, "\t")
		list = append(list, id)
	}
	return list
}

func TestCompletion(t *testing.T) {
	address := adminEndpoint(t)
	s := &shell{t: t, where: []string{"--address", address}}
	s.must("", "user", "create", "alice", "--name", "Alice\u00a0A.")
	s.must("", "user", "create", "bob")
	key := s.answer("", "app", "create", "photos", "--user", "alice").Keys[0]
	s.must("", "app", "create", "maps", "--user", "bob")
	bobs := s.answer("", "key", "create", "--user", "bob", "--pat", "--scopes", "All").Keys[0]
	for _, c := range []struct {
		name  string
		words []string
		want  []string
	}{
		{"commands", []string{"key", "rev"}, []string{"revoke"}},
		{"users", []string{"user", "delete", ""}, []string{"alice", "bob"}},
		{"users, begun", []string{"user", "delete", "b"}, []string{"bob"}},
		{"users, one is there", []string{"user", "delete", "bob", ""}, []string{"alice"}},
		{"user of a flag", []string{"app", "list", "--user", ""}, []string{"alice", "bob"}},
		{"apps", []string{"app", "delete", "--user", "alice", ""}, []string{"photos"}},
		{"app of a flag", []string{"key", "list", "--user", "alice", "--app", ""}, []string{"photos"}},
		{"apps of nobody", []string{"key", "list", "--app", ""}, nil},
		{"scopes", []string{"key", "create", "--user", "alice", "--scopes", ""}, []string{"All", "Models:Get", "Predict"}},
		{"second scope", []string{"key", "create", "--user", "alice", "--scopes", "Predict,"}, []string{"Predict,All", "Predict,Models:Get"}},
		{"endpoints", []string{"key", "create", "--user", "alice", "--endpoints", "/a"}, []string{"/a.B/C"}},
		{"keys", []string{"key", "rotate", "cap"}, []string{bobs.KeyID}},
		{"key of a user", []string{"key", "revoke", "--user", "alice", "--minted-by", ""}, []string{key.KeyID}},
		{"plans", []string{"key", "update", "x", "--plan", ""}, []string{"free", "half"}},
		{"plan of a user", []string{"user", "update", "alice", "--plan", "h"}, []string{"half"}},
		{"keys to update", []string{"key", "update", "cap"}, []string{bobs.KeyID}},
		{"output", []string{"user", "list", "-o", ""}, []string{"text", "json"}},
		{"nothing", []string{"user", "create", ""}, nil},
		{"no files", []string{"key", "rotate", "x", "--grace", ""}, nil},
		{"no files either", []string{"key", "update", "x", "--from", ""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			words := append([]string{c.words[0], "--address", address}, c.words[1:]...)
			if got := offeredTo(t, words...); !slices.Equal(got, c.want) {
				t.Errorf("offered %v, want %v", got, c.want)
			}
		})
	}
}

// A shell is told nothing of what went wrong.
func TestCompletionWithoutAnswer(t *testing.T) {
	address := machine.FreeAddress(t)
	none := filepath.Join(t.TempDir(), "none")
	for _, where := range [][]string{{"--address", address}, {"--address", "%%"}, {"--config", none}, {"--db", none}} {
		for _, words := range [][]string{
			{"user", "delete", ""}, {"key", "rotate", ""}, {"app", "delete", "--user", "alice", ""}, {"key", "create", "--user", "alice", "--scopes", ""},
		} {
			if got := offeredTo(t, slices.Concat(words[:1], where, words[1:])...); len(got) != 0 {
				t.Errorf("%v %v: offered %v", where, words, got)
			}
		}
	}
}
