package corpus

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ReadStrictly reads a request over HTTP/1.1, to the letter of RFC 9112. At the end
// of the input there is none.
func ReadStrictly(in *bufio.Reader) (*Request, error) { return new(Recorder).read(in) }

func (r *Request) readHead(in *bufio.Reader) (length int64, chunked bool, err error) {
	line, err := crlfLine(in)
	if err != nil {
		return 0, false, err
	}
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" || parts[0] == "" || parts[1] == "" {
		return 0, false, fmt.Errorf("the request line %q", line)
	}
	r.Method, r.Target = parts[0], parts[1]
	if r.Lines, err = headerLines(in); err != nil {
		return 0, false, err
	}
	for _, line := range r.Lines {
		switch name, value, _ := strings.Cut(line, ": "); {
		case strings.EqualFold(name, "Content-Length"):
			if length > 0 || chunked {
				return 0, false, errors.New("more than one length")
			}
			if length, err = strconv.ParseInt(value, 10, 64); err != nil {
				return 0, false, err
			}
		case strings.EqualFold(name, "Transfer-Encoding"):
			if length > 0 || chunked || value != "chunked" {
				return 0, false, errors.New("another transfer encoding")
			}
			chunked = true
		}
	}
	return length, chunked, nil
}

func crlfLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(line, "\r\x00") {
		return "", fmt.Errorf("the line %q", line)
	}
	return line, nil
}

// headerLines reads to the empty line.
func headerLines(in *bufio.Reader) (lines []string, err error) {
	for {
		line, err := crlfLine(in)
		if err != nil || line == "" {
			return lines, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) || !strings.HasPrefix(value, " ") || strings.TrimSpace(value) != value[1:] {
			return nil, fmt.Errorf("the header line %q", line)
		}
		lines = append(lines, line)
	}
}

// isToken reports whether a text may be a field's name (RFC 9110, section
// 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func readChunks(in *bufio.Reader) (body []byte, trailers []string, err error) {
	for {
		line, err := crlfLine(in)
		if err != nil {
			return body, nil, err
		}
		n, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return body, nil, fmt.Errorf("the chunk's length %q", line)
		}
		if n == 0 {
			trailers, err = headerLines(in)
			return body, trailers, err
		}
		chunk := make([]byte, n)
		if _, err := io.ReadFull(in, chunk); err != nil {
			return body, nil, err
		}
		body = append(body, chunk...)
		if line, err = crlfLine(in); err != nil || line != "" {
			return body, nil, fmt.Errorf("a chunk that is longer than it says: %w", err)
		}
	}
}
