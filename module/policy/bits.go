package policy

import (
	"sync"
)

// Bits is a set of interned names, a bit for each. A set is built once and only
// read afterwards, so any number of goroutines may share it.
type Bits []uint64

// Contains reports whether every name of need is in b.
func (b Bits) Contains(need Bits) bool {
	for i, w := range need {
		if i >= len(b) {
			if w != 0 {
				return false
			}
		} else if w&^b[i] != 0 {
			return false
		}
	}
	return true
}

func (b Bits) has(pos int) bool {
	return pos/64 < len(b) && b[pos/64]&(1<<(pos%64)) != 0
}

// names gives each name a bit position that lasts for the life of the process.
// Cached grants outlive configurations and serve several sites at once, so a
// position is never given to another name. The names come from route tables and
// from stored records. Users can't write a name into a record that no table
// has, so only the operator decides how many names there are.
type names struct {
	mu  sync.RWMutex
	pos map[string]int
}

var (
	scopeNames    = &names{pos: map[string]int{}}
	endpointNames = &names{pos: map[string]int{}}
)

func (n *names) position(name string) int {
	n.mu.RLock()
	pos, ok := n.pos[name]
	n.mu.RUnlock()
	if ok {
		return pos
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if pos, ok = n.pos[name]; !ok {
		pos = len(n.pos)
		n.pos[name] = pos
	}
	return pos
}

func (n *names) bits(list []string) Bits {
	var b Bits
	for _, name := range list {
		pos := n.position(name)
		for pos/64 >= len(b) {
			b = append(b, 0)
		}
		b[pos/64] |= 1 << (pos % 64)
	}
	return b
}

// missing returns the names of list that are not in b, in the order of list.
func (n *names) missing(b Bits, list []string) []string {
	var lacking []string
	for _, name := range list {
		if !b.has(n.position(name)) {
			lacking = append(lacking, name)
		}
	}
	return lacking
}
