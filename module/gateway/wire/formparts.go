package wire

import (
	"bytes"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
)

// maxPartHeader and maxOverride bound what is kept of a form in parts: the
// headers of a part, and the method in one.
const (
	maxPartHeader = 8 << 10
	maxOverride   = 64
)

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
