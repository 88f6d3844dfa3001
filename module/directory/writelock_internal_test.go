package directory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// slowStore is a store whose commits wait until a test lets each pass.
type slowStore struct {
	mapStore
	began chan struct{}
	pass  chan struct{}
}

func (s *slowStore) Update(context.Context, func(keys.Writer) error) (keys.Commit, error) {
	s.began <- struct{}{}
	<-s.pass
	return keys.Commit{}, nil
}

// queue is a directory over a slow store, with one change under way.
type queue struct {
	t     *testing.T
	d     *Directory
	store *slowStore
	done  chan string
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	q := &queue{t: t, store: &slowStore{began: make(chan struct{}), pass: make(chan struct{})}, done: make(chan string)}
	d, err := New(q.store, 0)
	if err != nil {
		t.Fatal(err)
	}
	q.d = d.Directory
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	go q.change("the first", func() error { return d.Update(t.Context(), keys.Actor{UserID: "first"}, nil) })
	<-q.store.began
	return q
}

func (q *queue) change(name string, update func() error) {
	if err := update(); err != nil {
		name = err.Error()
	}
	q.done <- name
}

// wait begins a change, and waits until it stands in line.
func (q *queue) wait(name string, r rank, user string) {
	q.t.Helper()
	want := q.d.lock.count(r) + 1
	actor := keys.Actor{UserID: user}
	update := q.d.Update
	if r != ordinary {
		update = q.d.UpdateFirst
	}
	go q.change(name, func() error { return update(q.t.Context(), actor, nil) })
	for end := time.Now().Add(30 * time.Second); q.d.lock.count(r) != want; runtime.Gosched() {
		if time.Now().After(end) {
			q.t.Fatalf("%s is not in line", name)
		}
	}
}

// order lets n changes pass one after another, and says which they were.
func (q *queue) order(n int) (names []string) {
	for i := range n {
		q.store.pass <- struct{}{}
		if i < n-1 {
			<-q.store.began
		}
		names = append(names, <-q.done)
	}
	return names
}

// A revocation is the next change to be made, however many ordinary ones wait,
// and the operator's before those of users.
func TestRevocationsGoFirst(t *testing.T) {
	q := newQueue(t)
	for i := range 20 {
		q.wait(fmt.Sprint("ordinary ", i), ordinary, fmt.Sprint("user", i))
	}
	q.wait("bob revokes", revocation, "bob")
	q.wait("the operator revokes", operatorRevocation, "")
	q.wait("eve revokes", revocation, "eve")
	want := []string{"the first", "the operator revokes", "bob revokes", "eve revokes"}
	for i := range 20 {
		want = append(want, fmt.Sprint("ordinary ", i))
	}
	if got := q.order(len(want)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A user with many changes delays another user by one of them.
func TestUsersTakeTurnsAtChanges(t *testing.T) {
	q := newQueue(t)
	for i := range 3 {
		q.wait(fmt.Sprint("mallory ", i), ordinary, "mallory")
	}
	q.wait("bob", ordinary, "bob")
	q.wait("the operator", ordinary, "")
	want := []string{"the first", "mallory 0", "bob", "the operator", "mallory 1", "mallory 2"}
	if got := q.order(len(want)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Users who revoke without end don't keep others from ever making a change.
func TestRevocationsLetOthersThroughAtTimes(t *testing.T) {
	q := newQueue(t)
	q.wait("ordinary", ordinary, "bob")
	for range 2 * maxStreak {
		q.wait("revocation", revocation, "mallory")
	}
	got := q.order(2 + 2*maxStreak)
	if i := slices.Index(got, "ordinary"); i != maxStreak+1 {
		t.Errorf("it was number %d, want %d", i, maxStreak+1)
	}
}

// One user's waiting changes are bounded, and nobody else's by them.
func TestChangesOfOneUserAreBounded(t *testing.T) {
	q := newQueue(t)
	for range maxChanges {
		q.wait("", ordinary, "mallory")
		q.wait("", revocation, "mallory")
	}
	for name, update := range map[string]func(context.Context, keys.Actor, func(*keys.Tx) error) error{"Update": q.d.Update, "UpdateFirst": q.d.UpdateFirst} {
		if err := update(t.Context(), keys.Actor{UserID: "mallory"}, nil); !errors.Is(err, ErrCrowded) {
			t.Errorf("%s: got %v, want ErrCrowded", name, err)
		}
	}
	q.wait("", ordinary, "bob")
	q.wait("", operatorRevocation, "")
	q.order(1 + 2*maxChanges + 2)
	q.works()
}

// works shows that the line is empty again: a change is made at once.
func (q *queue) works() {
	go q.change("one more", func() error { return q.d.Update(q.t.Context(), keys.Actor{UserID: "mallory"}, nil) })
	<-q.store.began
	q.order(1)
}

// count is how many changes wait in a rank.
func (w *writeLock) count(r rank) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.lines[r].waiting {
		n += len(list)
	}
	return n
}
