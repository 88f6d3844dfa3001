package boltstore

import (
	"encoding/binary"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// digests finds, for a digest, a few places, among which is that of its record.
// It takes 16 bytes a digest, and half as much again.
type digests struct {
	prefixes []uint64
	places   []int64 // 0 if an entry has no place
	n        int
}

func prefixOf(d credential.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

func (t *digests) add(d credential.Digest, place int64) {
	if 3*t.n >= 2*len(t.places) {
		old := *t
		size := max(1024, 2*len(old.places))
		t.prefixes, t.places = make([]uint64, size), make([]int64, size)
		for i, place := range old.places {
			if place != 0 {
				t.insert(old.prefixes[i], place)
			}
		}
	}
	t.insert(prefixOf(d), place)
	t.n++
}

func (t *digests) insert(prefix uint64, place int64) {
	for i := prefix % uint64(len(t.places)); ; i = (i + 1) % uint64(len(t.places)) {
		if t.places[i] == 0 {
			t.prefixes[i], t.places[i] = prefix, place
			return
		}
	}
}

func (t *digests) find(d credential.Digest) func(yield func(place int64) bool) {
	return func(yield func(int64) bool) {
		if len(t.places) == 0 {
			return
		}
		prefix := prefixOf(d)
		for i := prefix % uint64(len(t.places)); t.places[i] != 0; i = (i + 1) % uint64(len(t.places)) {
			if t.prefixes[i] == prefix && !yield(t.places[i]) {
				return
			}
		}
	}
}
