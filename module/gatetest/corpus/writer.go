package corpus

import (
	"fmt"
	"strings"
)

// Writer turns steps into what is sent.
type Writer struct {
	// Values are those of the names in braces.
	Values map[string]string
}

// Text returns a text of a case with its escapes and names replaced.
func (w *Writer) Text(text string) (string, error) { return Unescape(text, w.Values) }

// Fields returns the names and values of header lines. A name keeps its spelling.
func (w *Writer) Fields(lines []string) (fields [][2]string, err error) {
	for _, line := range lines {
		line, err := w.Text(line)
		if err != nil {
			return nil, err
		}
		at := strings.Index(line[min(1, len(line)):], ":")
		if at < 0 {
			return nil, fmt.Errorf("the header line %q has no colon", line)
		}
		fields = append(fields, [2]string{line[:at+1], strings.TrimPrefix(line[at+2:], " ")})
	}
	return fields, nil
}

// RequestFields returns the fields of a request step over HTTP/2 and HTTP/3. Lines
// that begin with a colon replace its own pseudo-headers.
func (w *Writer) RequestFields(step *Step, scheme string) ([][2]string, error) {
	method, target, _ := strings.Cut(step.Text, " ")
	target, err := w.Text(target)
	if err != nil {
		return nil, err
	}
	fields := [][2]string{{":method", method}, {":scheme", scheme}, {":authority", w.Values["host"]}, {":path", target}}
	own, err := w.Fields(step.Lines)
	if err != nil {
		return nil, err
	}
	for _, f := range own {
		switch {
		case strings.EqualFold(f[0], "Host"):
			fields[2][1] = f[1]
		default:
			fields = append(fields, [2]string{strings.ToLower(f[0]), f[1]})
		}
	}
	return fields, nil
}

// TrailerFields returns the trailers of a step over HTTP/2 and HTTP/3.
func (w *Writer) TrailerFields(step *Step) ([][2]string, error) {
	fields, err := w.Fields(step.Trailers)
	if step.Kind == "request" {
		for i := range fields {
			fields[i][0] = strings.ToLower(fields[i][0])
		}
	}
	return fields, err
}

// Request writes a request step over HTTP/1.1 as a plain client would, and returns
// its method.
func (w *Writer) Request(b *strings.Builder, s *Step) (method string, err error) {
	method, target, _ := strings.Cut(s.Text, " ")
	if target, err = w.Text(target); err != nil {
		return "", err
	}
	fields, err := w.Fields(s.Lines)
	if err != nil {
		return "", err
	}
	body, err := w.Text(s.Body)
	if err != nil {
		return "", err
	}
	trailers, err := w.Fields(s.Trailers)
	if err != nil {
		return "", err
	}
	has := func(name string) bool {
		for _, f := range fields {
			if strings.EqualFold(f[0], name) {
				return true
			}
		}
		return false
	}
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\n", method, target)
	if !has("Host") {
		fmt.Fprintf(b, "Host: %s\r\n", w.Values["host"])
	}
	for _, f := range fields {
		fmt.Fprintf(b, "%s: %s\r\n", f[0], f[1])
	}
	switch {
	case trailers != nil:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		if body != "" {
			fmt.Fprintf(b, "%x\r\n%s\r\n", len(body), body)
		}
		b.WriteString("0\r\n")
		for _, f := range trailers {
			fmt.Fprintf(b, "%s: %s\r\n", f[0], f[1])
		}
		b.WriteString("\r\n")
	case s.HasBody && !has("Content-Length"):
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	default:
		b.WriteString("\r\n" + body)
	}
	return method, nil
}
