package records

import (
	"bytes"
	"slices"
	"testing"
)

// entry is a key and its value.
type entry struct{ key, value []byte }

// slow is a [Writer] as simple as can be.
type slow struct{ buckets map[string][]entry }

// newSlow returns an empty key store.
func newSlow(t *testing.T) *slow {
	t.Helper()
	s := &slow{buckets: map[string][]entry{}}
	if err := Initialize(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *slow) find(bucket, key []byte) (list []entry, i int, there bool) {
	list = s.buckets[string(bucket)]
	i, there = slices.BinarySearchFunc(list, key, func(e entry, key []byte) int { return bytes.Compare(e.key, key) })
	return list, i, there
}

func (s *slow) Get(bucket, key []byte) []byte {
	if list, i, there := s.find(bucket, key); there {
		return list[i].value
	}
	return nil
}

func (s *slow) Seek(bucket, key []byte) (k, v []byte) {
	if list, i, _ := s.find(bucket, key); i < len(list) {
		return list[i].key, list[i].value
	}
	return nil, nil
}

func (s *slow) SeekBack(bucket, key []byte) (k, v []byte) {
	list, i, there := s.find(bucket, key)
	if !there {
		i--
	}
	if i < 0 {
		return nil, nil
	}
	return list[i].key, list[i].value
}

func (s *slow) Put(bucket, key, value []byte) error {
	list, i, there := s.find(bucket, key)
	if there {
		list[i].value = bytes.Clone(value)
		return nil
	}
	s.buckets[string(bucket)] = slices.Insert(list, i, entry{bytes.Clone(key), bytes.Clone(value)})
	return nil
}

func (s *slow) Delete(bucket, key []byte) error {
	if list, i, there := s.find(bucket, key); there {
		s.buckets[string(bucket)] = slices.Delete(list, i, i+1)
	}
	return nil
}
