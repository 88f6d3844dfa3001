package records

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// countedAtOnce is how many records one transaction reads.
const countedAtOnce = 1000

// Count counts the records of a key store. It opens many short revisions with view,
// so it may or may not count changes made in the meantime. now decides which
// credentials have expired.
func Count(ctx context.Context, view func(context.Context, func(Reader) error) error, now time.Time) (keys.Stats, error) {
	c := counter{view: view, ctx: ctx, now: now, suspended: map[string]bool{}}
	err := c.count()
	return c.Stats, err
}

type counter struct {
	keys.Stats
	view      func(context.Context, func(Reader) error) error
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
	} {
		if err := count(); err != nil {
			return err
		}
	}
	return nil
}

// inPages walks a table with a short transaction for each page.
func inPages[R, S any](c *counter, t *table[R, S], each func(R)) error {
	var last []byte
	for more := true; more; {
		more = false
		err := c.view(c.ctx, func(r Reader) error {
			n := 0
			for record, err := range t.all(r, last) {
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

func (c *counter) user(u keys.User) {
	c.Users++
	if u.Suspended {
		c.SuspendedUsers++
		c.suspended[u.ID] = true
	}
}

func (c *counter) credential(cred keys.Credential) {
	standing := cred.Standing(c.suspended[cred.UserID], c.now)
	switch cred.Kind {
	case policy.AppKey:
		c.AppKeys.Add(standing)
	case policy.PAT:
		c.PATs.Add(standing)
	case policy.Session:
		c.Sessions.Add(standing)
	}
}

// rest counts what needs no walk, or only a short one.
func (c *counter) rest() error {
	return c.view(c.ctx, func(r Reader) error {
		v := NewView(r)
		for _, err := range v.RetiredUsers() {
			if err != nil {
				return err
			}
			c.RetiredUsers++
		}
		last, err := v.LastWrite()
		if err != nil {
			return err
		}
		c.LastWrite = orNone(last)
		head, err := v.AuditHead()
		if err != nil || head.Last == 0 {
			return err
		}
		c.AuditEntries = head.Last + 1 - head.First
		for seq, at := range map[uint64]**time.Time{head.First: &c.AuditFrom, head.Last: &c.AuditTo} {
			e, err := audit.get(r, place(nil, seq))
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
