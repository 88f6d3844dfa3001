package tenant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// ReadBody looks for owner and app in a JSON body, which is handed on byte for
// byte. It has to be JSON under every Content-Type that bodyType lets through,
// a form's too, because there are servers that don't look at the type. Unless
// values is nil, ReadBody adds the values of resources to it.
func (o *Places) ReadBody(w http.ResponseWriter, r *http.Request, n *policy.Named, values *Contents) *Error {
	if len(r.Header["Content-Encoding"]) > 0 {
		return &Error{Unreadable, "This API has to read the body, and a compressed body can't be read. Send it without Content-Encoding."}
	}
	form, why := bodyType(r)
	if why != "" {
		return &Error{Unreadable, why}
	}
	if r.ContentLength > o.limit {
		return errTooLarge
	}
	lift := o.deadline(w)
	body, err := readText(io.LimitReader(r.Body, o.limit+1))
	lift()
	r.Body = Rewound(body, r.Body)
	switch {
	case isTimeout(err):
		return errSlow
	case err != nil:
		return &Error{Ambiguous, "The body could not be read to its end."}
	case int64(len(body)) > o.limit:
		return errTooLarge
	}
	if form {
		err = o.ofForm(r.Context(), n, values, body)
	}
	if err == nil {
		err = o.ofJSON(r.Context(), n, values, body)
	}
	switch {
	case err == nil:
		return nil
	case r.Context().Err() != nil:
		return &Error{Ambiguous, "The client went away."}
	}
	return &Error{Ambiguous, fmt.Sprintf("This API has to read the body, and the body is not JSON that every parser reads alike: %s.", err)}
}

// ofJSON adds what a JSON body names. Each object stands by itself.
func (o *Places) ofJSON(ctx context.Context, n *policy.Named, values *Contents, text string) error {
	body, fields := o.body, o.bodyFields
	if values != nil {
		body, fields = o.limitedBody, o.limitedFields
	}
	return body.Read(ctx, text, func(found []Found) {
		var p policy.Mention
		for _, f := range found {
			field, value := &fields[f.Field], f.Value
			if field.Part == Value {
				values.add(field.Resource, &f)
				continue
			}
			if f.Invalid {
				value = nobody
			}
			field.Part.add(&p, value)
		}
		n.Take(p)
	})
}

// nobody is a name that no owner and no app has.
const nobody = "\x00"

// bodyType reads a Content-Type as any server may read it. form reports that it
// may take the body for a form's fields; why is the reason to refuse it. A type
// under which the body may be read as anything but JSON, a form or plain text
// is refused: white space, digits and quotes are a message in other formats
// too.
func bodyType(r *http.Request) (form bool, why string) {
	sent := strings.ToLower(r.Header.Get("Content-Type"))
	switch sent {
	case "":
		return true, "" // Rack takes such a body for a form
	case "application/json":
		return false, ""
	}
	if strings.Contains(sent, "multipart/") {
		return false, "This API has to read the body, and a body in parts can't be read. Send JSON."
	}
	kind, params, err := mime.ParseMediaType(sent)
	// A second charset within quotes is the charset to those who look for the
	// word.
	if named := strings.Count(sent, "charset"); named > 0 && (err != nil || named > 1 || params["charset"] != "utf-8") {
		return false, "The body's charset has to be UTF-8."
	}
	_, subtype, _ := strings.Cut(kind, "/")
	form = subtype == "x-www-form-urlencoded"
	json := strings.Contains(subtype, "json") && !strings.ContainsFunc(subtype, notInType) &&
		!strings.Contains(subtype, "proto") && !strings.Contains(subtype, "connect") && !strings.Contains(subtype, "grpc")
	if err != nil || !form && !json && kind != "text/plain" {
		return false, "This API has to read the body, and a body of this Content-Type can't be read. Send JSON."
	}
	return form, ""
}

// notInType reports a character that isn't in the names of media types that
// mean JSON.
func notInType(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '+'
}

// buffers are for the bodies that are being read.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxKeptBuffer is the size in bytes up to which a buffer is used again.
const maxKeptBuffer = 64 << 10

// readText reads to the end. With an error it returns what came before it.
func readText(from io.Reader) (string, error) {
	b := buffers.Get().(*bytes.Buffer)
	_, err := b.ReadFrom(from)
	text := b.String()
	if b.Cap() <= maxKeptBuffer {
		b.Reset()
		buffers.Put(b)
	}
	return text, err
}

// Rewound returns a body as it was before its front was read.
func Rewound[T string | []byte](front T, rest io.ReadCloser) io.ReadCloser {
	return &rewound[T]{rest, front}
}

// rewound is a body whose front was read.
type rewound[T string | []byte] struct {
	io.ReadCloser
	front T
}

// Read reads the front again, and then the rest.
func (r *rewound[T]) Read(p []byte) (int, error) {
	if len(r.front) == 0 {
		return r.ReadCloser.Read(p)
	}
	n := copy(p, r.front)
	r.front = r.front[n:]
	return n, nil
}

// unexpected is an end of the text within a value.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
