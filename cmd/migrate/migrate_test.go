package migrate

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what is read of the dumps as what has to be read")

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// formatOf is the format of a file in testdata, which its name begins with.
func formatOf(file string) string {
	format, _, _ := strings.Cut(filepath.Base(file), "-")
	return format
}

// optionsOf are the options that a file needs.
func optionsOf(format string) Options {
	o := Options{Format: format, Now: now}
	if format != CSV && format != JSONL {
		o.App, o.Scopes = "imported", []string{"Predict"}
	}
	return o
}

// dumps are the files in testdata.
func dumps(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*-*.*"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, file := range files {
		if !strings.HasSuffix(file, ".golden") {
			list = append(list, file)
		}
	}
	if len(list) < 11 {
		t.Fatalf("only %d dumps", len(list))
	}
	return list
}

// readAll is what is read of a dump: a line for each key, or for what is wrong
// with one.
func readAll(source io.Reader, o Options) (string, error) {
	var out strings.Builder
	err := Read(source, o, func(k Record, p *Problem) error {
		if p != nil {
			fmt.Fprintln(&out, p)
			return nil
		}
		text, err := json.Marshal(k)
		fmt.Fprintf(&out, "%s\n", text)
		return err
	})
	if err != nil {
		fmt.Fprintf(&out, "ended: %v\n", err)
	}
	return out.String(), err
}

func TestDumps(t *testing.T) {
	for _, file := range dumps(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := readAll(bytes.NewReader(text), optionsOf(formatOf(file)))
			golden := file + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("read\n%s\nwant\n%s", got, want)
			}
			// As editors of another system write it.
			windows := "\ufeff" + strings.ReplaceAll(string(text), "\n", "\r\n")
			if other, _ := readAll(strings.NewReader(windows), optionsOf(formatOf(file))); other != got {
				t.Errorf("with other line ends, read\n%s\nwant\n%s", other, got)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		says    string
	}{
		{"no format", Options{}, "csv, jsonl, kong"},
		{"unknown format", Options{Format: "xml"}, "no such format"},
		{"where CSV has users", Options{Format: CSV, UserFrom: "consumer"}, "column user"},
		{"where Kong has none", Options{Format: Kong, UserFrom: "alias"}, "consumer or custom_id or id"},
		{"user twice", Options{Format: Kong, UserFrom: "id", User: "ada"}, "exclude each other"},
		{"app and PAT", Options{Format: Kong, App: "a", PAT: true}, "leave out --pat or --app"},
		{"clear text of Kong", Options{Format: Kong, ClearText: true}, "Tyk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Read(strings.NewReader(""), c.options, func(Record, *Problem) error { return nil })
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestMapping(t *testing.T) {
	kong := "consumers:\n- username: ada\n  custom_id: c-1\n  id: 59d1ef15-24a5-4373-b957-e8192c15ff6e\n  keyauth_credentials:\n  - key: abcdefgh12345678\n" +
		"keyauth_credentials:\n- key: abcdefgh12345679\n  consumer: ada\n- key: abcdefgh12345670\n  consumer: 59d1ef15-24a5-4373-b957-e8192c15ff6e\n"
	murmured := `["c0ffee00c0ffee00c0ffee00c0ffee00"]`
	for _, c := range []struct {
		name, text string
		options    Options
		want       string // of each key: user/app type scopes
	}{
		{"consumer", kong, Options{Format: Kong, PAT: true, Scopes: []string{"A"}}, "ada/ personal_access_token [A],ada/ personal_access_token [A],ada/ personal_access_token [A]"},
		{"custom_id", kong, Options{Format: Kong, UserFrom: "custom_id", App: "x", Scopes: []string{}}, "c-1/x app_specific_key [],c-1/x app_specific_key [],c-1/x app_specific_key []"},
		{"one user", kong, Options{Format: Kong, User: "bob", App: "x", Scopes: []string{}}, "bob/x app_specific_key [],bob/x app_specific_key [],bob/x app_specific_key []"},
		{"org_id", `[{"key":"abcdefgh12345678","org_id":"o1","alias":"ada"}]`, Options{Format: Tyk, UserFrom: "org_id", PAT: true, Scopes: []string{}}, "o1/ personal_access_token []"},
		{"clear text", murmured, Options{Format: Tyk, User: "ada", PAT: true, Scopes: []string{}, ClearText: true}, "ada/ personal_access_token []"},
		{"customer_id", `{"items":[{"value":"abcdefgh12345678","customerId":"c1","name":"n"}]}`, Options{Format: AWS, UserFrom: "customer_id", PAT: true, Scopes: []string{}}, "c1/ personal_access_token []"},
		{"of CSV", "credential,user,app\nabcdefgh12345678,ada,photos\n", Options{Format: CSV, User: "bob", App: "x", Scopes: []string{"A"}}, "bob/x app_specific_key [A]"},
		{"of CSV, PAT", "credential,user,app\nabcdefgh12345678,ada,photos\n", Options{Format: CSV, PAT: true, Scopes: []string{"A"}}, "ada/ personal_access_token [A]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			err := Read(strings.NewReader(c.text), c.options, func(k Record, p *Problem) error {
				if p != nil {
					return errors.New(p.String())
				}
				got = append(got, fmt.Sprintf("%s/%s %s %v", k.User, k.App, k.Type, k.Scopes))
				return nil
			})
			if err != nil || strings.Join(got, ",") != c.want {
				t.Errorf("read %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func TestUserIDs(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"", "ada", "Ada", "a.b", "a-b", "a b", "me", "ada@example.com", strings.Repeat("x", 48), strings.Repeat("x", 49), strings.Repeat("x", 50), "äöü", "\xff"} {
		id := userID(name)
		if other, twice := seen[id]; twice {
			t.Errorf("%q and %q are both %q", other, name, id)
		}
		seen[id] = name
		if len(id) > 48 || strings.Trim(id, "-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" || id == "me" {
			t.Errorf("%q is %q", name, id)
		}
	}
	for name, want := range map[string]string{"ada": "ada", "ada@example.com": "ada-example-com-"} {
		if got := userID(name); !strings.HasPrefix(got, want) {
			t.Errorf("%q is %q", name, got)
		}
	}
}

// An error that ends the reading names the place, and never repeats the
// content.
func TestFilesThatCannotBeRead(t *testing.T) {
	const secret = "Xy7pQm2Wv9Tz4Rk8Lc3Nb6Hd"
	large := strings.Repeat("x", 2*MaxElement+100)
	for _, c := range []struct{ name, format, text, says string }{
		{"CSV without a header", CSV, secret + ",ada\n", "line 1: column 1 isn't known"},
		{"CSV with a column twice", CSV, "credential,user,user\n", "twice"},
		{"CSV without credentials", CSV, "user,app\n", "neither"},
		{"CSV without an end", CSV, "credential\n\"" + large, "larger than"},
		{"a header without an end", CSV, "\"" + large, "line 1"},
		{"UTF-16", CSV, "\xff\xfec\x00", "UTF-16"},
		{"a long line", JSONL, `{"credential":"` + large, "larger than"},
		{"JSON cut off", AWS, `{"items":[{"value":"` + secret, "cut off"},
		{"JSON cut off between", AWS, `{"items":[{"value":"` + secret + `"}`, "cut off"},
		{"JSON cut off in a skipped field", AWS, `{"x":[{"value":"` + secret + `"}`, "cut off"},
		{"no JSON", AWS, "{\n\"items\":[\n{\"value\":\"" + secret + "\"},\n" + secret + "]}", "from line 3 on"},
		{"text for a list", AWS, `{"items":"` + secret + `"}`, "line 1: expected a list"},
		{"text", AWS, `"` + secret + `"`, "line 1: expected a JSON object"},
		{"a large element", AWS, `{"items":[{"value":"` + large + `"}]}`, "larger than"},
		{"a large skipped field", AWS, `{"x":"` + large + `"}`, "larger than"},
		{"a large number of bytes in a list of Tyk", Tyk, `{"keys":["` + large + `"]}`, "larger than"},
		{"no YAML", Kong, secret + "\n", "line 1: expected YAML"},
		{"a list in a line", Kong, "consumers: [{username: " + secret + "}]\n", "line 1: the list has to stand below"},
		{"no list", Kong, "consumers:\n  username: " + secret + "\n", "line 2: expected an item"},
		{"an item further left", Kong, "consumers:\n    - username: a\n  - username: " + secret + "\n", "line 3: expected an item"},
		{"a large item", Kong, "consumers:\n- username: a\n" + strings.Repeat("  # comment "+secret+"\n", MaxElement/20), "line 2: one element is larger"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := readAll(strings.NewReader(c.text), optionsOf(c.format))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "xxxxxxxx") {
				t.Errorf("it repeats the file: %s", out)
			}
		})
	}
}

func TestReadErrorsArePassedOn(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, format := range Formats() {
		_, err := readAll(io.MultiReader(strings.NewReader("\n"), errorReader{broken}), optionsOf(format))
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", format, err)
		}
		stop := errors.New("enough")
		for _, file := range dumps(t) {
			if formatOf(file) != format {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = Read(bytes.NewReader(text), optionsOf(format), func(Record, *Problem) error { n++; return stop })
			if !errors.Is(err, stop) || n != 1 {
				t.Errorf("%s: %v after %d", file, err, n)
			}
		}
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

// repeated is a text again and again, without being held.
type repeated struct {
	head, each, tail string
	n                int
	rest             string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		switch {
		case r.head != "":
			r.rest, r.head = r.head, ""
		case r.n > 0:
			r.n--
			r.rest = r.each
		case r.tail != "":
			r.rest, r.tail = r.tail, ""
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Of a long file no more is held than of a short one.
func TestMemoryIsBounded(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		format string
		source repeated
	}{
		{CSV, repeated{head: "credential,user,app,scopes\n", each: "9f86d081884c7d659a2feaa0c55ad015,ada,photos,All\n"}},
		{JSONL, repeated{each: `{"credential":"9f86d081884c7d659a2feaa0c55ad015","user":"ada","app":"photos","scopes":["All"]}` + "\n"}},
		{Kong, repeated{head: "consumers:\n", each: "- username: ada\n  keyauth_credentials:\n  - key: 9f86d081884c7d659a2feaa0c55ad015\n", tail: "services: []\n"}},
		{Kong, repeated{head: `{"consumers":[{}`, each: ",\n" + `{"username":"ada","keyauth_credentials":[{"key":"9f86d081884c7d659a2feaa0c55ad015"}]}`, tail: "]}"}},
		{Tyk, repeated{head: `{"keys":[""`, each: ",\n" + `"54b53d3aeba6db5c3500000289a8fbc2bbba4ebc4934bb113588c792"`, tail: "]}"}},
		{Tyk, repeated{head: `{"":{}`, each: ",\n" + `"54b53d3aeba6db5c3500000289a8fbc2bbba4ebc4934bb113588c792":{"alias":"ada"}`, tail: "}"}},
		{APISIX, repeated{head: "consumers:\n", each: "  - username: ada\n    plugins:\n      key-auth:\n        key: 9f86d081884c7d659a2feaa0c55ad015\n", tail: "#END\n"}},
		{AWS, repeated{head: `{"items":[{}`, each: ",\n" + `{"value":"9f86d081884c7d659a2feaa0c55ad015","name":"ada"}`, tail: "]}"}},
	} {
		t.Run(c.format, func(t *testing.T) {
			source := c.source
			source.n = n
			o := optionsOf(c.format)
			if c.format == Tyk {
				o.User = "ada"
			}
			read, line := 0, 0
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			err := Read(&source, o, func(k Record, p *Problem) error {
				if p == nil {
					read++
					line = max(line, k.Line)
				}
				if read == n-1 {
					runtime.GC()
					runtime.ReadMemStats(&after)
				}
				return nil
			})
			if err != nil || read != n || line < n {
				t.Fatalf("read %d keys, the last on line %d: %v", read, line, err)
			}
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
				t.Errorf("%d bytes are held", grown)
			}
		})
	}
}

// FuzzRead: whatever a file is, it is read to its end without a panic, what is
// read fits in it, and nothing that stands in it is repeated in an error.
func FuzzRead(f *testing.F) {
	for _, file := range dumps(f) {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(formatOf(file), text)
	}
	f.Add(Kong, []byte("consumers:\n- &a {username: *a}\n- {keyauth_credentials: [*a,*a]}\n- !!binary x\n- [[[[\n-\n- ? a\n  : b\n"))
	f.Add(Tyk, []byte(`{"data":[1,{"key":"x"}],"key_id":7}[null]"x"`))
	f.Fuzz(func(t *testing.T, format string, text []byte) {
		o := optionsOf(format)
		if o.Check() != nil {
			return
		}
		// A text that no file contains otherwise.
		const canary = "Xq0VzKw8JpY5"
		text = bytes.ReplaceAll(text, []byte("32"), []byte(canary))
		err := Read(bytes.NewReader(text), o, func(k Record, p *Problem) error {
			switch {
			case p != nil && strings.Contains(p.String(), canary):
				t.Errorf("a problem repeats the file: %v", p)
			case p != nil && p.Line < 1, p == nil && k.Line < 1:
				t.Errorf("no line: %+v %v", k, p)
			case p == nil && (k.Credential == "" && k.SHA256 == "" || k.User == "" || k.Scopes == nil || (k.Type == AppKey) != (k.App != "")):
				t.Errorf("not a whole key: %+v", k)
			}
			return nil
		})
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("the error repeats the file: %v", err)
		}
	})
}
