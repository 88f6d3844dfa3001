package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// bbolt maps a file into memory and follows what it finds there: a damaged
// page can lead it outside of the map, or round in circles, and either ends
// the process. So every page is looked at here before bbolt is let at a file
// that may be damaged, with nothing believed that was not checked.
//
// This is bbolt's format 2, which hasn't changed since 2014, in the byte order
// of the machine.

const (
	pageHeader  = 16
	elementSize = 16
	metaSize    = 64

	branchFlag   = 0x01
	leafFlag     = 0x02
	freelistFlag = 0x10
	bucketFlag   = 0x01 // of an element of a leaf

	noFreelist = math.MaxUint64
	// deepest is far more levels than any tree has.
	deepest = 64
)

var native = binary.NativeEndian

// pages is a walk over the pages of a file.
type pages struct {
	ctx      context.Context
	file     io.ReaderAt
	pageSize int
	// high is the number of pages that are in use or free.
	high uint64
	// met has a bit for each page that was come by.
	met []uint64
	// rootsOnly leaves out what is below the root of a bucket, and inBucket is
	// true there.
	rootsOnly, inBucket bool
}

// checkTree refuses a file in which a page is not as bbolt writes it.
func checkTree(ctx context.Context, file io.ReaderAt, size int64, pageSize int) error {
	return (&pages{ctx: ctx, file: file, pageSize: pageSize}).check(size)
}

// checkRoots is checkTree for the pages that bbolt needs to open a file: the
// meta pages, the free list and the roots of the buckets. It takes as long for a
// large file as for a small one.
func checkRoots(file io.ReaderAt, size int64, pageSize int) error {
	return (&pages{ctx: context.Background(), file: file, pageSize: pageSize, rootsOnly: true}).check(size)
}

func (p *pages) check(size int64) error {
	root, freelist, err := p.newestMeta(size)
	if err != nil {
		return err
	}
	p.met = make([]uint64, p.high/64+1)
	if err := p.meet(0, 1); err != nil {
		return err
	}
	if err := p.tree(root, nil, nil, 0); err != nil {
		return err
	}
	return p.freelist(freelist)
}

// newestMeta reads the meta page that bbolt would choose.
func (p *pages) newestMeta(size int64) (root, freelist uint64, err error) {
	var newest uint64
	found := false
	for i := range int64(2) {
		buf := make([]byte, pageHeader+metaSize)
		if _, err := p.file.ReadAt(buf, i*int64(p.pageSize)); err != nil {
			continue // too short for it
		}
		meta := buf[pageHeader:]
		sum := fnv.New64a()
		_, _ = sum.Write(meta[:56])
		if sum.Sum64() != native.Uint64(meta[56:]) {
			continue
		}
		if txid := native.Uint64(meta[48:]); !found || txid > newest {
			found, newest = true, txid
			root, freelist, p.high = native.Uint64(meta[16:]), native.Uint64(meta[32:]), native.Uint64(meta[40:])
		}
	}
	switch {
	case !found:
		return 0, 0, fmt.Errorf("%w (no meta page is whole)", errDamaged)
	case p.high < 3 || p.high > uint64(size)/uint64(p.pageSize):
		return 0, 0, fmt.Errorf("%w (it has %d bytes, and should have %d pages of %d)", errDamaged, size, p.high, p.pageSize)
	}
	return root, freelist, nil
}

// meet notes pages, which must not have been come by before.
func (p *pages) meet(first, last uint64) error {
	if last < first || last >= p.high {
		return fmt.Errorf("%w (page %d is outside of the file)", errDamaged, last)
	}
	for id := first; id <= last; id++ {
		if p.met[id/64]&(1<<(id%64)) != 0 {
			return fmt.Errorf("%w (page %d is used twice)", errDamaged, id)
		}
		p.met[id/64] |= 1 << (id % 64)
	}
	return nil
}

// read reads a page with those that it overflows into.
func (p *pages) read(id uint64) ([]byte, error) {
	if err := p.ctx.Err(); err != nil {
		return nil, err
	}
	if id < 2 || id >= p.high {
		return nil, fmt.Errorf("%w (page %d is outside of the file)", errDamaged, id)
	}
	buf := make([]byte, p.pageSize)
	if _, err := p.file.ReadAt(buf, int64(id)*int64(p.pageSize)); err != nil {
		return nil, err
	}
	if native.Uint64(buf) != id {
		return nil, fmt.Errorf("%w (page %d is marked as page %d)", errDamaged, id, native.Uint64(buf))
	}
	overflow := uint64(native.Uint32(buf[12:]))
	if err := p.meet(id, id+overflow); err != nil {
		return nil, err
	}
	if overflow > 0 {
		buf = make([]byte, (overflow+1)*uint64(p.pageSize))
		if _, err := p.file.ReadAt(buf, int64(id)*int64(p.pageSize)); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// tree checks the tree below a page. Its keys are from low on and below high,
// where those are given.
func (p *pages) tree(id uint64, low, high []byte, depth int) error {
	if depth > deepest {
		return fmt.Errorf("%w (page %d is too deep)", errDamaged, id)
	}
	page, err := p.read(id)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(page[8:]); flags {
	case branchFlag:
		return p.branch(id, page, low, high, depth)
	case leafFlag:
		return p.leaf(id, page, low, high, depth)
	default:
		return fmt.Errorf("%w (page %d is of the kind %#x)", errDamaged, id, flags)
	}
}

func (p *pages) branch(id uint64, page, low, high []byte, depth int) error {
	count := int(native.Uint16(page[10:]))
	if count == 0 || pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("%w (page %d has %d elements)", errDamaged, id, count)
	}
	keys, children := make([][]byte, count), make([]uint64, count)
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at:]
		key, ok := within(page, at, native.Uint32(e), native.Uint32(e[4:]))
		if !ok {
			return outside(id, i)
		}
		keys[i], children[i] = key, native.Uint64(e[8:])
	}
	if err := inOrder(id, keys, low, high); err != nil || p.inBucket {
		return err
	}
	for i, child := range children {
		next := high
		if i+1 < count {
			next = keys[i+1]
		}
		if err := p.tree(child, keys[i], next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) leaf(id uint64, page, low, high []byte, depth int) error {
	count := int(native.Uint16(page[10:]))
	if pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("%w (page %d has %d elements)", errDamaged, id, count)
	}
	keys := make([][]byte, count)
	for i := range count {
		at := pageHeader + i*elementSize
		e := page[at:]
		flags, pos, keySize, valueSize := native.Uint32(e), native.Uint32(e[4:]), native.Uint32(e[8:]), native.Uint32(e[12:])
		both, ok := within(page, at, pos, keySize, valueSize)
		if !ok || flags > bucketFlag || keySize == 0 {
			return outside(id, i)
		}
		keys[i] = both[:keySize]
		if flags == bucketFlag {
			if err := p.bucket(id, i, both[keySize:], depth); err != nil {
				return err
			}
		}
	}
	return inOrder(id, keys, low, high)
}

// bucket checks what the value of an element says of a bucket: its root, or
// the whole of it where it is small.
func (p *pages) bucket(id uint64, i int, value []byte, depth int) error {
	const header = 16
	if len(value) < header {
		return outside(id, i)
	}
	if root := native.Uint64(value); root != 0 {
		p.inBucket = p.rootsOnly
		defer func() { p.inBucket = false }()
		return p.tree(root, nil, nil, depth+1)
	}
	page := value[header:]
	if len(page) < pageHeader || native.Uint16(page[8:]) != leafFlag {
		return outside(id, i)
	}
	for j := range int(native.Uint16(page[10:])) {
		// bbolt puts no bucket into one that is this small.
		if at := pageHeader + j*elementSize; at+elementSize > len(page) || native.Uint32(page[at:]) != 0 {
			return outside(id, i)
		}
	}
	return p.leaf(id, page, nil, nil, depth)
}

// freelist checks the list of free pages, none of which may be in use.
func (p *pages) freelist(id uint64) error {
	list, err := p.freeList(id)
	if err != nil {
		return err
	}
	for ; len(list) > 0; list = list[8:] {
		free := native.Uint64(list)
		if err := p.meet(free, free); err != nil {
			return err
		}
	}
	return nil
}

// freeList reads the ids of the free pages, 8 bytes each.
func (p *pages) freeList(id uint64) ([]byte, error) {
	if id == noFreelist {
		return nil, nil
	}
	page, err := p.read(id)
	if err != nil {
		return nil, err
	}
	count, list := uint64(native.Uint16(page[10:])), page[pageHeader:]
	if count == math.MaxUint16 { // then the first one is the count
		count, list = native.Uint64(list), list[8:]
	}
	if native.Uint16(page[8:]) != freelistFlag || count > uint64(len(list)/8) {
		return nil, fmt.Errorf("%w (page %d is no list of free pages)", errDamaged, id)
	}
	return list[:8*count], nil
}

// within is what an element at a place points to: so many bytes from pos on,
// counted from the element.
func within(page []byte, at int, pos uint32, sizes ...uint32) ([]byte, bool) {
	begin := uint64(at) + uint64(pos)
	end := begin
	for _, size := range sizes {
		end += uint64(size)
	}
	if end > uint64(len(page)) {
		return nil, false
	}
	return page[begin:end], true
}

func outside(id uint64, i int) error {
	return fmt.Errorf("%w (element %d of page %d is none)", errDamaged, i, id)
}

func inOrder(id uint64, keys [][]byte, low, high []byte) error {
	for i, key := range keys {
		before := low
		if i > 0 {
			before = keys[i-1]
		}
		order := bytes.Compare(before, key)
		if before != nil && (order > 0 || order == 0 && i > 0) || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("%w (element %d of page %d is out of order)", errDamaged, i, id)
		}
	}
	return nil
}
