package gatetest

import (
	"bytes"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// HTTP2Answer is the answer to a request that was written frame by frame.
type HTTP2Answer struct {
	// Status is the response's, 0 if there is none.
	Status int
	// Reset is true if the stream or the connection was reset.
	Reset bool
	// Header has the fields of the response and of its trailers.
	Header map[string]string
}

// SendHTTP2 sends a request over HTTP/2 with its method, path and header lines
// as they are: there is no client in between that would refuse them. A nil body
// is none. Lines that follow an empty one are trailers.
func (s *Server) SendHTTP2(method, path string, body []byte, lines ...string) HTTP2Answer {
	s.T.Helper()
	pseudo := []hpack.HeaderField{
		{Name: ":method", Value: method},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: s.Addr},
		{Name: ":path", Value: path},
	}
	must := s.must
	conn, err := net.Dial("tcp", s.Addr)
	must(err)
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(Deadline)))
	_, err = conn.Write([]byte(http2.ClientPreface))
	must(err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(framer.WriteSettings())

	var trailers []string
	if i := slices.Index(lines, ""); i >= 0 {
		lines, trailers = lines[:i], lines[i+1:]
	}
	must(framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: encode(append(pseudo, headerFields(lines)...)),
		EndHeaders: true, EndStream: body == nil && trailers == nil,
	}))
	if body != nil {
		must(framer.WriteData(1, trailers == nil, body))
	}
	if trailers != nil {
		must(framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: encode(headerFields(trailers)), EndHeaders: true, EndStream: true,
		}))
	}
	return s.readHTTP2(framer)
}

// readHTTP2 reads frames until the response or the connection ends.
func (s *Server) readHTTP2(framer *http2.Framer) (a HTTP2Answer) {
	s.T.Helper()
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			a.Reset = true
			return a
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				s.must(framer.WriteSettingsAck())
			}
		case *http2.MetaHeadersFrame:
			if a.Header == nil {
				a.Header = map[string]string{}
			}
			for _, h := range f.Fields {
				a.Header[h.Name] = h.Value
			}
			a.Status, _ = strconv.Atoi(a.Header[":status"])
			if f.StreamEnded() {
				return a
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return a
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			a.Reset = true
			return a
		}
	}
}

func (s *Server) must(err error) {
	s.T.Helper()
	if err != nil {
		s.T.Fatal(err)
	}
}

func headerFields(lines []string) (fields []hpack.HeaderField) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		fields = append(fields, hpack.HeaderField{Name: strings.ToLower(name), Value: value})
	}
	return fields
}

func encode(fields []hpack.HeaderField) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range fields {
		_ = enc.WriteField(f) // to memory
	}
	return b.Bytes()
}
