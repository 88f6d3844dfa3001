package boltstore

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// Added entries come back in the order of their keys, whether they were written
// to the file or not. The file is gone afterwards.
func TestSorter(t *testing.T) {
	for name, c := range map[string]struct{ n, most int }{
		"nothing":   {0, 100},
		"in memory": {50, 1 << 20},
		"few runs":  {500, 4000},
		"many runs": {5000, 1000},
		"one a run": {30, 1},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			s := newSorter(folder)
			s.most = c.most
			random := rand.New(rand.NewPCG(1, 2))
			var want [][2][]byte
			for range c.n {
				entry := [2][]byte{
					binary.BigEndian.AppendUint64(nil, random.Uint64())[:1+random.IntN(8)],
					bytes.Repeat([]byte("v"), random.IntN(9)),
				}
				if err := s.add(entry[0], entry[1]); err != nil {
					t.Fatal(err)
				}
				want = append(want, entry)
			}
			slices.SortStableFunc(want, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
			n := 0
			err := s.each(func(key, value []byte) error {
				if !bytes.Equal(key, want[n][0]) {
					t.Fatalf("entry %d is %x, want %x", n, key, want[n][0])
				}
				if len(value) > 0 && value[0] != 'v' {
					t.Errorf("entry %d has the value %q", n, value)
				}
				n++
				return nil
			})
			if err != nil || n != c.n {
				t.Errorf("%d entries of %d, %v", n, c.n, err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}
