package wire

import (
	"bytes"
	"context"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
)

// maxPair bounds what is kept of a pair of a form, with its value.
const maxPair = 4 << 10

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
