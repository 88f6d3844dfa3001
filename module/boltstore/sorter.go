package boltstore

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
)

// sorter sorts more entries than fit into memory, by their keys. It writes them
// to a file in sorted runs, and merges these.
type sorter struct {
	folder string
	// most is how many bytes a run has.
	most int

	text []byte
	rows []row
	// spareText and spareRows are those of the last run, for the next one.
	spareText []byte
	spareRows []row
	file      *os.File
	// runs are the ends of the runs in the file. The last one may still be
	// written; written gets its error.
	runs    []int64
	written chan error
}

// row is an entry in the text of a sorter: where it begins, and where its key
// and its value end.
type row struct{ at, key, end uint32 }

// runBytes is how many bytes a run has at most, unless a single entry has more.
const runBytes = 16 << 20

func newSorter(folder string) *sorter { return &sorter{folder: folder, most: runBytes} }

// add adds an entry. It keeps neither key nor value.
func (s *sorter) add(key, value []byte) error {
	if len(s.text)+len(key)+len(value) > s.most && len(s.rows) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	if s.text == nil {
		s.text = make([]byte, 0, s.most) // to grow it step by step would cost more than to sort it
	}
	at := len(s.text)
	s.text = append(append(s.text, key...), value...)
	s.rows = append(s.rows, row{uint32(at), uint32(at + len(key)), uint32(len(s.text))})
	return nil
}

// spill begins to write what was added as a run.
func (s *sorter) spill() error {
	if err := s.wait(); err != nil {
		return err
	}
	if s.file == nil {
		file, err := unnamed(s.folder)
		if err != nil {
			return err
		}
		s.file = file
	}
	text, rows := s.text, s.rows
	s.text, s.rows = s.spareText[:0], s.spareRows[:0] // nil for the first time
	s.spareText, s.spareRows = text, rows
	size := int64(0)
	for _, r := range rows {
		size += int64(rowHeader + r.end - r.at)
	}
	s.runs = append(s.runs, s.end()+size)
	s.written = make(chan error, 1)
	go func() { s.written <- writeRun(s.file, text, rows) }()
	return nil
}

// wait waits for a run that is being written.
func (s *sorter) wait() error {
	if s.written == nil {
		return nil
	}
	err := <-s.written
	s.written = nil
	return err
}

// end is where the last run ends.
func (s *sorter) end() int64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1]
}

// rowHeader is the size of the lengths before a key and a value.
const rowHeader = 8

func writeRun(file io.Writer, text []byte, rows []row) error {
	sortRows(text, rows)
	out := bufio.NewWriterSize(file, 1<<20)
	var header [rowHeader]byte
	for _, r := range rows {
		binary.LittleEndian.PutUint32(header[:], r.key-r.at)
		binary.LittleEndian.PutUint32(header[4:], r.end-r.key)
		_, err1 := out.Write(header[:])
		_, err2 := out.Write(text[r.at:r.end])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	return out.Flush()
}

func sortRows(text []byte, rows []row) {
	slices.SortFunc(rows, func(a, b row) int { return bytes.Compare(text[a.at:a.key], text[b.at:b.key]) })
}

// each calls yield with every entry, in the order of their keys. Nothing may be
// added afterwards.
func (s *sorter) each(yield func(key, value []byte) error) error {
	if err := s.wait(); err != nil {
		return err
	}
	sortRows(s.text, s.rows)
	var runs merge
	if len(s.rows) > 0 {
		runs = append(runs, &run{text: s.text, rows: s.rows})
	}
	begin := int64(0)
	for _, end := range s.runs {
		runs = append(runs, &run{in: bufio.NewReaderSize(io.NewSectionReader(s.file, begin, end-begin), readBytes)})
		begin = end
	}
	for _, r := range runs {
		if err := r.next(); err != nil {
			return err
		}
	}
	heap.Init(&runs)
	for len(runs) > 0 {
		first := runs[0]
		if err := yield(first.key, first.value); err != nil {
			return err
		}
		switch err := first.next(); {
		case errors.Is(err, io.EOF):
			heap.Pop(&runs)
		case err != nil:
			return err
		default:
			heap.Fix(&runs, 0)
		}
	}
	return nil
}

// close removes the file.
func (s *sorter) close() error {
	err := s.wait()
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	return err
}

// unnamed makes a file that nobody finds, and that goes when it is closed or
// the process ends. Windows has no such files.
func unnamed(folder string) (*os.File, error) {
	file, err := os.CreateTemp(folder, ".import-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// readBytes is how much of a run is read at once.
const readBytes = 128 << 10

// run is a sorted run: a part of the file, or the rows that were never written.
type run struct {
	in   *bufio.Reader
	text []byte
	rows []row

	buffer     []byte
	key, value []byte
}

// next reads the next entry, and returns io.EOF if there is none.
func (r *run) next() error {
	if r.in == nil {
		if len(r.rows) == 0 {
			return io.EOF
		}
		first := r.rows[0]
		r.rows = r.rows[1:]
		r.key, r.value = r.text[first.at:first.key], r.text[first.key:first.end]
		return nil
	}
	var header [rowHeader]byte
	if _, err := io.ReadFull(r.in, header[:]); err != nil {
		return err
	}
	key, value := int(binary.LittleEndian.Uint32(header[:])), int(binary.LittleEndian.Uint32(header[4:]))
	r.buffer = slices.Grow(r.buffer[:0], key+value)[:key+value]
	if _, err := io.ReadFull(r.in, r.buffer); err != nil {
		return errors.Join(io.ErrUnexpectedEOF, err)
	}
	r.key, r.value = r.buffer[:key], r.buffer[key:]
	return nil
}

// merge is a heap of runs, the one with the first key on top.
type merge []*run

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].key, m[j].key) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(r any)        { *m = append(*m, r.(*run)) }
func (m *merge) Pop() any {
	old := *m
	last := old[len(old)-1]
	*m = old[:len(old)-1]
	return last
}
