package attacks

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
)

// h2Conn is HTTP/2, frame by frame, with no client between that would refuse
// to send something.
type h2Conn struct {
	corpus.Writer
	conn   net.Conn
	scheme string
	framer *http2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
	next   uint32 // stream
	closed bool

	streams map[uint32]*h2Stream
}

// dialH2 connects over TLS where there are roots to trust, else in clear.
func dialH2(addr string, values map[string]string, roots *x509.CertPool) (*h2Conn, error) {
	c := &h2Conn{Writer: corpus.Writer{Values: values}, scheme: "http", next: 1, streams: map[uint32]*h2Stream{}}
	var err error
	if roots != nil {
		c.scheme = "https"
		c.conn, err = tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h2"}})
	} else {
		c.conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		return nil, err
	}
	c.enc = hpack.NewEncoder(&c.block)
	c.framer = http2.NewFramer(c.conn, c.conn)
	c.framer.AllowIllegalWrites = true
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err = c.conn.Write([]byte(http2.ClientPreface))
	return c, errors.Join(c.conn.SetDeadline(time.Now().Add(gatetest.Deadline)), err, c.framer.WriteSettings())
}

func (c *h2Conn) close() { c.conn.Close() }

func (c *h2Conn) send(s *corpus.Step, answers int) ([]reply, error) {
	var err error
	first := c.next
	if s.Kind == "frames" {
		err = c.frames(s.Lines)
		first, c.next = 1, 1001
	} else {
		err = c.request(s)
	}
	if err != nil {
		return nil, err
	}
	// The answers are to the streams in their order.
	var all []reply
	for i := range answers {
		all = append(all, c.read(first+2*uint32(i)))
	}
	return all, nil
}

func (c *h2Conn) request(s *corpus.Step) (err error) {
	var fields [][2]string
	if s.Kind == "request" {
		fields, err = c.RequestFields(s, c.scheme)
	} else {
		fields, err = c.Fields(s.Lines)
	}
	if err != nil {
		return err
	}
	body, err := c.Text(s.Body)
	if err != nil {
		return err
	}
	trailers, err := c.TrailerFields(s)
	if err != nil {
		return err
	}
	id := c.next
	c.next += 2
	// The server's answer, or its lack, shows how it read the request.
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.encode(fields), EndHeaders: true, EndStream: !s.HasBody && trailers == nil,
	})
	if s.HasBody {
		_ = c.framer.WriteData(id, trailers == nil, []byte(body))
	}
	if trailers != nil {
		_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.encode(trailers), EndHeaders: true, EndStream: true})
	}
	return nil
}

func (c *h2Conn) encode(fields [][2]string) []byte {
	c.block.Reset()
	for _, f := range fields {
		_ = c.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // to memory
	}
	return bytes.Clone(c.block.Bytes())
}

// frames writes frames: a line with type, stream and flags, and below it,
// indented once more, what it carries.
func (c *h2Conn) frames(lines []string) error {
	for len(lines) > 0 {
		head := strings.Fields(lines[0])
		n := 1
		for n < len(lines) && strings.HasPrefix(lines[n], "\t") {
			n++
		}
		var content []string
		for _, line := range lines[1:n] {
			content = append(content, strings.TrimPrefix(line, "\t"))
		}
		if err := c.frame(head, content); err != nil {
			return fmt.Errorf("%s: %w", lines[0], err)
		}
		lines = lines[n:]
	}
	return nil
}

var frameTypes = map[string]http2.FrameType{
	"DATA": http2.FrameData, "HEADERS": http2.FrameHeaders, "PRIORITY": http2.FramePriority, "RST_STREAM": http2.FrameRSTStream,
	"SETTINGS": http2.FrameSettings, "PUSH_PROMISE": http2.FramePushPromise, "PING": http2.FramePing, "GOAWAY": http2.FrameGoAway,
	"WINDOW_UPDATE": http2.FrameWindowUpdate, "CONTINUATION": http2.FrameContinuation, "UNKNOWN": 0xfb,
}

var frameFlags = map[string]http2.Flags{
	"END_STREAM": http2.FlagDataEndStream, "END_HEADERS": http2.FlagHeadersEndHeaders,
	"PADDED": http2.FlagDataPadded, "PRIORITY": http2.FlagHeadersPriority,
}

func (c *h2Conn) frame(head, content []string) error {
	kind, known := frameTypes[head[0]]
	if !known || len(head) < 2 {
		return errors.New("a frame is its type, its stream and its flags")
	}
	id, err := strconv.ParseUint(head[1], 10, 32)
	if err != nil {
		return err
	}
	var flags http2.Flags
	for _, name := range head[2:] {
		flag, known := frameFlags[name]
		if !known {
			return fmt.Errorf("%s is no flag", name)
		}
		flags |= flag
	}
	var payload []byte
	if kind == http2.FrameHeaders || kind == http2.FrameContinuation {
		fields, err := c.Fields(content)
		if err != nil {
			return err
		}
		payload = c.encode(fields)
	} else {
		for _, line := range content {
			text, err := c.Text(line)
			if err != nil {
				return err
			}
			payload = append(payload, text...)
		}
	}
	_ = c.framer.WriteRawFrame(kind, flags, uint32(id), payload) // as above
	return nil
}

// read reads until a stream has been answered, and keeps what comes on others.
func (c *h2Conn) read(id uint32) reply {
	for {
		r := c.stream(id)
		if r.over || c.closed {
			r.ended = r.ended || !r.over
			return r.reply
		}
		f, err := c.framer.ReadFrame()
		if err != nil {
			c.closed = true
			continue
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			// Without an error, streams up to the last are still answered.
			c.closed = f.ErrCode != http2.ErrCodeNo || f.LastStreamID < id
		default:
			c.stream(f.Header().StreamID).take(f)
		}
	}
}

// h2Stream is what came on a stream so far.
type h2Stream struct {
	reply
	over bool
}

func (c *h2Conn) stream(id uint32) *h2Stream {
	if c.streams[id] == nil {
		c.streams[id] = &h2Stream{reply: reply{header: map[string]string{}}}
	}
	return c.streams[id]
}

func (r *h2Stream) take(f http2.Frame) {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if status, _ := strconv.Atoi(f.PseudoValue("status")); status >= 200 {
			r.status = status
		}
		for _, h := range f.RegularFields() {
			r.header[h.Name] = h.Value
		}
		r.over = r.over || f.StreamEnded()
	case *http2.DataFrame:
		r.body += string(f.Data())
		r.over = r.over || f.StreamEnded()
	case *http2.RSTStreamFrame:
		// After a whole answer it only means that no more is read.
		r.ended = !r.over && (r.status == 0 || f.ErrCode != http2.ErrCodeNo)
		r.over = true
	}
}

func (c *h2Conn) honest(target, credential string) (reply, bool) {
	if c.closed {
		return reply{}, false
	}
	id := c.next
	c.next += 2
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, EndHeaders: true, EndStream: true, BlockFragment: c.encode([][2]string{
		{":method", "GET"}, {":scheme", c.scheme}, {":authority", c.Values["host"]}, {":path", target}, {"authorization", "Key " + credential},
	})})
	r := c.read(id)
	return r, !c.closed
}
