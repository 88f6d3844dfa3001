package migrate

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// columns are the columns of a CSV file, and the fields of a line of JSON Lines.
var columns = []string{"credential", "sha256", "user", "app", "type", "description", "scopes", "endpoints", "plan", "rate", "quota", "concurrent", "addresses", "resources", "expires_at", "disabled"}

func (in *reader) csv(source *bufio.Reader) error {
	limited := &limitedReader{source: source, left: MaxElement}
	r := csv.NewReader(limited)
	r.ReuseRecord = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return errors.New("line 1: it can't be read as CSV; write the names of the columns there")
	}
	names := make([]string, len(header))
	for i, name := range header {
		// A file without a header has a credential here, so it isn't repeated.
		names[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(columns, names[i]) {
			return fmt.Errorf("line 1: column %d isn't known; the first line has to name the columns, and known are %s", i+1, strings.Join(columns, ", "))
		}
		if slices.Contains(names[:i], names[i]) {
			return fmt.Errorf("line 1: the column %s is there twice", names[i])
		}
	}
	if !slices.Contains(names, "credential") && !slices.Contains(names, "sha256") {
		return errors.New("line 1: neither a column credential nor a column sha256 is named")
	}
	for {
		limited.left = MaxElement
		cells, err := r.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &parse) && errors.Is(err, csv.ErrFieldCount):
			err = in.wrong(parse.StartLine, "", "it has %d columns, and the first line names %d", len(cells), len(names))
		case errors.As(err, &parse):
			err = in.wrong(parse.StartLine, "", "it can't be read as CSV: a quotation mark stands where none can be, or is missing")
		case err == nil:
			line, _ := r.FieldPos(0)
			fields := map[string]string{}
			for i, cell := range cells {
				fields[names[i]] = strings.TrimSpace(cell)
			}
			err = in.row(line, fields, nil)
		}
		if err != nil {
			return err
		}
	}
}

// row makes a key from the fields of a line. It reads lists that are nil from the
// fields.
func (in *reader) row(line int, fields map[string]string, lists map[string][]string) error {
	list := func(name string) []string {
		if lists[name] != nil {
			return lists[name]
		}
		return several(fields[name])
	}
	k := Record{
		Line: line, Credential: fields["credential"], SHA256: fields["sha256"], Name: fields["description"],
		User: fields["user"], App: fields["app"], Type: fields["type"], Description: fields["description"],
		Scopes: list("scopes"), Endpoints: list("endpoints"), Addresses: list("addresses"),
		Plan: fields["plan"], Rate: fields["rate"], Quota: fields["quota"],
	}
	var ok bool
	if k.Concurrent, ok = count(fields["concurrent"]); !ok {
		return in.wrong(line, "concurrent", "it has to be a number of at least 1")
	}
	if k.Resources, ok = valuesOf(list("resources")); !ok {
		return in.wrong(line, "resources", "one of them is not a resource with a value, such as model=llama-3*")
	}
	if k.ExpiresAt, ok = expiry(fields["expires_at"]); !ok {
		return in.wrong(line, "expires_at", "it has to be a time of RFC 3339, such as 2030-12-31T23:59:59Z, or a date")
	}
	if k.Disabled, ok = truth(fields["disabled"]); !ok {
		return in.wrong(line, "disabled", "it has to be true or false")
	}
	if k.Credential != "" && k.SHA256 != "" {
		return in.wrong(line, "credential", "it has both credential and sha256: leave out one")
	}
	return in.key(k)
}

// errTooLarge ends the reading of a file with an element that is too large.
var errTooLarge = fmt.Errorf("one element is larger than %d bytes; a quotation mark or bracket may be missing, or it has to be split", MaxElement)

// limitedReader reads at most left bytes; left is reset for each element.
type limitedReader struct {
	source io.Reader
	left   int
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, errTooLarge
	}
	n, err := l.source.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
