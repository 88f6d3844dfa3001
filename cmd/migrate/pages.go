package migrate

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// pages finds out whether a file that holds an API's answer is one page of a
// longer list. A file may hold several pages, one after the other.
type pages struct {
	// next is the field by which the current page names the next one, and after
	// that of the page before. They are empty on the last page.
	next, after string
	line        int
	// field is the name of the field total, which is the length of the whole
	// list. listed is how many elements this document has, and have sums them up
	// for each total.
	field         string
	total, listed int
	have          map[int]int
}

// next reads a field that is empty on the last page.
func (in *reader) next(s *stream, name string) error {
	value, line, err := s.element()
	if err != nil {
		return ended(err)
	}
	switch string(value) {
	case "null", `""`, "false", "[]":
	default:
		in.pages.next, in.pages.line = name, line
	}
	return nil
}

// endPage ends a page.
func (in *reader) endPage() error {
	in.pages.after, in.pages.next = in.pages.next, ""
	return nil
}

// total reads the field that counts all elements or pages.
func (in *reader) total(s *stream, name string) error {
	value, line, err := s.element()
	if err != nil {
		return ended(err)
	}
	var n json.Number
	if json.Unmarshal(value, &n) == nil {
		if total, err := strconv.Atoi(n.String()); err == nil {
			in.pages.field, in.pages.total, in.pages.line = name, total, line
		}
	}
	return nil
}

// endTotal ends a document that may have a total.
func (in *reader) endTotal() {
	p := &in.pages
	if p.total > 0 {
		if p.have == nil {
			p.have = map[int]int{}
		}
		if len(p.have) < maxSources {
			p.have[p.total] += p.listed
		}
	}
	p.total, p.listed = 0, 0
}

// morePages warns of pages that the file lacks.
func (in *reader) morePages() error {
	p := &in.pages
	if p.after != "" {
		return in.more(p.after, "it is not empty, so there are more pages")
	}
	for total, have := range p.have {
		if have < total {
			return in.more(p.field, fmt.Sprintf("it is %d, but the file has %d, so there are more pages", total, have))
		}
	}
	return nil
}

func (in *reader) more(field, why string) error {
	return in.emit(Record{}, &Problem{
		Line: in.pages.line, Field: field, Warning: true,
		Reason: why + " of keys that this file lacks: dump and import them too",
	})
}
