package boltstore

import (
	"context"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// countedAtOnce is how many records are read in one transaction.
const countedAtOnce = 1000

// Count implements [keys.Examiner]. What is changed meanwhile may be counted or
// not.
func (s *Store) Count(ctx context.Context, now time.Time) (keys.Stats, error) {
	c := counter{s: s, ctx: ctx, now: now, suspended: map[string]bool{}}
	if err := c.count(); err != nil {
		return keys.Stats{}, fmt.Errorf("counting what is in key store %s: %w", s.path, err)
	}
	return c.Stats, nil
}

type counter struct {
	keys.Stats
	s         *Store
	ctx       context.Context
	now       time.Time
	suspended map[string]bool // users
}

func (c *counter) count() error {
	for _, count := range []func() error{
		func() error { return inPages(c, &users, c.user) },
		func() error { return inPages(c, &apps, func(keys.App) { c.Apps++ }) },
		func() error { return inPages(c, &credentials, c.credential) },
		func() error { return inPages(c, &collaborators, func(keys.Collaborator) { c.Collaborators++ }) },
		func() error { return inPages(c, &tombstones, func(keys.Tombstone) { c.Tombstones++ }) },
		c.rest,
		c.pages,
	} {
		if err := count(); err != nil {
			return err
		}
	}
	return nil
}

// inPages walks a table, a short transaction for each page.
func inPages[R, S any](c *counter, t *table[R, S], each func(R)) error {
	var last []byte
	for more := true; more; {
		more = false
		err := c.s.view(c.ctx, func(tx *bolt.Tx) error {
			n := 0
			for record, err := range t.all(tx, last) {
				if err != nil {
					return err
				}
				each(record)
				last = t.key(record)
				if n++; n == countedAtOnce {
					more = true
					break
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// view is [Store.View] for what is the store's own.
func (s *Store) view(ctx context.Context, fn func(*bolt.Tx) error) error {
	return s.View(ctx, func(r keys.Reader) error { return fn(r.(reader).tx) })
}

func (c *counter) user(u keys.User) {
	c.Users++
	if u.Suspended {
		c.SuspendedUsers++
		c.suspended[u.ID] = true
	}
}

func (c *counter) credential(cred keys.Credential) {
	standing := keys.Active
	switch {
	case c.suspended[cred.UserID]:
		standing = keys.Suspended
	case cred.Disabled:
		standing = keys.Disabled
	case !cred.ExpiresAt.IsZero() && !c.now.Before(cred.ExpiresAt):
		standing = keys.Expired
	}
	switch cred.Kind {
	case policy.AppKey:
		c.AppKeys.Add(standing)
	case policy.PAT:
		c.PATs.Add(standing)
	case policy.Session:
		c.Sessions.Add(standing)
	}
}

// rest is what needs no walk, or a short one.
func (c *counter) rest() error {
	return c.s.view(c.ctx, func(tx *bolt.Tx) error {
		r := reader{tx}
		for _, err := range r.RetiredUsers() {
			if err != nil {
				return err
			}
			c.RetiredUsers++
		}
		last, err := r.LastWrite()
		if err != nil {
			return err
		}
		c.LastWrite = orNone(last)
		head, err := r.AuditHead()
		if err != nil || head.Last == 0 {
			return err
		}
		c.AuditEntries = head.Last + 1 - head.First
		for seq, at := range map[uint64]**time.Time{head.First: &c.AuditFrom, head.Last: &c.AuditTo} {
			e, err := audit.get(tx, place(nil, seq))
			if err != nil {
				return fmt.Errorf("entry %d of the audit log: %w", seq, err)
			}
			*at = orNone(e.At)
		}
		return nil
	})
}

func orNone(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// pages counts those that are free, as the file says: bbolt itself would have
// to look at every one. No write may be under way.
func (c *counter) pages() error {
	c.s.writing.Lock()
	defer c.s.writing.Unlock()
	now := c.s.state.Load()
	if now.err != nil {
		return now.err
	}
	file, err := os.Open(c.s.path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	p := &pages{ctx: c.ctx, file: file, pageSize: now.db.Info().PageSize}
	_, freelist, err := p.newestMeta(info.Size())
	if err != nil {
		return err
	}
	p.met = make([]uint64, p.high/64+1)
	list, err := p.freeList(freelist)
	c.FileBytes, c.FreeBytes = info.Size(), int64(len(list)/8*p.pageSize)
	return err
}
