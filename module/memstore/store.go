// Package memstore keeps users, apps and credentials in memory, for tests.
package memstore

import (
	"context"
	"sync"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Store is a [keys.Store] in memory. What it has is gone once it is closed.
// [New] makes one.
type Store struct {
	maxWrites int

	// writing is held across an update and what the feed is told of it.
	writing sync.Mutex
	feed    func(keys.Change)

	// mu guards which revision is read.
	mu      sync.Mutex
	now     revision
	closed  bool
	reading sync.WaitGroup
}

// New returns an empty store that writes as much in one update as a file does.
func New() (*Store, error) { return NewSmall(1 << 16) }

// NewSmall returns an empty store that writes at most so many records in one
// update, for tests of what is to be done in steps.
func NewSmall(maxWrites int) (*Store, error) {
	r := newRevision()
	if err := records.Initialize(r); err != nil {
		return nil, err
	}
	return &Store{now: r, maxWrites: maxWrites}, nil
}

// Feed implements [keys.Store].
func (s *Store) Feed(feed func(keys.Change)) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.feed = feed
}

// View implements [keys.Store].
func (s *Store) View(ctx context.Context, fn func(keys.Reader) error) error {
	return s.read(ctx, func(r records.Reader) error { return fn(records.NewView(r)) })
}

func (s *Store) read(ctx context.Context, fn func(records.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.begin()
	if err != nil {
		return err
	}
	defer s.reading.Done()
	return fn(r)
}

// begin returns the newest revision. The caller calls reading.Done.
func (s *Store) begin() (revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return revision{}, keys.ErrClosed
	}
	s.reading.Add(1)
	return s.now, nil
}

// Update implements [keys.Store].
func (s *Store) Update(ctx context.Context, fn func(keys.Writer) error) (keys.Commit, error) {
	return s.write(ctx, func(w records.Writer) (records.Written, error) { return records.Apply(w, s.maxWrites, fn) })
}

// MaxWrites implements [keys.Store].
func (s *Store) MaxWrites() int { return s.maxWrites }

// Used implements [keys.Store].
func (s *Store) Used(ctx context.Context, uses []keys.Use) error {
	_, err := s.write(ctx, func(w records.Writer) (records.Written, error) { return records.ApplyUses(w, uses) })
	return err
}

func (s *Store) write(ctx context.Context, write func(records.Writer) (records.Written, error)) (keys.Commit, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return keys.Commit{}, err
	}
	r, err := s.begin()
	if err != nil {
		return keys.Commit{}, err
	}
	defer s.reading.Done()

	next := r.clone()
	written, err := write(next)
	if err != nil {
		return keys.Commit{}, err
	}
	s.mu.Lock()
	s.now = next
	s.mu.Unlock()
	if written.Change != nil && s.feed != nil {
		s.feed(*written.Change)
	}
	return written.Commit, nil
}

// Spent implements [keys.Store].
func (s *Store) Spent(ctx context.Context, spendings []keys.Spending) error {
	_, err := s.write(ctx, func(w records.Writer) (records.Written, error) { return records.ApplySpendings(w, spendings) })
	return err
}

// Ready implements [keys.Store].
func (s *Store) Ready(ctx context.Context) error {
	return s.read(ctx, func(records.Reader) error { return nil })
}

// Examine implements [keys.Examiner].
func (s *Store) Examine(ctx context.Context) (found keys.Examination, err error) {
	err = s.read(ctx, func(r records.Reader) error {
		found, err = records.Examine(ctx, r)
		return err
	})
	return found, err
}

// Count implements [keys.Examiner].
func (s *Store) Count(ctx context.Context, now time.Time) (keys.Stats, error) {
	return records.Count(ctx, s.read, now)
}

// Close implements [keys.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	last := s.closed
	s.closed = true
	s.mu.Unlock()
	if last {
		return keys.ErrClosed
	}
	s.reading.Wait()
	s.now = revision{}
	return nil
}

// Interface guards
var (
	_ keys.Store    = (*Store)(nil)
	_ keys.Examiner = (*Store)(nil)
)
