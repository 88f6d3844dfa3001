package migrate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

func (in *reader) jsonl(source *bufio.Reader) error {
	for n := 1; ; n++ {
		line, err := readLine(source)
		if len(line) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := in.jsonLine(n, line); err != nil {
			return err
		}
	}
}

// readLine reads a line including its end.
func readLine(source *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := source.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			err = nil
		} else if line == nil {
			return part, err
		}
		line = append(line, part...)
		if len(line) > MaxElement {
			return nil, errTooLarge
		}
		if err != nil || part[len(part)-1] == '\n' {
			return line, err
		}
	}
}

// jsonLine reads a line strictly: readers may disagree about a field that is
// there twice.
func (in *reader) jsonLine(n int, line []byte) error {
	d := json.NewDecoder(bytes.NewReader(line))
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return in.wrong(n, "", "it has to be a JSON object")
	}
	fields := map[string]string{}
	lists := map[string][]string{"scopes": nil, "endpoints": nil, "addresses": nil, "resources": nil}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return in.wrong(n, "", "it is not JSON")
		}
		name, _ := token.(string)
		if !slices.Contains(columns, name) {
			return in.wrong(n, "", "it has a field that isn't known; known are %s", strings.Join(columns, ", "))
		}
		if _, twice := fields[name]; twice {
			return in.wrong(n, name, "it is there twice")
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return in.wrong(n, "", "it is not JSON")
		}
		fields[name] = ""
		var text string
		var flag bool
		var number uint64
		var texts []string
		switch {
		case json.Unmarshal(value, &text) == nil: // null too
			fields[name] = text
		case name == "disabled" && json.Unmarshal(value, &flag) == nil:
			if flag {
				fields[name] = "true"
			}
		case name == "concurrent" && json.Unmarshal(value, &number) == nil:
			fields[name] = strconv.FormatUint(number, 10)
		case json.Unmarshal(value, &texts) == nil:
			if _, ok := lists[name]; !ok {
				return in.wrong(n, name, "it is of the wrong type")
			}
			lists[name] = texts
		default:
			return in.wrong(n, name, "it is of the wrong type")
		}
	}
	if _, err := d.Token(); err != nil {
		return in.wrong(n, "", "it is not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in.wrong(n, "", "something follows the JSON object")
	}
	return in.row(n, fields, lists)
}
