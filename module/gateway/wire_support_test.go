package gateway_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is what one HTTP/2 request, written frame by frame, was answered.
type frames struct {
	status int
	reset  bool
	header map[string]string
}

// sendHTTP2 writes a request's pseudo-headers and headers as they are, with no
// client between that would refuse some of them. body nil is none; trailers
// are lines behind an empty one.
func (w *world) sendHTTP2(method, path string, body []byte, lines ...string) frames {
	w.t.Helper()
	pseudo := []hpack.HeaderField{
		{Name: ":method", Value: method}, {Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: w.addr}, {Name: ":path", Value: path},
	}
	return w.sendFrames(pseudo, body, lines...)
}

func (w *world) sendFrames(pseudo []hpack.HeaderField, body []byte, lines ...string) (got frames) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	must(conn.SetDeadline(time.Now().Add(deadline)))
	_, err = conn.Write([]byte(http2.ClientPreface))
	must(err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	must(framer.WriteSettings())

	var trailers []string
	for i, line := range lines {
		if line == "" {
			lines, trailers = lines[:i], lines[i+1:]
			break
		}
	}
	fields := pseudo
	for _, line := range lines {
		fields = append(fields, field(line))
	}
	must(framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: encode(fields), EndHeaders: true, EndStream: body == nil && trailers == nil,
	}))
	if body != nil {
		must(framer.WriteData(1, trailers == nil, body))
	}
	if trailers != nil {
		var fields []hpack.HeaderField
		for _, line := range trailers {
			fields = append(fields, field(line))
		}
		must(framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, BlockFragment: encode(fields), EndHeaders: true, EndStream: true,
		}))
	}
	for {
		f, err := framer.ReadFrame()
		if err != nil {
			got.reset = true
			return got
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				must(framer.WriteSettingsAck())
			}
		case *http2.MetaHeadersFrame:
			if got.header == nil {
				got.header = map[string]string{}
			}
			for _, h := range f.Fields {
				got.header[h.Name] = h.Value
			}
			got.status, _ = strconv.Atoi(got.header[":status"])
			if f.StreamEnded() {
				return got
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return got
			}
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			got.reset = true
			return got
		}
	}
}

func field(line string) hpack.HeaderField {
	name, value, _ := strings.Cut(line, ": ")
	return hpack.HeaderField{Name: strings.ToLower(name), Value: value}
}

func encode(fields []hpack.HeaderField) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range fields {
		_ = enc.WriteField(f) // to memory
	}
	return b.Bytes()
}

// raw writes bytes to a new connection, and answers the status that comes
// back first: 0 if the connection was closed without.
func (w *world) raw(text string) int {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
