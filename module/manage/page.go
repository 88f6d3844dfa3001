package manage

import (
	"iter"
	"net/url"
	"strconv"
)

// The sizes of a page.
const (
	defaultPage = 20
	maxPage     = 1000
	lastPage    = 1_000_000_000
)

// page is the requested part of a list.
type page struct {
	skip, size int
	after      uint64
	cursors    cursors
	// place is after in the list of the keys of all users.
	place place
}

// readPage reads the input of a call that answers a list.
func (r *request) readPage(p *page) (err error) {
	*p, err = r.page()
	return err
}

// page reads page and per_page, or after, from the query.
func (r *request) page() (page, error) { return r.pageOf(r.cursors()) }

// pageOf is page for a list with cursors of its own.
func (r *request) pageOf(places cursors) (page, error) {
	p := page{size: defaultPage, cursors: places}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return p, refuse(CodeInvalid, "", "the query can't be read; page, per_page and after are known")
	}
	number := 1
	for _, want := range []struct {
		name string
		into *int
		most int
	}{{"page", &number, lastPage}, {"per_page", &p.size, maxPage}} {
		if !query.Has(want.name) {
			continue
		}
		n, err := strconv.Atoi(query.Get(want.name))
		if err != nil || n < 1 || n > want.most || len(query[want.name]) > 1 {
			return p, refuse(CodeInvalid, want.name, "it has to be one number from 1 to %d", want.most)
		}
		*want.into = n
	}
	if query.Has("after") {
		var ok bool
		if places.everyone {
			p.place, ok = p.cursors.openPlace(query.Get("after"))
		} else {
			p.after, ok = p.cursors.open(query.Get("after"))
		}
		if !ok || len(query["after"]) > 1 || query.Has("page") {
			return p, refuse(CodeInvalid, "after", "it has to be the next of an earlier answer of this list, given once and without page")
		}
	}
	p.skip = (number - 1) * p.size
	return p, nil
}

// take reads one page of a list, with the elements that keep accepts. It holds only
// one page in memory. next is the beginning of the next page.
func take[T any](list iter.Seq2[T, error], p page, seq func(T) uint64, keep func(T) bool) (found []T, next string, err error) {
	for v, err := range list {
		switch {
		case err != nil:
			return nil, "", err
		case !keep(v):
		case p.skip > 0:
			p.skip--
		case len(found) == p.size:
			return found, p.cursors.seal(seq(found[p.size-1])), nil
		default:
			found = append(found, v)
		}
	}
	return found, "", nil
}

// maxScanned limits how many records one page reads, because few of them may be
// selected.
const maxScanned = 10_000

// choice is what [scan] does with a record.
type choice int

const (
	leftOut choice = iota
	chosen
	// ended means that no record from here on is chosen.
	ended
)

// scan is [take] for a long list of which few records may be selected. It stops
// after maxScanned records, and returns the records found so far and where to
// continue.
func scan[T any](list iter.Seq2[T, error], p page, seq func(T) uint64, choose func(*T) (choice, error)) (found []T, next string, err error) {
	skip, seen, last := p.skip, 0, p.after
	for v, err := range list {
		if err != nil {
			return nil, "", err
		}
		is, err := choose(&v)
		switch {
		case err != nil:
			return nil, "", err
		case is == ended:
			return found, "", nil
		case seen == maxScanned && p.skip > 0:
			return nil, "", errDeepPage()
		case seen == maxScanned:
			return found, p.cursors.seal(last), nil
		}
		seen++
		switch {
		case is == leftOut:
		case skip > 0:
			skip--
		case len(found) == p.size:
			return found, p.cursors.seal(seq(found[p.size-1])), nil
		default:
			found = append(found, v)
		}
		last = seq(v)
	}
	return found, "", nil
}

func errDeepPage() *Error {
	return refuse(CodeInvalid, "page", "finding this page takes too long; leave page out, and continue with the next of each answer as after")
}

func everyOne[T any](T) bool { return true }
