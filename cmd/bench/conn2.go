package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// streams is how many requests a connection of HTTP/2 has under way.
	streams = 4
	// firstWindow is what a server may be sent of bodies before it says more.
	firstWindow = 65535
	// ownWindow is what a server may send us before we say more.
	ownWindow = 1 << 30
)

// conn2 speaks HTTP/2.
type conn2 struct {
	raw    net.Conn
	framer *http2.Framer
	want   expectation

	// Under mu, because two goroutines write.
	mu      sync.Mutex
	out     *bufio.Writer
	fields  bytes.Buffer
	encoder *hpack.Encoder
	next    uint32         // ID of the next stream
	open    map[uint32]int // slots by the IDs of their streams
	window  int            // what the server may be sent

	received int // bytes of bodies since the server was told of room
}

func newConn2(raw net.Conn, want expectation) (*conn2, error) {
	c := &conn2{raw: raw, want: want, out: bufio.NewWriter(raw), next: 1, open: map[uint32]int{}, window: firstWindow}
	c.encoder = hpack.NewEncoder(&c.fields)
	c.framer = http2.NewFramer(c.out, bufio.NewReader(raw))
	c.framer.SetReuseFrames()
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, err := io.WriteString(c.out, http2.ClientPreface)
	err = errors.Join(err,
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20}),
		c.framer.WriteWindowUpdate(0, ownWindow-firstWindow),
		c.out.Flush())
	if err != nil {
		c.close()
		return nil, fmt.Errorf("beginning HTTP/2: %w", err)
	}
	return c, nil
}

func (c *conn2) close() { _ = c.raw.Close() }

// errWindow is returned if a contender doesn't make room for bodies.
var errWindow = errors.New("the contender's flow control leaves no room for a body")

func (c *conn2) send(slot int, r *request) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.window -= len(r.body); c.window < 0 {
		return errWindow
	}
	id := c.next
	c.next += 2
	c.open[id] = slot
	c.fields.Reset()
	for _, f := range r.fields {
		if err := c.encoder.WriteField(f); err != nil {
			return err
		}
	}
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: c.fields.Bytes(), EndHeaders: true, EndStream: r.body == nil,
	})
	if err == nil && r.body != nil {
		err = c.framer.WriteData(id, true, r.body)
	}
	return errors.Join(err, c.out.Flush())
}

// write writes frames other than those of requests.
func (c *conn2) write(frames func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(frames(), c.out.Flush())
}

func (c *conn2) receive() (int, error) {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return 0, err
		}
		ends := false
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			if err := c.check(f); err != nil {
				return 0, err
			}
			ends = f.StreamEnded()
		case *http2.DataFrame:
			if err := c.makeRoom(int(f.Length)); err != nil {
				return 0, err
			}
			ends = f.StreamEnded()
		default:
			if err := c.control(frame); err != nil {
				return 0, err
			}
		}
		if ends {
			return c.finish(frame.Header().StreamID)
		}
	}
}

// finish returns the slot of a stream that has ended, which is free again.
func (c *conn2) finish(id uint32) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot, ok := c.open[id]
	if !ok {
		return 0, fmt.Errorf("stream %d has ended, and it isn't open", id)
	}
	delete(c.open, id)
	return slot, nil
}

// check compares the header or trailer of a response with the expected one.
func (c *conn2) check(f *http2.MetaHeadersFrame) error {
	for _, field := range f.Fields {
		switch {
		case field.Name == ":status" && field.Value != c.want.status:
			return fmt.Errorf("the contender answers %v, want status %s", f.Fields, c.want.status)
		case field.Name == "grpc-status" && field.Value != c.want.call:
			return fmt.Errorf("the contender answers %v, want grpc-status %s", f.Fields, c.want.call)
		}
	}
	return nil
}

// makeRoom tells the server from time to time that it may send more.
func (c *conn2) makeRoom(n int) error {
	if c.received += n; c.received < ownWindow/2 {
		return nil
	}
	room := uint32(c.received)
	c.received = 0
	return c.write(func() error { return c.framer.WriteWindowUpdate(0, room) })
}

// control handles the frames that don't belong to a response.
func (c *conn2) control(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return c.write(c.framer.WriteSettingsAck)
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.write(func() error { return c.framer.WritePing(true, f.Data) })
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.window += int(f.Increment)
		}
	case *http2.GoAwayFrame:
		return fmt.Errorf("the contender ends the connection: %v %s", f.ErrCode, f.DebugData())
	case *http2.RSTStreamFrame:
		// A server that answers before it has read the body ends the stream
		// after that.
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, ok := c.open[f.StreamID]; ok {
			return fmt.Errorf("the contender ends stream %d: %v", f.StreamID, f.ErrCode)
		}
	}
	return nil
}
