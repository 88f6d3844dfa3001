package directory

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/turns"
)

// ErrCrowded is returned if a user has too many changes waiting.
var ErrCrowded = errors.New("too many changes of this user are waiting to be made; send them one after another")

// rank orders the changes that wait for the write lock. A lower one goes first.
type rank uint8

const (
	// operatorRevocation is a revocation by the operator.
	operatorRevocation rank = iota
	// revocation is a change that revokes, disables, narrows or deletes.
	revocation
	// ordinary is any other change.
	ordinary
	ranks
)

// maxChanges is how many changes of one user may wait in each rank. One of
// them stands in line; the others wait behind it.
const maxChanges = 32

// maxStreak is how many revocations by users go before a waiting ordinary
// change, so that users who revoke endlessly can't block others forever.
const maxStreak = 8

// writeLock is the write lock. One change at a time holds it. Waiting changes
// are ordered by rank and within a rank by user. Each user has one place in
// line, so that a user with many changes delays another by only one of them.
type writeLock struct {
	mu     sync.Mutex
	taken  bool
	lines  [ranks]line
	streak int
}

// line holds the waiting changes of a rank.
type line struct {
	// users are the waiting users, the next one first, each once.
	users []string
	// waiting are their changes. Closing one gives it the lock.
	waiting map[string][]chan struct{}
}

// acquire waits for the lock. The empty user is the operator and the program
// itself, whose changes are not bounded.
func (w *writeLock) acquire(user string, r rank) error {
	w.mu.Lock()
	if !w.taken {
		w.taken = true
		w.mu.Unlock()
		return nil
	}
	l := &w.lines[r]
	if user != "" && len(l.waiting[user]) >= maxChanges {
		w.mu.Unlock()
		return ErrCrowded
	}
	turn := l.add(user)
	w.mu.Unlock()
	<-turn
	return nil
}

// release hands the lock to the next change.
func (w *writeLock) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.order() {
		if turn := w.lines[r].next(); turn != nil {
			close(turn)
			return
		}
	}
	w.taken = false
}

// order returns the order in which the ranks provide the next change.
func (w *writeLock) order() [ranks]rank {
	if len(w.lines[ordinary].users) == 0 || len(w.lines[operatorRevocation].users) > 0 {
		return [ranks]rank{operatorRevocation, revocation, ordinary}
	}
	if w.streak++; w.streak <= maxStreak && len(w.lines[revocation].users) > 0 {
		return [ranks]rank{operatorRevocation, revocation, ordinary}
	}
	w.streak = 0
	return [ranks]rank{operatorRevocation, ordinary, revocation}
}

func (l *line) add(user string) chan struct{} {
	if l.waiting == nil {
		l.waiting = map[string][]chan struct{}{}
	}
	if len(l.waiting[user]) == 0 {
		l.users = append(l.users, user)
	}
	turn := make(chan struct{})
	l.waiting[user] = append(l.waiting[user], turn)
	return turn
}

// next removes the next change from the line, and returns nil if there is none.
// Its user goes to the end if there are more.
func (l *line) next() chan struct{} {
	if len(l.users) == 0 {
		return nil
	}
	user := l.users[0]
	l.users = slices.Delete(l.users, 0, 1)
	list := l.waiting[user]
	turn := list[0]
	if len(list) == 1 {
		delete(l.waiting, user)
	} else {
		l.waiting[user] = list[1:]
		l.users = append(l.users, user)
	}
	return turn
}

// maxWalks is how many walks, and how many look-ups, may wait.
const maxWalks = 1000

// Walk runs fn, which reads all of a user's records. Only one walk runs at a
// time, and users take turns, so that a user who looks through thousands of
// keys doesn't take the processor from everybody else. It returns [ErrCrowded]
// if too many wait.
func (d *Directory) Walk(ctx context.Context, userID string, fn func() error) error {
	return inTurn(ctx, d.walks, userID, fn)
}

// LookUp is Walk for an fn that reads what an index finds. It doesn't wait for
// walks, which take longer.
func (d *Directory) LookUp(ctx context.Context, userID string, fn func() error) error {
	return inTurn(ctx, d.lookUps, userID, fn)
}

func inTurn(ctx context.Context, q *turns.Queue, userID string, fn func() error) error {
	digest := keys.UserGroup(userID)
	err := q.Wait(ctx, binary.LittleEndian.Uint64(digest[:8]))
	if errors.Is(err, turns.ErrFull) {
		return ErrCrowded
	}
	if err != nil {
		return err
	}
	defer q.Done()
	return fn()
}
