package attacks

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
)

// The types of HTTP/3's frames and streams that are written (RFC 9114,
// sections 6.2.1 and 7.2).
const (
	h3Data     = 0x00
	h3Headers  = 0x01
	h3Settings = 0x04
	h3Control  = 0x00
)

// h3Conn is HTTP/3: frames and QPACK over quic-go's streams, with no client
// between that would refuse to send something.
type h3Conn struct {
	corpus.Writer
	conn   *quic.Conn
	cancel context.CancelFunc
	ctx    context.Context
}

func dialH3(addr string, values map[string]string, roots *x509.CertPool) (*h3Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gatetest.Deadline)
	conn, err := quic.DialAddr(ctx, addr, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"h3"}}, nil)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &h3Conn{Writer: corpus.Writer{Values: values}, conn: conn, ctx: ctx, cancel: cancel}
	control, err := conn.OpenUniStream()
	if err == nil {
		_, err = control.Write([]byte{h3Control, h3Settings, 0})
	}
	return c, err
}

func (c *h3Conn) close() {
	_ = c.conn.CloseWithError(0, "")
	c.cancel()
}

func h3Frame(kind byte, payload []byte) []byte {
	return append(quicvarint.Append([]byte{kind}, uint64(len(payload))), payload...)
}

func h3Fields(fields [][2]string) []byte {
	var b bytes.Buffer
	enc := qpack.NewEncoder(&b)
	for _, f := range fields {
		_ = enc.WriteField(qpack.HeaderField{Name: f[0], Value: f[1]}) // to memory
	}
	return h3Frame(h3Headers, b.Bytes())
}

func (c *h3Conn) send(s *corpus.Step, answers int) ([]reply, error) {
	var fields [][2]string
	var err error
	if s.Kind == "request" {
		fields, err = c.RequestFields(s, "https")
	} else {
		fields, err = c.Fields(s.Lines)
	}
	if err != nil {
		return nil, err
	}
	body, err := c.Text(s.Body)
	if err != nil {
		return nil, err
	}
	trailers, err := c.TrailerFields(s)
	if err != nil {
		return nil, err
	}
	if answers != 1 {
		return nil, errors.New("a stream of HTTP/3 has one answer")
	}
	sent := h3Fields(fields)
	if s.HasBody {
		sent = append(sent, h3Frame(h3Data, []byte(body))...)
	}
	if trailers != nil {
		sent = append(sent, h3Fields(trailers)...)
	}
	return []reply{c.exchange(sent)}, nil
}

// exchange sends a request on a stream of its own.
func (c *h3Conn) exchange(sent []byte) reply {
	str, err := c.conn.OpenStreamSync(c.ctx)
	if err != nil {
		return reply{ended: true}
	}
	_ = str.SetDeadline(time.Now().Add(gatetest.Deadline))
	// The server's answer, or its lack, shows how it read the request.
	_, _ = str.Write(sent)
	_ = str.Close()
	r := reply{header: map[string]string{}}
	in := quicvarint.NewReader(str)
	for {
		kind, err := quicvarint.Read(in)
		if err != nil {
			r.ended = r.status == 0 || !errors.Is(err, io.EOF)
			return r
		}
		size, err := quicvarint.Read(in)
		if err != nil {
			return reply{ended: true}
		}
		payload := make([]byte, size)
		if _, err := io.ReadFull(in, payload); err != nil {
			return reply{ended: true}
		}
		switch kind {
		case h3Data:
			r.body += string(payload)
		case h3Headers:
			next := qpack.NewDecoder().Decode(payload)
			for f, err := next(); err == nil; f, err = next() {
				if f.Name == ":status" {
					if status, _ := strconv.Atoi(f.Value); status >= 200 {
						r.status = status
					}
				}
				r.header[f.Name] = f.Value
			}
		}
	}
}

func (c *h3Conn) honest(target, credential string) (reply, bool) {
	if c.conn.Context().Err() != nil {
		return reply{}, false
	}
	r := c.exchange(h3Fields([][2]string{
		{":method", "GET"}, {":scheme", "https"}, {":authority", c.Values["host"]}, {":path", target}, {"authorization", "Key " + credential},
	}))
	return r, c.conn.Context().Err() == nil
}
