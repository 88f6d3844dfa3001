package usage

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

// Config is where responses report how much a request used. The usage replaces the
// cost of the route. It becomes known with the response, so it counts against later
// requests.
type Config struct {
	// Header is a response header or trailer with a number, such as X-Usage. It is
	// removed from the response.
	Header string `json:"header,omitempty"`
	// Keep leaves the header in the response.
	Keep bool `json:"keep,omitempty"`
	// JSON is the path of a number in JSON objects, such as usage.total_tokens. It is
	// read in responses of type application/json (or a type that ends in +json), and
	// in the data of server-sent events, where the last number counts. Requests are
	// then forwarded without Accept-Encoding, because a compressed response can't be
	// read.
	JSON string `json:"json,omitempty"`
}

// Source is where the responses of a site report usage. A nil Source is a site whose
// responses report none.
type Source struct {
	header string
	keep   bool
	path   []string
}

// Compile checks a configuration. It returns nil if c is nil.
func Compile(c *Config) (*Source, error) {
	switch {
	case c == nil:
		return nil, nil
	case (c.Header == "") == (c.JSON == ""):
		return nil, errors.New("usage: give a header or a path in JSON, such as usage header X-Usage or usage json usage.total_tokens")
	case c.Header != "":
		if !wire.IsToken(c.Header) {
			return nil, fmt.Errorf("usage header %q: that is not a header name", c.Header)
		}
		return &Source{header: textproto.CanonicalMIMEHeaderKey(c.Header), keep: c.Keep}, nil
	case c.Keep:
		return nil, errors.New("usage json: keep applies only to a header; remove it")
	}
	path := strings.Split(c.JSON, ".")
	for _, name := range path {
		if name == "" || len(name) >= maxText || strings.ContainsAny(name, "\"\\") {
			return nil, fmt.Errorf("usage json %q: write names with dots between them, such as usage.total_tokens", c.JSON)
		}
	}
	return &Source{path: path}, nil
}

// Prepare makes the response to a request readable.
func (s *Source) Prepare(r *http.Request) {
	if s.path != nil {
		delete(r.Header, "Accept-Encoding")
	}
}

// Writer passes a response on, and reads from it how much the request used.
type Writer struct {
	*caddyhttp.ResponseWriterWrapper
	source *Source
	begun  bool
	used   int64
	known  bool

	json   field
	events events
	read   reading
}

// reading is how the body is read.
type reading uint8

const (
	notRead reading = iota
	asJSON
	asEvents
)

// NewWriter returns a writer in front of another one.
func (s *Source) NewWriter(w http.ResponseWriter) *Writer {
	return &Writer{ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, source: s}
}

// WriteHeader takes the header from the response.
func (w *Writer) WriteHeader(status int) {
	informational := status >= 100 && status < 200 && status != http.StatusSwitchingProtocols
	switch {
	case informational:
		w.hide()
	case status == http.StatusPartialContent && w.source.path != nil:
		w.begun = true // not read, because the client chose the part of the text
	default:
		w.begin()
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// Write passes a part of the body on, and reads it.
func (w *Writer) Write(b []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriterWrapper.Write(b)
	switch w.read {
	case asJSON:
		w.json.write(b[:n])
	case asEvents:
		w.events.write(b[:n])
	case notRead:
	}
	return n, err
}

// ReadFrom uses the underlying writer's ReadFrom if nothing has to be read.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	if w.read == notRead {
		return w.ResponseWriterWrapper.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w}, r)
}

// begin looks at the response's header, once.
func (w *Writer) begin() {
	if w.begun {
		return
	}
	w.begun = true
	h := w.Header()
	if name := w.source.header; name != "" {
		if values := h[name]; len(values) == 1 {
			w.used, w.known = parse(strings.TrimSpace(values[0]))
		}
		w.hide()
		return
	}
	if h.Get("Content-Encoding") != "" {
		return
	}
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil:
	case kind == "text/event-stream":
		w.read, w.events.field = asEvents, newField(w.source.path)
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		w.read, w.json = asJSON, newField(w.source.path)
	}
}

// hide keeps the header from the client.
func (w *Writer) hide() {
	if !w.source.keep && w.source.header != "" {
		delete(w.Header(), w.source.header)
	}
}

// End ends the response, and reads the header from the trailers if it is there.
func (w *Writer) End() {
	name := w.source.header
	if name == "" {
		return
	}
	h := w.Header()
	for _, name := range [...]string{name, http.TrailerPrefix + name} {
		if values := h[name]; len(values) == 1 && !w.known {
			w.used, w.known = parse(strings.TrimSpace(values[0]))
		}
		if !w.source.keep {
			delete(h, name)
		}
	}
}

// Used returns how much the request used. Call it once the response is over. ok is
// false if the response doesn't report usage.
func (w *Writer) Used() (used int64, ok bool) {
	switch w.read {
	case asJSON:
		return w.json.found, w.json.ok
	case asEvents:
		return w.events.found, w.events.ok
	case notRead:
	}
	return w.used, w.known
}
