package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// storeFaults decides when a store is slow or fails.
type storeFaults struct {
	mu     sync.Mutex
	random *rand.Rand
	// slow is how often, of 100 times, it waits before and after whatever it
	// does; failing is how often it fails.
	slow, failing int
	// on is while the history is played.
	on atomic.Bool
}

func (m *storeFaults) begin() { m.on.Store(true) }
func (m *storeFaults) end()   { m.on.Store(false) }

func (m *storeFaults) chance(of100 int) bool {
	if of100 == 0 || !m.on.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.random.IntN(100) < of100
}

// wait lets others go first: for some turns of the scheduler, or a while.
func (m *storeFaults) wait() {
	if !m.chance(m.slow) {
		return
	}
	m.mu.Lock()
	turns, while := m.random.IntN(20), time.Duration(m.random.IntN(200))*time.Microsecond
	m.mu.Unlock()
	if turns < 4 {
		<-time.After(while)
		return
	}
	for range turns {
		runtime.Gosched()
	}
}

var errFault = errors.New("the store failed on purpose")

// fails sometimes, as a store that can't answer does.
func (m *storeFaults) fails(when string) error {
	if m.chance(m.failing) {
		return fmt.Errorf("%w: %w %s", keys.ErrUnavailable, errFault, when)
	}
	return nil
}

// faultyStore is a store with faults that a store may have.
type faultyStore struct {
	keys.Store
	*storeFaults
}

func (s *faultyStore) View(ctx context.Context, fn func(keys.Reader) error) error {
	if err := s.fails("before a View"); err != nil {
		return err
	}
	s.wait()
	err := s.Store.View(ctx, func(r keys.Reader) error {
		s.wait() // what it reads may be old by now
		defer s.wait()
		return fn(r)
	})
	s.wait()
	return err
}

func (s *faultyStore) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	if err := s.fails("before an Update"); err != nil {
		return keys.Commit{}, err
	}
	commit, err := s.Store.Update(ctx, func(w keys.Writer) error {
		s.wait()
		if err := fn(w); err != nil {
			return err
		}
		s.wait()
		return s.fails("before a commit")
	})
	if err != nil {
		return keys.Commit{}, err
	}
	s.wait()
	return commit, s.fails("after a commit")
}

// Feed is told slowly: the time between a commit and what follows from it is
// when most can go wrong.
func (s *faultyStore) Feed(feed func(keys.Change)) {
	s.Store.Feed(func(c keys.Change) {
		s.wait()
		feed(c)
		s.wait()
	})
}
