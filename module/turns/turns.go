// Package turns lets many holders share a few workers fairly.
package turns

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ErrFull is returned when so many wait that one more would have to wait too
// long.
var ErrFull = errors.New("too many are waiting for their turn")

// Queue shares a few workers among many holders, such as the accounts that
// people sign in to. Holders take turns, one piece of work each, so a holder
// who asks for a thousand delays another holder's by one. When every place in
// the line is taken, the newest place of the holder with the most of them goes
// to the newcomer (McKenney, Stochastic Fairness Queueing, 1990).
type Queue struct {
	mu   sync.Mutex
	free int // workers without work; while there are any, nobody waits
	// places bounds how many may wait, and taken is how many do.
	places, taken int
	waiting       map[uint64][]*turn // the turns of each holder who waits, oldest first
	order         []uint64           // the holders who wait, the next one first
}

// turn is one place in the line. Its channel gets nil when a worker is free
// for it, or ErrFull when another holder got the place.
type turn struct {
	ready chan error
}

// New returns a queue for a number of workers, in which as many holders can
// wait as there are places.
func New(workers, places int) *Queue {
	return &Queue{free: workers, places: places, waiting: map[uint64][]*turn{}}
}

// Wait waits for a worker until ctx is done. Each nil needs one Done. It
// returns ErrFull if the line is full.
func (q *Queue) Wait(ctx context.Context, holder uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t, err := q.line(holder)
	if t == nil {
		return err
	}
	select {
	case err := <-t.ready:
		return err
	case <-ctx.Done():
		q.leave(holder, t)
		return ctx.Err()
	}
}

// line takes a free worker, then both results are nil, or a place in the line.
func (q *Queue) line(holder uint64) (*turn, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free > 0 {
		q.free--
		return nil, nil
	}
	if q.taken >= q.places && !q.makeRoom(len(q.waiting[holder])) {
		return nil, ErrFull
	}
	t := &turn{ready: make(chan error, 1)}
	if len(q.waiting[holder]) == 0 {
		q.order = append(q.order, holder)
	}
	q.waiting[holder] = append(q.waiting[holder], t)
	q.taken++
	return t, nil
}

// makeRoom takes a place from the holder with the most of them, for a newcomer
// who has some already. It reports whether that leaves both fairly served.
func (q *Queue) makeRoom(has int) bool {
	var most uint64
	for _, holder := range q.order {
		if len(q.waiting[holder]) > len(q.waiting[most]) {
			most = holder
		}
	}
	places := q.waiting[most]
	if len(places) <= has+1 {
		return false
	}
	newest := places[len(places)-1]
	q.remove(most, newest)
	newest.ready <- ErrFull
	return true
}

// remove takes a turn out of the line, and reports whether it was there.
func (q *Queue) remove(holder uint64, t *turn) bool {
	places := q.waiting[holder]
	i := slices.Index(places, t)
	if i < 0 {
		return false
	}
	q.taken--
	if places = slices.Delete(places, i, i+1); len(places) > 0 {
		q.waiting[holder] = places
		return true
	}
	delete(q.waiting, holder)
	q.order = slices.DeleteFunc(q.order, func(h uint64) bool { return h == holder })
	return true
}

// leave gives up a turn whose caller has gone. If the worker came at the same
// moment, the next in line gets it.
func (q *Queue) leave(holder uint64, t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.remove(holder, t) && <-t.ready == nil {
		q.next()
	}
}

// Done returns a worker.
func (q *Queue) Done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

// next hands the worker to the holder whose turn it is. A holder who has more
// to do goes to the end of the line.
func (q *Queue) next() {
	if len(q.order) == 0 {
		q.free++
		return
	}
	holder := q.order[0]
	t := q.waiting[holder][0]
	q.remove(holder, t)
	if len(q.waiting[holder]) > 0 {
		q.order = append(q.order[1:], holder)
	}
	t.ready <- nil
}
