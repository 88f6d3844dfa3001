package tenant

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// fewMembers is how many names of an object are compared one by one. Those of
// larger objects are looked up by their hash.
const fewMembers = 8

// members finds names that an object has twice, in time that is linear in their
// number. The hash has a seed of its own, so that nobody can make up names that
// collide. Two names with the same 64 bits count as the same; that refuses a
// rightful body of 100,000 names once in a billion, and never lets one through.
type members struct {
	few     []string // names of the open objects, as long as they are few
	seed    maphash.Seed
	slots   []uint64 // an open-addressed set of hashes; zero is a free slot
	used    int
	objects uint64
	looks   int // comparisons and look-ups
}

// openObject is an object whose members are read.
type openObject struct {
	id    uint64
	first int
	count int
}

func (m *members) open() openObject {
	m.objects++
	return openObject{id: m.objects, first: len(m.few)}
}

func (m *members) close(o *openObject) { m.few = m.few[:o.first] }

// add adds a name to the object that was opened last.
func (m *members) add(o *openObject, name string) error {
	o.count++
	if o.count <= fewMembers {
		m.looks += o.count
		if slices.Contains(m.few[o.first:], name) {
			return ErrTwice
		}
		m.few = append(m.few, name)
		return nil
	}
	if o.count == fewMembers+1 {
		for _, other := range m.few[o.first:] {
			m.insert(m.hash(o.id, other))
		}
	}
	if !m.insert(m.hash(o.id, name)) {
		return ErrTwice
	}
	return nil
}

func (m *members) hash(object uint64, name string) uint64 {
	if m.slots == nil {
		m.seed, m.slots = maphash.MakeSeed(), make([]uint64, 64)
	}
	// Names of different objects are different. The multiplication is one to
	// one, and what it is mixed with is unknown to the author of the body.
	h := maphash.String(m.seed, name) ^ bits.RotateLeft64(object*0x9e3779b97f4a7c15, 32)
	return max(h, 1)
}

// insert adds a hash, and reports that it was not there.
func (m *members) insert(h uint64) bool {
	if 2*m.used >= len(m.slots) {
		old := m.slots
		m.slots, m.used = make([]uint64, 2*len(old)), 0
		for _, h := range old {
			if h != 0 {
				m.insert(h)
			}
		}
	}
	for i := h; ; i++ {
		m.looks++
		switch slot := &m.slots[i&uint64(len(m.slots)-1)]; *slot {
		case h:
			return false
		case 0:
			*slot = h
			m.used++
			return true
		}
	}
}
