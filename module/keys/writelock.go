package keys

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
)

// ErrCrowded is returned where a user has too many changes waiting.
var ErrCrowded = errors.New("too many changes of this user are waiting to be made; send them one after another")

// rank orders the changes that wait for the write lock. A lower one goes first.
type rank uint8

const (
	// operatorRevocation is a revocation of the operator's.
	operatorRevocation rank = iota
	// revocation takes something away: it revokes, disables, narrows, deletes.
	revocation
	// ordinary is any other change.
	ordinary
	ranks
)

// maxChanges is how many changes of one user may wait in each rank. One of
// them stands in line; the others wait behind it.
const maxChanges = 32

// maxStreak is how many revocations of users go before an ordinary change that
// waits, so that users who revoke without end can't hold up the others for
// good.
const maxStreak = 8

// writeLock is the write lock. One change at a time has it. Those that wait go by
// rank, and within a rank by user: each user has one place in line, so that a
// user with many changes delays another by one of them.
type writeLock struct {
	mu     sync.Mutex
	taken  bool
	lines  [ranks]line
	streak int
}

// line is the changes of a rank that wait.
type line struct {
	// users are those who wait, the next first, each once.
	users []string
	// waiting are their changes. Closing one gives it the lock.
	waiting map[string][]chan struct{}
}

// take waits for the lock. The empty user is the operator and the program
// itself, whose changes are not bounded.
func (w *writeLock) take(user string, r rank) error {
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

// give hands the lock to whoever is next.
func (w *writeLock) give() {
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

// order is in which order the ranks are asked for the next change.
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

// next takes the next change out of the line, and is nil where there is none.
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

func inTurn(ctx context.Context, q *turns, userID string, fn func() error) error {
	digest := groupOfUser(userID)
	err := q.take(ctx, binary.LittleEndian.Uint64(digest[:8]))
	if errors.Is(err, ErrBusy) {
		return ErrCrowded
	}
	if err != nil {
		return err
	}
	defer q.give()
	return fn()
}
