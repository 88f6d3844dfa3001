package gateway_test

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"testing"
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

// TestPseudoHeaders is what only frames can say. Nothing of it reaches the
// upstream.
func TestPseudoHeaders(t *testing.T) {
	w := start(t, "route * /public/{rest=**} Public:Get\nroute grpc /pkg.Service/Method Public:Get")
	w.user("alice")
	w.app("alice", "shop")
	auth := "authorization: Key " + w.key("alice", "shop", "Public:Get")
	smuggled := []byte("GET /admin HTTP/1.1\r\nHost: a\r\nX-Caller-User-Id: forged\r\n\r\n")
	pseudo := func(pairs ...string) (fields []hpack.HeaderField) {
		for i := 0; i < len(pairs); i += 2 {
			fields = append(fields, hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return fields
	}
	for _, tt := range []struct {
		name   string
		pseudo []hpack.HeaderField
		body   []byte
		lines  []string
		// server says that net/http answers, and no handler is asked.
		server bool
	}{
		{"CONNECT with a body (GHSA-3ccp-42pg-hgv6)", pseudo(":method", "CONNECT", ":authority", w.addr), smuggled, nil, false},
		{"CONNECT with a path", pseudo(":method", "CONNECT", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), smuggled, nil, false},
		{"extended CONNECT", pseudo(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), nil, nil, false},
		{"a method with a request in it", pseudo(":method", "GET /admin HTTP/1.1", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), nil, nil, false},
		{"a path without a slash (CVE-2026-33186)", pseudo(":method", "POST", ":scheme", "http", ":authority", w.addr, ":path", "pkg.Service/Method"), nil, []string{"content-type: application/grpc"}, false},
		{"a path with a host", pseudo(":method", "GET", ":scheme", "http", ":authority", w.addr, ":path", "http://a/public/x"), nil, nil, false},
		{"an asterisk", pseudo(":method", "OPTIONS", ":scheme", "http", ":authority", w.addr, ":path", "*"), nil, nil, true},
		{"an empty path", pseudo(":method", "GET", ":scheme", "http", ":authority", w.addr, ":path", ""), nil, nil, false},
		{"Transfer-Encoding", pseudo(":method", "POST", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), smuggled, []string{"transfer-encoding: chunked"}, false},
		{"Connection", pseudo(":method", "GET", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), nil, []string{"connection: x-caller-user-id"}, false},
		{"Upgrade", pseudo(":method", "GET", ":scheme", "http", ":authority", w.addr, ":path", "/public/x"), nil, []string{"upgrade: h2c"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := w.sendFrames(tt.pseudo, tt.body, append(tt.lines, auth)...)
			if got.status < 400 && !got.reset && !tt.server && got.header["grpc-status"] == "" {
				t.Errorf("answered %+v", got)
			}
			if n := w.upstream.count(); n != 0 {
				t.Errorf("the upstream was reached: %+v", w.upstream.last())
			}
		})
	}
}
