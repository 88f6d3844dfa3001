package main

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeConn answers requests in their order, when the test lets it.
type fakeConn struct {
	sent   chan int // slots
	answer chan struct{}
	once   sync.Once
	closed chan struct{}
}

func newFakeConn() *fakeConn {
	return &fakeConn{sent: make(chan int, 1000), answer: make(chan struct{}, 1000), closed: make(chan struct{})}
}

func (c *fakeConn) send(slot int, _ *request) error { c.sent <- slot; return nil }

func (c *fakeConn) receive() (int, error) {
	select {
	case <-c.answer:
		return <-c.sent, nil
	case <-c.closed:
		return 0, errors.New("closed")
	}
}

func (c *fakeConn) close() { c.once.Do(func() { close(c.closed) }) }

// newFakeLoad returns a load with one connection.
func newFakeLoad(t *testing.T, c *fakeConn) *load {
	t.Helper()
	l := &load{requests: []*request{{}}, failed: make(chan struct{})}
	l.idle.L = &l.mu
	s := &slot{conn: c}
	l.conns, l.free, l.slots = []conn{c}, []*slot{s}, 1
	l.readers.Go(func() { l.read(c, []*slot{s}) })
	t.Cleanup(l.close)
	return l
}

func TestSchedule(t *testing.T) {
	start := time.Now()
	s := schedule{start: start, rate: 4000, count: 8000}
	for i, want := range map[int]time.Duration{0: 0, 1: 250 * time.Microsecond, 4000: time.Second, 7999: 1999750 * time.Microsecond} {
		if got := s.at(i).Sub(start); got != want {
			t.Errorf("request %d is at %v, want %v", i, got, want)
		}
	}
}

// A contender that answers nothing for a while makes all requests of that while
// slow, not only the one that was sent: 20 requests come, one each 5 ms, and the
// only connection gets its first answer after 100 ms.
func TestTimesCountFromTheSchedule(t *testing.T) {
	c := newFakeConn()
	l := newFakeLoad(t, c)
	time.AfterFunc(100*time.Millisecond, func() {
		for range 20 {
			c.answer <- struct{}{}
		}
	})
	times, err := l.atRate(200, 100*time.Millisecond)
	if err != nil || len(times) != 20 {
		t.Fatalf("got %d times and %v, want 20", len(times), err)
	}
	slices.Sort(times)
	for i, d := range times {
		if least := time.Duration(i) * 5 * time.Millisecond; d < least {
			t.Errorf("a request took %v, want %v or more", d, least)
		}
	}
	if l.count() != 20 {
		t.Errorf("%d answers were counted, want 20", l.count())
	}
}

// Requests are sent at their times, not earlier.
func TestRate(t *testing.T) {
	c := newFakeConn()
	l := newFakeLoad(t, c)
	for range 100 {
		c.answer <- struct{}{}
	}
	start := time.Now()
	times, err := l.atRate(1000, 100*time.Millisecond)
	if err != nil || len(times) != 100 {
		t.Fatalf("got %d times and %v, want 100", len(times), err)
	}
	if took := time.Since(start); took < 99*time.Millisecond {
		t.Errorf("100 requests at 1,000 a second took %v", took)
	}
}

// A failure ends a load, and its first error is kept.
func TestLoadFails(t *testing.T) {
	c := newFakeConn()
	l := newFakeLoad(t, c)
	l.begin()
	c.close()
	<-l.failed
	if err := l.end(); err == nil || err.Error() != "closed" {
		t.Errorf("got %v, want the connection's error", err)
	}
	if _, err := l.atRate(1000, 10*time.Millisecond); err == nil {
		t.Error("a load that has failed goes on")
	}
}

// A busy load sends a request after each answer, until it ends.
func TestBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeConn()
		l := newFakeLoad(t, c)
		l.begin()
		for range 10 {
			c.answer <- struct{}{}
		}
		synctest.Wait() // until the eleventh is sent
		time.AfterFunc(10*time.Millisecond, func() { c.answer <- struct{}{} })
		if err := l.end(); err != nil || l.count() != 11 || len(l.free) != 1 {
			t.Errorf("got %v, %d answers and %d free slots, want 11 and 1", err, l.count(), len(l.free))
		}
	})
}
