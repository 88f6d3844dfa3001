package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/policy"
)

const overrideWhy = "a parameter such as _method asks for another method, which has other demands here"

// overridden reports whether a query asks upstreams to take the request's
// method for one that has other demands.
func (g *Gate) overridden(query, path string, rule *policy.Rule) bool {
	if query == "" || rule == nil {
		return false
	}
	refused := false
	_ = tenant.OverridesIn(context.Background(), query, func(method string) {
		refused = refused || !g.table.MayOverride(rule, path, method)
	})
	return refused
}

// guardForm puts in front of next what looks into a form for a field that
// overrides the method, if the request has a form and the method matters.
// Upstreams look into that of a POST alone.
func (g *Gate) guardForm(r *http.Request, path string, rule *policy.Rule, next caddyhttp.Handler) caddyhttp.Handler {
	if rule == nil || r.Method != http.MethodPost || r.Body == nil || r.Body == http.NoBody {
		return next
	}
	kind := strings.ToLower(r.Header.Get("Content-Type"))
	inParts := strings.Contains(kind, "multipart")
	// Rack takes a body without a type for a form.
	inPairs := kind == "" || strings.Contains(kind, "urlencoded")
	if !inParts && !inPairs || !g.table.Overridable(rule, path) {
		return next
	}
	may := func(method string) bool { return g.table.MayOverride(rule, path, method) }
	guard := &formGuard{next: next}
	if inParts {
		guard.scan = append(guard.scan, &partScan{may: may})
	}
	if inPairs {
		guard.scan = append(guard.scan, &pairScan{may: may})
	}
	return guard
}

// asciiCharsets are what the names of charsets begin with in which a letter of
// ASCII is a byte.
var asciiCharsets = []string{"utf-8", "utf8", "us-ascii", "iso-8859-", "windows-125", "koi8-", "euc-", "shift_jis", "gb", "big5"}

// readable reports whether what is looked for stands in a form's bytes as it is.
func readable(h http.Header) bool {
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

// formGuard hands on a request with a form, unless a field of it overrides the
// method. Of a large form the upstream sees the beginning, and never the end.
type formGuard struct {
	next caddyhttp.Handler
	scan scanners
}

// scanners look into a form each.
type scanners []scanner

func (s scanners) scan(piece []byte) bool {
	return slices.ContainsFunc(s, func(one scanner) bool { return one.scan(piece) })
}

// scanner looks into a form piece by piece. It reports whether the request is
// to be refused. The last piece is nil.
type scanner interface {
	scan(piece []byte) (refused bool)
}

// formFront is how much of a form is read before any of it is handed on.
const formFront = 64 << 10

// ServeHTTP reads the front of the form and hands on the rest as it comes.
func (f *formGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if !readable(r.Header) {
		return refuseBody(http.StatusUnsupportedMediaType, "This form can't be looked into, and its fields may ask for a method that has other demands. Send it in UTF-8, without Content-Encoding.")
	}
	form := &guardedForm{ReadCloser: r.Body, scan: f.scan}
	size := int64(formFront)
	if r.Header.Get("Content-Type") == "" && (r.ContentLength < 0 || r.ContentLength > size) {
		size = 0 // rather a stream, whose client may wait for the answer
	}
	front, err := io.ReadAll(io.LimitReader(form, size))
	if form.refused.Load() {
		return refuseTarget(overrideWhy)
	}
	if err != nil {
		form.failed = err
	}
	r.Body = rewound(front, form)
	err = f.next.ServeHTTP(w, r)
	if err != nil && form.refused.Load() {
		return refuseTarget(overrideWhy)
	}
	return err
}

// guardedForm is a body that breaks off where a form is refused.
type guardedForm struct {
	io.ReadCloser
	scan    scanners
	failed  error
	refused atomic.Bool // the upstream's connection reads in a goroutine of its own
}

// Read reads on, and hands out nothing of a piece that is refused.
func (f *guardedForm) Read(p []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	n, err := f.ReadCloser.Read(p)
	if n > 0 && f.scan.scan(p[:n]) || errors.Is(err, io.EOF) && f.scan.scan(nil) {
		f.failed = refuseTarget(overrideWhy)
		f.refused.Store(true)
		return 0, f.failed
	}
	f.failed = err
	return n, err
}

// maxPair and maxPartHeader bound what is kept of a form: a pair with its
// value, the headers of a part, and the method in one.
const (
	maxPair       = 4 << 10
	maxPartHeader = 8 << 10
	maxOverride   = 64
)

// pairScan looks into a form of pairs.
type pairScan struct {
	may  func(method string) bool
	pair []byte
	skip bool // the rest of a pair that was looked at
}

func (s *pairScan) scan(piece []byte) bool {
	if piece == nil {
		return s.judge()
	}
	for len(piece) > 0 {
		end := bytes.IndexAny(piece, "&;")
		part := piece
		if end >= 0 {
			part, piece = piece[:end], piece[end+1:]
		} else {
			piece = nil
		}
		if !s.skip {
			if len(s.pair) == 0 {
				part = bytes.TrimLeft(part, "?+ \t\r\n") // PHP takes spaces off
			}
			s.pair = append(s.pair, part[:min(len(part), maxPair-len(s.pair))]...)
			if len(s.pair) == maxPair {
				if s.judge() || s.hidden() {
					return true
				}
				s.skip = true
			}
		}
		if end >= 0 {
			if !s.skip && s.judge() {
				return true
			}
			s.pair, s.skip = s.pair[:0], false
		}
	}
	return false
}

func (s *pairScan) judge() bool {
	refused := false
	if !s.skip && len(s.pair) > 0 {
		_ = tenant.OverridesIn(context.Background(), string(s.pair), func(method string) { refused = refused || !s.may(method) })
	}
	return refused
}

// hidden reports whether a long pair consists of escaped marks so far: what
// comes behind them may be the name.
func (s *pairScan) hidden() bool {
	return bytes.IndexByte(s.pair, '%') >= 0 && bytes.IndexByte(s.pair, '=') < 0 && tenant.Letters(tenant.Unescape(string(s.pair))) == ""
}

// partHeader is what stands in front of the name of a field, in any case.
const partHeader = "content-disposition"

// partScan looks into a form in parts. It goes by the header that names a
// field, wherever that stands: where parts begin, parsers don't agree.
type partScan struct {
	may     func(method string) bool
	matched int    // bytes of partHeader
	header  []byte // what follows it, up to an empty line
	inValue bool
	value   []byte // of a field that overrides the method
}

func (s *partScan) scan(piece []byte) bool {
	if piece == nil {
		return s.inValue && !s.may(string(s.value)) || s.matched == len(partHeader) && tenant.OverridesInPart(string(s.header))
	}
	for _, c := range piece {
		switch {
		case s.inValue:
			if c == '\r' || c == '\n' || len(s.value) == maxOverride {
				if !s.may(string(s.value)) {
					return true
				}
				s.inValue = false
				continue
			}
			s.value = append(s.value, c)
		case s.matched == len(partHeader):
			if s.inHeader(c) {
				return true
			}
		default:
			s.match(c)
		}
	}
	return false
}

func (s *partScan) match(c byte) {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	switch c {
	case partHeader[s.matched]:
		s.matched++
	case partHeader[0]:
		s.matched = 1 // the letter occurs once
	default:
		s.matched = 0
	}
}

// inHeader reads on in the headers of a part. It reports whether they are too
// long.
func (s *partScan) inHeader(c byte) bool {
	s.header = append(s.header, c)
	if !bytes.HasSuffix(s.header, []byte("\n\n")) && !bytes.HasSuffix(s.header, []byte("\n\r\n")) {
		return len(s.header) == maxPartHeader
	}
	s.inValue = tenant.OverridesInPart(string(s.header))
	s.matched, s.header, s.value = 0, s.header[:0], s.value[:0]
	return false
}
