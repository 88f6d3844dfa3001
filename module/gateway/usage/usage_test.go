package usage

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

func compile(t *testing.T, c Config) *Source {
	t.Helper()
	s, err := Compile(&c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pieces are ways to write a body: at once, in bytes, and as a copy.
var pieces = map[string]func(w http.ResponseWriter, body string) error{
	"at once": func(w http.ResponseWriter, body string) error {
		_, err := io.WriteString(w, body)
		return err
	},
	"byte by byte": func(w http.ResponseWriter, body string) error {
		for i := range body {
			if _, err := w.Write([]byte{body[i]}); err != nil {
				return err
			}
		}
		return nil
	},
	"as a copy": func(w http.ResponseWriter, body string) error {
		_, err := w.(io.ReaderFrom).ReadFrom(iotest.HalfReader(strings.NewReader(body)))
		return err
	},
}

func TestUsageInBodies(t *testing.T) {
	const stream, object = "text/event-stream; charset=utf-8", "application/json"
	for _, row := range []struct {
		name, kind, body string
		want             int64 // -1 for none
	}{
		{"an object", object, `{"id":"x","usage":{"prompt_tokens":1,"total_tokens":42}}`, 42},
		{"cut off in a number", object, `{"usage":{"total_tokens":42`, -1},
		{"cut off behind a number", object, `{"usage":{"total_tokens":42}`, 42},
		{"white space", object, "{ \"usage\" : \n{ \"total_tokens\" :\t42 } }", 42},
		{"a type of its own", "application/vnd.x+json", `{"usage":{"total_tokens":42}}`, 42},
		{"another type", "text/plain", `{"usage":{"total_tokens":42}}`, -1},
		{"elsewhere", object, `{"a":{"usage":{"total_tokens":1}},"total_tokens":2,"usage":[{"total_tokens":3}],"list":[{"usage":{"total_tokens":4}}]}`, -1},
		{"deeper", object, `{"usage":{"more":{"total_tokens":1},"total_tokens":{"total_tokens":2}}}`, -1},
		{"within a text", object, `{"text":"\"usage\":{\"total_tokens\":1}","usage":{"total_tokens":2}}`, 2},
		{"a name as a value", object, `{"a":"usage","b":{"total_tokens":1}}`, -1},
		{"an escaped name", object, `{"us\u0061ge":{"total_tokens":1}}`, -1},
		{"null", object, `{"usage":null}`, -1},
		{"a text", object, `{"usage":{"total_tokens":"42"}}`, -1},
		{"negative", object, `{"usage":{"total_tokens":-1}}`, -1},
		{"a fraction", object, `{"usage":{"total_tokens":1.5e1}}`, 15},
		{"a fraction, rounded up", object, `{"usage":{"total_tokens":1.2}}`, 2},
		{"huge", object, `{"usage":{"total_tokens":1e300}}`, maxUsage},
		{"zero", object, `{"usage":{"total_tokens":0}}`, 0},
		{"lines of objects", object, "{\"usage\":{\"total_tokens\":1}}\n{\"usage\":{\"total_tokens\":2}}\n", 2},
		{"too many brackets", object, `}}]]{"usage":{"total_tokens":1}}`, 1},
		{"a stream", stream, "data: {\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"total_tokens\":42}}\n\ndata: [DONE]\n\n", 42},
		{"the last of a stream", stream, "event: delta\ndata: {\"usage\":{\"total_tokens\":1}}\n\ndata: {\"usage\":{\"total_tokens\":2}}\n\n", 2},
		{"other lines", stream, ": {\"usage\":{\"total_tokens\":1}}\nid: {\"usage\":{\"total_tokens\":1}}\ndatas: {\"usage\":{\"total_tokens\":1}}\n\n", -1},
		{"other ends of lines", stream, "data: {\"usage\":\r\ndata:{\"total_tokens\":3}}\r\n\r\nid: 1\rdata: {}\r\r", 3},
		{"a broken event in front", stream, "data: {\"a\":[\"\n\ndata: {\"usage\":{\"total_tokens\":4}}\n\n", 4},
		{"cut off in a number of a stream", stream, "data: {\"usage\":{\"total_tokens\":5}}\n\ndata: {\"usage\":{\"total_tokens\":6", 5},
	} {
		for how, write := range pieces {
			t.Run(row.name+", "+how, func(t *testing.T) {
				recorder := httptest.NewRecorder()
				w := compile(t, Config{JSON: "usage.total_tokens"}).NewWriter(recorder)
				w.Header().Set("Content-Type", row.kind)
				if err := write(w, row.body); err != nil {
					t.Fatal(err)
				}
				if recorder.Body.String() != row.body {
					t.Errorf("the client gets %q", recorder.Body)
				}
				used, ok := w.Used()
				if ok != (row.want >= 0) || ok && used != row.want {
					t.Errorf("used %d, %v, want %d", used, ok, row.want)
				}
			})
		}
	}
}

func TestCompressedBody(t *testing.T) {
	w := compile(t, Config{JSON: "n"}).NewWriter(httptest.NewRecorder())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	if _, err := io.WriteString(w, `{"n":1}`); err != nil {
		t.Fatal(err)
	}
	if used, ok := w.Used(); ok {
		t.Errorf("used %d", used)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Accept-Encoding", "gzip")
	w.source.Prepare(r)
	if len(r.Header) > 0 {
		t.Errorf("forwarded with %v", r.Header)
	}
}

// A client could ask for a part of a response in which a text looks like usage.
func TestUsageInAPart(t *testing.T) {
	w := compile(t, Config{JSON: "n"}).NewWriter(httptest.NewRecorder())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusPartialContent)
	if _, err := io.WriteString(w, `{"n":0}`); err != nil {
		t.Fatal(err)
	}
	if used, ok := w.Used(); ok {
		t.Errorf("used %d", used)
	}
}

func TestUsageInAHeader(t *testing.T) {
	for value, want := range map[string]int64{"42": 42, " 7 ": 7, "1.5": 2, "": -1, "-1": -1, "x": -1, "NaN": -1, "inf": -1, "0x1p4": -1, "1, 2": -1} {
		for _, keep := range []bool{false, true} {
			recorder := httptest.NewRecorder()
			w := compile(t, Config{Header: "x-usage", Keep: keep}).NewWriter(recorder)
			w.Header().Set("X-Usage", value)
			w.WriteHeader(http.StatusOK)
			used, ok := w.Used()
			if ok != (want >= 0) || ok && used != want {
				t.Errorf("%q: used %d, %v", value, used, ok)
			}
			if _, shown := recorder.Result().Header["X-Usage"]; shown != keep {
				t.Errorf("%q: shown: %v, kept: %v", value, shown, keep)
			}
		}
	}
}

// A trailer counts like a header, whether it was announced or not.
func TestUsageInATrailer(t *testing.T) {
	for _, announced := range []bool{false, true} {
		recorder := httptest.NewRecorder()
		w := compile(t, Config{Header: "X-Usage"}).NewWriter(recorder)
		if announced {
			w.Header().Set("Trailer", "X-Usage")
		}
		if _, err := io.WriteString(w, "text"); err != nil {
			t.Fatal(err)
		}
		name := "X-Usage"
		if !announced {
			name = http.TrailerPrefix + name
		}
		w.Header().Set(name, "42")
		w.End()
		if used, ok := w.Used(); used != 42 || !ok {
			t.Errorf("announced: %v: used %d, %v", announced, used, ok)
		}
		if trailer := recorder.Result().Trailer; trailer.Get("X-Usage") != "" {
			t.Errorf("announced: %v: the client gets %v", announced, trailer)
		}
	}
}

// The number that is found in JSON is the one that a parser finds.
func FuzzJSON(f *testing.F) {
	f.Add(`{"usage":{"total_tokens":42}}`, uint8(3))
	f.Add(`{"a":[{"usage":{"total_tokens":1}}],"usage":{"x":"}","total_tokens":2}}`, uint8(1))
	f.Fuzz(func(t *testing.T, text string, cut uint8) {
		found := field{path: []string{"usage", "total_tokens"}}
		at := min(int(cut), len(text))
		found.write([]byte(text[:at]))
		found.write([]byte(text[at:]))
		var object struct {
			Usage map[string]json.RawMessage `json:"usage"`
		}
		d := json.NewDecoder(strings.NewReader(text))
		if strings.Contains(text, `\`) || d.Decode(&object) != nil || d.More() || !json.Valid([]byte(text)) {
			return
		}
		// Names are compared to the letter here, and without regard to case there.
		if strings.Count(strings.ToLower(text), "usage") > 1 || !strings.Contains(text, `"usage"`) || strings.Count(text, "total_tokens") > 1 {
			return
		}
		want, ok := parse(string(object.Usage["total_tokens"]))
		if found.ok != ok || found.found != want {
			t.Errorf("%s: found %d, %v, want %d, %v", text, found.found, found.ok, want, ok)
		}
	})
}
