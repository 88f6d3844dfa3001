package shadowlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLogLine bounds a line of a log, in bytes; longer ones are passed over.
const maxLogLine = 1 << 20

// Read reads a log of JSON lines, and hands out the decisions of
// shadow mode that are in it. Lines that are none are counted.
func Read(log io.Reader, take func(*Decision)) (others int, err error) {
	lines := bufio.NewReaderSize(log, maxLogLine)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			others++
			line, err = nil, passOver(lines)
		}
		if d := parseDecision(line); d != nil {
			take(d)
		} else if len(bytes.TrimSpace(line)) > 0 {
			others++
		}
		switch {
		case errors.Is(err, io.EOF):
			return others, nil
		case err != nil:
			return others, fmt.Errorf("reading the log: %w", err)
		}
	}
}

// passOver reads to the end of a line that is too long.
func passOver(lines *bufio.Reader) error {
	for {
		if _, err := lines.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// parseDecision reads a line; nil where it is no decision.
func parseDecision(line []byte) *Decision {
	var entry struct {
		Logger  string `json:"logger"`
		Message string `json:"msg"`
		Decision
	}
	// Most lines are others'. They needn't be parsed.
	if !bytes.Contains(line, []byte(Message)) || json.Unmarshal(line, &entry) != nil ||
		entry.Logger != Logger || entry.Message != Message {
		return nil
	}
	return &entry.Decision
}
