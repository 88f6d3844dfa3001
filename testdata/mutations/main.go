// Command mutations shows that the tests would notice if a guard of the
// protocol by which revocations take effect were missing.
//
// Each file *.mutation beside it takes one away:
//
//	# Why a mistake like this one lets somebody pass.
//	caught by ./module/keys TestOne TestOther
//	in module/keys
//	- a line of the source
//	+ what stands there instead
//
// In a scratch copy of the repository the lines are replaced, the tests are
// run, and each of them has to fail. Lines are compared without what they are
// indented by. They must stand in one place of the folder's files, without its
// tests: a mutation that applies no longer, or in two places, is an error. So
// is one that doesn't compile, and a test that fails without any mutation.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(names []string) error {
	mutations, err := readAll("testdata/mutations", names)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutations-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	if err := copyTo(scratch); err != nil {
		return err
	}
	first := time.Now()
	if err := baseline(scratch, mutations); err != nil {
		return err
	}
	fmt.Printf("without a mutation the tests pass (%s)\n", since(first))
	survived := 0
	for _, m := range mutations {
		begun := time.Now()
		missed, err := m.try(scratch)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		if len(missed) > 0 {
			survived++
			fmt.Printf("SURVIVED %s: not noticed by %s (%s)\n", m.name, strings.Join(missed, ", "), since(begun))
			continue
		}
		fmt.Printf("caught   %s: by %s (%s)\n", m.name, m.tests(), since(begun))
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d mutations survived: the tests named would not notice if the guard were missing", survived, len(mutations))
	}
	fmt.Printf("%d mutations, all caught (%s)\n", len(mutations), since(first))
	return nil
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }

// mutation is what one file says.
type mutation struct {
	name   string
	caught []target
	edits  []edit
}

// target is tests of a package.
type target struct {
	pkg   string
	names []string
}

// edit replaces lines in a folder.
type edit struct {
	folder   string
	old, new []string
}

func (m *mutation) tests() string {
	var all []string
	for _, t := range m.caught {
		for _, n := range t.names {
			all = append(all, filepath.Base(t.pkg)+"."+n)
		}
	}
	return strings.Join(all, ", ")
}

func readAll(folder string, names []string) (all []*mutation, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.mutation"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".mutation")
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := parse(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, m)
	}
	if len(all) == 0 || len(names) > 0 && len(all) != len(names) {
		return nil, fmt.Errorf("no such mutation: %q; leave the names out to run all", names)
	}
	return all, nil
}

func parse(name, text string) (*mutation, error) {
	m := &mutation{name: name}
	folder := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		words := strings.Fields(line)
		switch {
		case line == "" || line[0] == '#':
		case strings.HasPrefix(line, "caught by ") && len(words) > 3:
			m.caught = append(m.caught, target{words[2], words[3:]})
		case words[0] == "in" && len(words) == 2:
			folder = words[1]
			m.edits = append(m.edits, edit{folder: folder})
		case line[0] == '-' && folder != "":
			if last := &m.edits[len(m.edits)-1]; len(last.new) > 0 {
				m.edits = append(m.edits, edit{folder: folder})
			}
			last := &m.edits[len(m.edits)-1]
			last.old = append(last.old, strings.TrimSpace(line[1:]))
		case line[0] == '+' && folder != "" && len(m.edits[len(m.edits)-1].old) > 0:
			last := &m.edits[len(m.edits)-1]
			last.new = append(last.new, strings.TrimSpace(line[1:]))
		default:
			return nil, fmt.Errorf("what is %q?", line)
		}
	}
	if len(m.caught) == 0 || len(m.edits) == 0 {
		return nil, errors.New("it needs a line \"caught by\" with a package and tests, and a line \"in\" with a folder and lines to replace")
	}
	for _, e := range m.edits {
		if len(e.old) == 0 || len(e.new) == 0 {
			return nil, errors.New("each edit needs lines with - and lines with +")
		}
	}
	return m, nil
}

// copyTo copies what git would: what is there and not ignored.
func copyTo(scratch string) error {
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not yet committed so
		}
		if err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		to := filepath.Join(scratch, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// baseline runs all tests that mutations name, which have to pass.
func baseline(scratch string, mutations []*mutation) error {
	byPackage := map[string][]string{}
	for _, m := range mutations {
		for _, t := range m.caught {
			byPackage[t.pkg] = append(byPackage[t.pkg], t.names...)
		}
	}
	for pkg, names := range byPackage {
		slices.Sort(names)
		names = slices.Compact(names)
		failed, passed, out, err := test(scratch, target{pkg, names})
		if err != nil {
			return err
		}
		if len(failed) > 0 || len(passed) != len(names) {
			return fmt.Errorf("without a mutation, of %q only %q pass:\n%s", names, passed, out)
		}
	}
	return nil
}

// try applies the mutation, and returns the tests that did not fail.
func (m *mutation) try(scratch string) (missed []string, err error) {
	for _, e := range m.edits {
		file, text, err := e.apply(scratch)
		if err != nil {
			return nil, err
		}
		before, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.WriteFile(file, before, 0o600)) }()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	for _, t := range m.caught {
		failed, _, out, err := test(scratch, t)
		if err != nil {
			return nil, err
		}
		for _, n := range t.names {
			if !slices.Contains(failed, n) {
				missed = append(missed, n)
			}
		}
		if len(failed) == 0 && !strings.Contains(out, "\nok ") && !strings.HasPrefix(out, "ok ") && !strings.Contains(out, "--- PASS") {
			return nil, fmt.Errorf("the tests neither failed nor passed:\n%s", out)
		}
	}
	return missed, nil
}

// apply finds the one place of the edit.
func (e *edit) apply(scratch string) (file, text string, err error) {
	files, err := filepath.Glob(filepath.Join(scratch, e.folder, "*.go"))
	if err != nil {
		return "", "", err
	}
	places := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		source, err := os.ReadFile(f)
		if err != nil {
			return "", "", err
		}
		lines := strings.Split(string(source), "\n")
		for i := 0; i+len(e.old) <= len(lines); i++ {
			if e.at(lines[i:]) {
				places++
				file = f
				text = strings.Join(slices.Concat(lines[:i], e.new, lines[i+len(e.old):]), "\n")
			}
		}
	}
	if places != 1 {
		return "", "", fmt.Errorf("in %s these lines stand in %d places, not 1; bring the mutation up to date:\n%s", e.folder, places, strings.Join(e.old, "\n"))
	}
	return file, text, nil
}

func (e *edit) at(lines []string) bool {
	for i, old := range e.old {
		if strings.TrimSpace(lines[i]) != old {
			return false
		}
	}
	return true
}

var (
	// A test that hangs until the time is over has failed as well.
	failLine = regexp.MustCompile(`(?m)^(?:--- FAIL: |running tests:\n\s*|panic: test timed out .*\n\s*running tests:\n\s*)(\w+)`)
	passLine = regexp.MustCompile(`(?m)^--- PASS: (\S+)`)
)

// test runs tests, and returns which failed and which passed.
func test(scratch string, t target) (failed, passed []string, out string, err error) {
	cmd := exec.Command("go", "test", "-count=1", "-v", "-timeout=2m", "-run", "^("+strings.Join(t.names, "|")+")$", t.pkg)
	cmd.Dir = scratch
	if os.Getenv("HISTORIES") == "" {
		// The histories that are quick to notice: a number, because a time would
		// be spent in full where they don't.
		cmd.Env = append(os.Environ(), "HISTORIES=200")
	}
	var buf bytes.Buffer
	cmd.Stdout, cmd.Stderr = &buf, &buf
	err = cmd.Run()
	out = buf.String()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return nil, nil, out, err
	}
	if strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]") {
		return nil, nil, out, fmt.Errorf("it doesn't compile:\n%s", out)
	}
	names := func(line *regexp.Regexp) (list []string) {
		for _, found := range line.FindAllStringSubmatch(out, -1) {
			list = append(list, found[1])
		}
		return list
	}
	return names(failLine), names(passLine), out, nil
}
