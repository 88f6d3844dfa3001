package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// maxBodyDepth bounds the nesting of a body that is looked into.
const maxBodyDepth = 128

// readBody looks for owner and app in a JSON body, which is handed on byte for
// byte. The body is read whatever its Content-Type says, for there are servers
// that don't look at it: on a site with owner_body, bodies are JSON.
func (o *ownership) readBody(w http.ResponseWriter, r *http.Request, n *names) *refusal {
	if len(r.Header["Content-Encoding"]) > 0 {
		return refuseBody(http.StatusUnsupportedMediaType, "A compressed body can't be looked into, and this API looks for owner and app in it. Send it without Content-Encoding.")
	}
	form, why := bodyType(r)
	if why != "" {
		return refuseBody(http.StatusUnsupportedMediaType, why)
	}
	if r.ContentLength > o.limit {
		return refuseTooLarge
	}
	lift := o.deadline(w)
	body, err := io.ReadAll(io.LimitReader(r.Body, o.limit+1))
	lift()
	r.Body = rewound(body, r.Body)
	switch {
	case isTimeout(err):
		return refuseSlow
	case err != nil:
		return refuseBody(http.StatusBadRequest, "The body could not be read to its end.")
	case int64(len(body)) > o.limit:
		return refuseTooLarge
	}
	if form {
		o.ofQuery(n, string(body))
		ofForm(n, string(body), o.body)
	}
	// JSON is UTF-8 (RFC 8259, section 8.1); parsers differ in what they make
	// of anything else.
	if err := o.scanJSON(body, n); err != nil || !utf8.Valid(body) {
		return refuseBody(http.StatusBadRequest, "The body is not valid JSON, and this API looks for owner and app in it.")
	}
	return nil
}

// bodyType looks at what a Content-Type says that some server goes by. form
// says that it may take the body for a form's fields; why is the reason to
// refuse it.
func bodyType(r *http.Request) (form bool, why string) {
	sent := strings.ToLower(r.Header.Get("Content-Type"))
	if strings.Contains(sent, "multipart/") {
		return false, "A body in parts can't be looked into, and this API looks for owner and app in it. Send JSON."
	}
	// White space and digits are JSON, and can be a protobuf message too.
	if strings.Contains(sent, "proto") {
		return false, "A body of protobuf can't be looked into, and this API looks for owner and app in it. Send JSON."
	}
	if named := strings.Count(sent, "charset"); named > 0 {
		_, params, err := mime.ParseMediaType(sent)
		// Another one within quotes is the charset to those who look for the
		// word.
		if err != nil || named > 1 || params["charset"] != "utf-8" {
			return false, "The body's charset has to be UTF-8."
		}
	}
	return strings.Contains(sent, "x-www-form-urlencoded"), ""
}

var (
	refuseTooLarge = &refusal{reason: authz.Target, answer: answer{
		status: http.StatusRequestEntityTooLarge, code: manage.CodeTooLarge, grpc: grpcResourceExhausted,
		details: "The body is larger than what this API looks into for owner and app. Send less at once.",
	}}
	refuseSlow = &refusal{reason: authz.Target, answer: answer{
		status: http.StatusRequestTimeout, code: manage.CodeInvalid, grpc: grpcDeadlineExceeded,
		details: "The body did not come in time.",
	}}
)

// refuseBody refuses a body that can't be inspected, or that has more than one
// reading.
func refuseBody(status int, details string) *refusal {
	ref := refuseBecause(authz.Target, details)
	ref.status = status
	return ref
}

// isTimeout tells the read deadline's end, as HTTP/1.1 and HTTP/2 report it.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout()
}

// rewound is a body as it was before its front was read.
func rewound(front []byte, rest io.ReadCloser) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(front), rest), rest}
}

// scanJSON adds every occurrence of the fields, in every document of the text:
// parsers differ in which of two equal names they believe, and in whether they
// read on behind the first document. Lists on the way don't count as a level.
func (o *ownership) scanJSON(text []byte, n *names) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	s := scanner{decoder: d, fields: o.body, names: n, here: new(place)}
	for {
		switch err := s.value(0); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

type scanner struct {
	decoder *json.Decoder
	fields  []field
	names   *names
	path    string // folded, of where the scanner is
	here    *place // of the object that it is in
}

var errTooDeep = errors.New("nested too deep")

// value reads one value.
func (s *scanner) value(depth int) error {
	if depth > maxBodyDepth {
		return errTooDeep
	}
	token, err := s.decoder.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		return s.container(v, depth)
	case string:
		s.found(v)
	case nil:
		s.found("")
	default:
		// A number or a truth is no name, so one that is nobody's.
		s.found(nobody)
	}
	return nil
}

// nobody is a name that no owner and no app has.
const nobody = "\x00"

func (s *scanner) container(open json.Delim, depth int) error {
	outer, around := s.path, s.here
	if open == '{' {
		s.found(nobody) // where a name should be
		s.here = new(place)
	}
	for s.decoder.More() {
		if open == '{' {
			name, err := s.decoder.Token()
			if err != nil {
				return err
			}
			// A name with dots in it some servers take for a path, so do we.
			s.path = strings.TrimPrefix(outer+"."+fieldName(name.(string)), ".")
		}
		if err := s.value(depth + 1); err != nil {
			return unexpected(err)
		}
	}
	if open == '{' {
		s.names.take(*s.here)
	}
	s.path, s.here = outer, around
	_, err := s.decoder.Token()
	return unexpected(err)
}

// unexpected is an end of the text within a value.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (s *scanner) found(value string) {
	for i := range s.fields {
		if s.path == s.fields[i].path {
			s.here.add(s.fields[i].part, value)
		}
	}
}
