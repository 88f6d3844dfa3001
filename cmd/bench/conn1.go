package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
)

// conn1 speaks HTTP/1.1. It has one slot. It reads no more of a response than it
// needs to find its end.
type conn1 struct {
	raw  net.Conn
	in   *bufio.Reader
	want string
}

func newConn1(raw net.Conn, want expectation) *conn1 {
	return &conn1{raw: raw, in: bufio.NewReader(raw), want: want.status}
}

func (c *conn1) close() { _ = c.raw.Close() }

func (c *conn1) send(_ int, r *request) error {
	_, err := c.raw.Write(r.wire)
	return err
}

// errCloses is returned if a contender closes connections.
var errCloses = errors.New("the contender closes the connection after a response")

func (c *conn1) receive() (int, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	const status = len("HTTP/1.1 ")
	if len(line) < status+3 || string(line[status:status+3]) != c.want {
		return 0, fmt.Errorf("the contender answers %q, want %s", bytes.TrimSpace(line), c.want)
	}
	length := -1
	for {
		if line, err = c.in.ReadSlice('\n'); err != nil {
			return 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch {
		case len(name) == 0 && length < 0:
			return 0, c.skipChunks()
		case len(name) == 0:
			_, err := c.in.Discard(length)
			return 0, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, fmt.Errorf("reading a response: %w", err)
			}
		case bytes.EqualFold(name, []byte("Connection")) && bytes.EqualFold(value, []byte("close")):
			return 0, errCloses
		}
	}
}

// skipChunks reads a chunked body. Every response without Content-Length has one.
func (c *conn1) skipChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("reading a chunk of a response: %w", err)
		}
		if _, err := c.in.Discard(int(size) + len("\r\n")); err != nil {
			return err
		}
		if size == 0 {
			return nil
		}
	}
}
