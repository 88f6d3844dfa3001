package main

import (
	"fmt"
	"sync"
	"time"
)

// slot is a place for one request under way.
type slot struct {
	conn  conn
	index int // in the connection
	// intended is when its request was to be sent.
	intended time.Time
}

// load sends requests to a contender by several connections. It has two ways:
// busy, in which each response is followed by the next request, and at a rate.
type load struct {
	conns    []conn
	requests []*request
	failed   chan struct{} // closed at the first failure
	readers  sync.WaitGroup

	mu       sync.Mutex
	err      error
	closing  bool
	busy     bool
	free     []*slot
	slots    int
	next     int // request
	answered int
	// late are the intended times of requests that wait for a free slot.
	late []time.Time
	// times are how long the responses took since the intended times; nil if
	// nobody wants to know.
	times []time.Duration
	idle  sync.Cond // that all slots are free, or the load has failed
}

// newLoad connects to a contender.
func newLoad(s scenario, address string, c certificate, want expectation, requests []*request, connections int) (*load, error) {
	l := &load{requests: requests, failed: make(chan struct{})}
	l.idle.L = &l.mu
	each := 1
	if s.protocol.http2() {
		each = streams
		connections = max(1, connections/streams)
	}
	for range connections {
		conn, err := dial(s, address, c, want)
		if err != nil {
			l.close()
			return nil, err
		}
		l.conns = append(l.conns, conn)
		slots := make([]*slot, each)
		for i := range slots {
			slots[i] = &slot{conn: conn, index: i}
		}
		l.free = append(l.free, slots...)
		l.slots += each
		l.readers.Go(func() { l.read(conn, slots) })
	}
	return l, nil
}

// close ends the connections.
func (l *load) close() {
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	for _, c := range l.conns {
		c.close()
	}
	l.readers.Wait()
}

// read handles the responses of a connection.
func (l *load) read(c conn, slots []*slot) {
	for {
		i, err := c.receive()
		if err != nil {
			l.fail(err)
			return
		}
		s := slots[i]
		if r := l.finish(s, time.Now()); r != nil {
			if err := c.send(s.index, r); err != nil {
				l.fail(err)
				return
			}
		}
	}
}

// finish counts a response. It returns the request that comes next in the slot,
// if any.
func (l *load) finish(s *slot, now time.Time) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered++
	if l.times != nil {
		l.times = append(l.times, now.Sub(s.intended))
	}
	switch {
	case l.busy:
		return l.take(s, now)
	case len(l.late) > 0:
		intended := l.late[0]
		l.late = l.late[1:]
		return l.take(s, intended)
	}
	l.free = append(l.free, s)
	if len(l.free) == l.slots {
		l.idle.Broadcast()
	}
	return nil
}

// take returns the next request, for a slot. It is called under mu.
func (l *load) take(s *slot, intended time.Time) *request {
	s.intended = intended
	l.next++
	return l.requests[l.next%len(l.requests)]
}

// fail ends the load with its first error.
func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && !l.closing {
		l.err = err
		close(l.failed)
	}
	l.idle.Broadcast()
}

// failure returns why the load has failed, nil if it hasn't.
func (l *load) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// count returns how many responses came so far.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answered
}

// begin keeps all slots busy from now on.
func (l *load) begin() {
	l.mu.Lock()
	l.busy = true
	slots, now := l.free, time.Now()
	l.free = nil
	first := make([]*request, len(slots))
	for i, s := range slots {
		first[i] = l.take(s, now)
	}
	l.mu.Unlock()
	for i, s := range slots {
		if err := s.conn.send(s.index, first[i]); err != nil {
			l.fail(err)
		}
	}
}

// end sends no more requests, and waits for the responses to those under way.
func (l *load) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy = false
	return l.wait()
}

// wait waits until no request is under way. It is called under mu.
func (l *load) wait() error {
	timeout := time.AfterFunc(responseTimeout, func() {
		l.fail(fmt.Errorf("the contender didn't answer for %v", responseTimeout))
	})
	defer timeout.Stop()
	for l.err == nil && (len(l.free) < l.slots || len(l.late) > 0) {
		l.idle.Wait()
	}
	return l.err
}

// responseTimeout is how long a response may take.
const responseTimeout = 20 * time.Second
