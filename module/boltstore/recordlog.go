package boltstore

import (
	"bufio"
	"encoding/binary"
	"os"
)

// recordLog keeps records in a file in the order in which they come, to be read
// again by their place.
type recordLog struct {
	folder string
	file   *os.File
	out    *bufio.Writer
	end    int64
	header [rowHeader]byte
}

// add adds a record and returns its place, which is not 0.
func (l *recordLog) add(key, value []byte) (place int64, err error) {
	if l.file == nil {
		if l.file, err = unnamed(l.folder); err != nil {
			return 0, err
		}
		l.out = bufio.NewWriterSize(l.file, 1<<20)
	}
	binary.LittleEndian.PutUint32(l.header[:], uint32(len(key)))
	binary.LittleEndian.PutUint32(l.header[4:], uint32(len(value)))
	place = l.end + 1
	for _, part := range [][]byte{l.header[:], key, value} {
		if _, err := l.out.Write(part); err != nil {
			return 0, err
		}
		l.end += int64(len(part))
	}
	return place, nil
}

// read reads the record at a place.
func (l *recordLog) read(place int64) (key, value []byte, err error) {
	if err := l.out.Flush(); err != nil {
		return nil, nil, err
	}
	var header [rowHeader]byte
	if _, err := l.file.ReadAt(header[:], place-1); err != nil {
		return nil, nil, err
	}
	n := int(binary.LittleEndian.Uint32(header[:]))
	both := make([]byte, n+int(binary.LittleEndian.Uint32(header[4:])))
	if _, err := l.file.ReadAt(both, place-1+rowHeader); err != nil {
		return nil, nil, err
	}
	return both[:n], both[n:], nil
}

// close removes the file.
func (l *recordLog) close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
