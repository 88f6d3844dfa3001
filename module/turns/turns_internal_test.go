package turns

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// hasher is a line at a single hasher, and the holders that it has served.
type hasher struct {
	*Queue
	t      *testing.T
	wg     sync.WaitGroup
	mu     sync.Mutex
	served []uint64
	busy   map[uint64]int // how often each holder was told to try again
}

// newHasher is a hasher who works for holder 99, until the test gives it back.
func newHasher(t *testing.T, places int) *hasher {
	h := &hasher{Queue: New(1, places), t: t, busy: map[uint64]int{}}
	if err := h.Wait(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask has each holder ask for a hash in the order given.
func (h *hasher) ask(holders ...uint64) {
	for _, holder := range holders {
		h.wg.Go(func() {
			err := h.Wait(h.t.Context(), holder)
			h.mu.Lock()
			defer h.mu.Unlock()
			switch {
			case err == nil:
				h.served = append(h.served, holder)
				h.Done()
			case errors.Is(err, ErrFull):
				h.busy[holder]++
			default:
				h.t.Errorf("holder %d: %v", holder, err)
			}
		})
		synctest.Wait()
	}
}

func (h *hasher) finish() {
	h.Done()
	h.wg.Wait()
	if h.free != 1 || h.taken != 0 || len(h.order) != 0 || len(h.waiting) != 0 {
		h.t.Errorf("afterwards %d are free, %d wait: %v %v", h.free, h.taken, h.order, h.waiting)
	}
}

func TestHoldersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, 100)
		h.ask(1, 1, 1, 1, 2, 3, 3)
		h.finish()
		if want := []uint64{1, 2, 3, 1, 3, 1, 1}; !slices.Equal(h.served, want) {
			t.Errorf("served %v, want %v", h.served, want)
		}
	})
}

// One account with every place in the line keeps nobody else out of it.
func TestNoHolderTakesEveryPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(t, 8)
		h.ask(slices.Repeat([]uint64{1}, 49)...)
		if h.busy[1] != 41 {
			t.Errorf("%d of the first account's 49 had no place, want 41", h.busy[1])
		}
		h.ask(2, 3, 4, 5)
		if h.busy[1] != 45 {
			t.Errorf("%d of the first account's 49 had no place, want 45", h.busy[1])
		}
		h.ask(2) // two places to the first's four
		h.ask(2, 2)
		if h.busy[2] != 2 {
			t.Errorf("the second account has more places than the first: %d were refused, want 2", h.busy[2])
		}
		h.finish()
		if want := []uint64{1, 2, 3, 4, 5, 1, 2, 1}; !slices.Equal(h.served, want) {
			t.Errorf("served %v, want %v", h.served, want)
		}
	})
}

// Whatever callers do, no hasher is lost and no two work in place of one.
func TestTurnsLoseNoHasher(t *testing.T) {
	const hashers = 2
	q := New(hashers, 5)
	working := make(chan struct{}, hashers)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 2000 {
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(2) == 0 {
					go cancel()
				}
				if q.Wait(ctx, uint64(i%3)) == nil {
					select {
					case working <- struct{}{}:
					default:
						t.Error("more hashers work than there are")
					}
					<-working
					q.Done()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if q.free != hashers || q.taken != 0 || len(q.order) != 0 || len(q.waiting) != 0 {
		t.Errorf("afterwards %d are free, %d wait: %v %v", q.free, q.taken, q.order, q.waiting)
	}
}
