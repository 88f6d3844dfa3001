package migrate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// stream walks a JSON document, or several, one element at a time.
type stream struct {
	source *lineReader
	dec    *json.Decoder
}

func newStream(r io.Reader) *stream {
	source := &lineReader{source: r}
	return &stream{source: source, dec: json.NewDecoder(source)}
}

// allow lets one more element be read.
func (s *stream) allow() { s.source.limit = s.dec.InputOffset() + MaxElement }

// token returns the next token of the document.
func (s *stream) token() (json.Token, error) {
	s.allow()
	t, err := s.dec.Token()
	return t, s.explain(err)
}

// element returns the next value, and the line that it begins on.
func (s *stream) element() (json.RawMessage, int, error) {
	s.allow()
	var value json.RawMessage
	err := s.dec.Decode(&value)
	return value, s.source.line(s.dec.InputOffset() - int64(len(value))), s.explain(err)
}

// explain turns an error of the decoder into one that names the line.
func (s *stream) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return err
	case errors.Is(err, errTooLarge):
		return fmt.Errorf("line %d: %w", s.source.line(s.dec.InputOffset()), errTooLarge)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON ends too early: the file is cut off")
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("from line %d on it is not JSON", s.source.line(s.dec.InputOffset()))
	}
	return err
}

// list calls each with every element of the next value, which is a list or null.
func (s *stream) list(each func(value json.RawMessage, line int) error) error {
	first, err := s.token()
	if err != nil || first == nil {
		return err
	}
	if first != json.Delim('[') {
		return fmt.Errorf("line %d: expected a list", s.source.line(s.dec.InputOffset()))
	}
	return s.rest(each)
}

// rest is list after the opening bracket.
func (s *stream) rest(each func(value json.RawMessage, line int) error) error {
	for s.dec.More() {
		value, line, err := s.element()
		if err != nil {
			return err
		}
		if err := each(value, line); err != nil {
			return err
		}
	}
	_, err := s.token()
	return ended(err)
}

// documents reads the objects and lists of a file. It calls field for every field
// of an object, which has to read the value, and end after each object. It calls
// each with every element of a list.
func (s *stream) documents(field func(name string) error, end func() error, each func(value json.RawMessage, line int) error) error {
	for {
		first, err := s.token()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case first == json.Delim('['):
			if err := s.rest(each); err != nil {
				return err
			}
			continue
		case first != json.Delim('{'):
			return fmt.Errorf("line %d: expected a JSON object", s.source.line(s.dec.InputOffset()))
		}
		for s.dec.More() {
			name, err := s.token()
			if err != nil {
				return ended(err)
			}
			text, _ := name.(string) // the decoder accepts nothing else here
			if err := field(text); err != nil {
				return ended(err)
			}
		}
		if _, err := s.token(); err != nil {
			return ended(err)
		}
		if err := end(); err != nil {
			return err
		}
	}
}

// skip skips the next value, however large.
func (s *stream) skip() error {
	for depth := 0; ; {
		t, err := s.token()
		if err != nil {
			return ended(err)
		}
		switch t {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// ended turns the end of the file into an error.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the JSON ends too early: the file is cut off")
	}
	return err
}

// lineReader counts lines, and reads no further than limit.
type lineReader struct {
	source io.Reader
	// read and limit are offsets in the file.
	read, limit int64
	// passed counts the line ends before the current offset. ends are the offsets
	// of later line ends that were read already.
	passed int
	ends   []int64
}

func (l *lineReader) Read(p []byte) (int, error) {
	left := l.limit - l.read
	if left <= 0 {
		return 0, errTooLarge
	}
	n, err := l.source.Read(p[:min(int64(len(p)), left)])
	for i, c := range p[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// line returns the line of an offset. Offsets never decrease.
func (l *lineReader) line(offset int64) int {
	n := sort.Search(len(l.ends), func(i int) bool { return l.ends[i] >= offset })
	l.passed += n
	l.ends = append(l.ends[:0], l.ends[n:]...)
	return l.passed + 1
}
