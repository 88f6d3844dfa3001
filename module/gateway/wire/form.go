package wire

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
)

// CheckOverride refuses a query that asks upstreams to take the request's
// method for one that may not override it.
func CheckOverride(query string, may func(method string) bool) error {
	if query == "" {
		return nil
	}
	refused := false
	_ = tenant.OverridesIn(context.Background(), query, func(method string) {
		refused = refused || !may(method)
	})
	if refused {
		return ErrOverride
	}
	return nil
}

// FormKind is how upstreams may read a body as a form: both ways, one, or none.
type FormKind struct{ Parts, Pairs bool }

// FormOf returns how a request's body may be read as a form. Upstreams look
// into that of a POST alone for a field that overrides the method.
func FormOf(r *http.Request) FormKind {
	if r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return FormKind{}
	}
	kind := strings.ToLower(r.Header.Get("Content-Type"))
	return FormKind{
		Parts: strings.Contains(kind, "multipart"),
		// Rack takes a body without a type for a form.
		Pairs: kind == "" || strings.Contains(kind, "urlencoded"),
	}
}

// asciiCharsets are the beginnings of the names of charsets in which an ASCII
// letter is a byte.
var asciiCharsets = []string{"utf-8", "utf8", "us-ascii", "iso-8859-", "windows-125", "koi8-", "euc-", "shift_jis", "gb", "big5"}

// ReadableForm reports whether the names and values of a form stand in its bytes
// as they are.
func ReadableForm(h http.Header) bool {
	kind := strings.ToLower(h.Get("Content-Type"))
	if kind != "" && len(h["Content-Encoding"]) > 0 {
		return false
	}
	named := strings.Count(kind, "charset")
	if named == 0 {
		return true
	}
	_, params, err := mime.ParseMediaType(kind)
	return err == nil && named == 1 && slices.ContainsFunc(asciiCharsets, func(c string) bool {
		return strings.HasPrefix(params["charset"], c)
	})
}

// scanner looks into a form piece by piece. It reports whether the request is
// to be refused. The last piece is nil.
type scanner interface {
	scan(piece []byte) (refused bool)
}

// Form is a body that breaks off where a field of it overrides the method.
type Form struct {
	io.ReadCloser
	scanners []scanner
	why      error
	failed   error
	refused  atomic.Bool // the upstream's connection reads in a goroutine of its own
}

// NewForm looks into a body for fields that override the method by one that may
// not. why is the error of a read that meets one.
func NewForm(body io.ReadCloser, kind FormKind, may func(method string) bool, why error) *Form {
	f := &Form{ReadCloser: body, why: why}
	if kind.Parts {
		f.scanners = append(f.scanners, &partScan{may: may})
	}
	if kind.Pairs {
		f.scanners = append(f.scanners, &pairScan{may: may})
	}
	return f
}

// Read reads on, and hands out nothing of a piece that is refused.
func (f *Form) Read(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	n, err := f.ReadCloser.Read(p)
	if n > 0 && f.scan(p[:n]) || errors.Is(err, io.EOF) && f.scan(nil) {
		f.failed = f.why
		f.refused.Store(true)
		return 0, f.failed
	}
	f.failed = err
	return n, err
}

func (f *Form) scan(piece []byte) bool {
	return slices.ContainsFunc(f.scanners, func(one scanner) bool { return one.scan(piece) })
}

// Refused reports whether the form was broken off.
func (f *Form) Refused() bool { return f.refused.Load() }

// formFront is how much of a form is read before any of it is handed on.
const formFront = 64 << 10

// Front reads the front of the form of a request, and returns the body as it
// was before. Of a large form the upstream sees the beginning, and never the
// end.
func (f *Form) Front(r *http.Request) io.ReadCloser {
	size := int64(formFront)
	if r.Header.Get("Content-Type") == "" && (r.ContentLength < 0 || r.ContentLength > size) {
		size = 0 // rather a stream, whose client may wait for the answer
	}
	front, err := io.ReadAll(io.LimitReader(f, size))
	if err != nil {
		f.failed = err
	}
	return tenant.Rewound(front, f)
}
