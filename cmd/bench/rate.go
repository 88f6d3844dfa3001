package main

import "time"

// schedule is when the requests of a load at a rate are to be sent. It depends
// on nothing that the contender does.
type schedule struct {
	start time.Time
	rate  float64 // a second
	count int
}

// at returns the intended time of a request.
func (s schedule) at(i int) time.Time {
	return s.start.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))
}

// atRate sends requests at a rate, whether the contender keeps up or not. It
// returns how long the responses took. Each time counts from the intended
// time of its request, so it has the wait that a slow response imposes on later
// requests: the times are free of coordinated omission.
func (l *load) atRate(rate float64, d time.Duration) ([]time.Duration, error) {
	s := schedule{start: time.Now().Add(time.Millisecond), rate: rate, count: int(rate * d.Seconds())}
	l.mu.Lock()
	l.times = make([]time.Duration, 0, s.count)
	l.mu.Unlock()

	sent := make(chan error)
	go func() { sent <- l.send(s) }()
	if err := <-sent; err != nil {
		return nil, err
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.wait()
	times := l.times
	l.times = nil
	return times, err
}

// send sends the requests of a schedule. Its goroutine has to end with it,
// because the thread does.
func (l *load) send(s schedule) error {
	if err := exactSleep(); err != nil {
		return err
	}
	for i := range s.count {
		intended := s.at(i)
		for time.Now().Before(intended) {
			sleepUntil(intended)
		}
		slot, r := l.offer(intended)
		if r == nil {
			continue
		}
		if err := slot.conn.send(slot.index, r); err != nil {
			l.fail(err)
		}
		if err := l.failure(); err != nil {
			return err
		}
	}
	return nil
}

// offer takes a free slot for a request. If all slots are taken, the request
// waits for the next response.
func (l *load) offer(intended time.Time) (*slot, *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := len(l.free) - 1
	if last < 0 || l.err != nil {
		l.late = append(l.late, intended)
		return nil, nil
	}
	s := l.free[last]
	l.free = l.free[:last]
	return s, l.take(s, intended)
}
