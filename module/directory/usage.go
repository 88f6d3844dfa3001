package directory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// usage collects when credentials were last used, so that requests don't have
// to write. [Directory.Flush] writes it in batches. If the process is killed,
// at most a minute's last uses are lost.
type usage struct {
	mu sync.Mutex
	// noted holds uses that are not written yet. writing holds those that a
	// running Flush writes.
	noted, writing map[credential.Digest]keys.Usage
}

// Used notes that the credential of an entry is used now from an address, once a
// minute. It returns the current day.
func (d *Directory) Used(e *Entry, address string) (today keys.Date) {
	now, last := d.Now(), e.seen.Load()
	today = keys.DateOf(now)
	if now.UnixNano()-last < int64(time.Minute) {
		return today
	}
	if d.CheckClock() != nil {
		return today // the time of this use is unknown
	}
	if !e.seen.CompareAndSwap(last, now.UnixNano()) {
		return today
	}
	d.usage.note(e.digest, keys.Usage{At: now.Truncate(time.Minute).UTC(), Address: address})
	return today
}

func (u *usage) note(digest credential.Digest, last keys.Usage) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.noted == nil {
		u.noted = map[credential.Digest]keys.Usage{}
	}
	u.noted[digest] = last
}

// newest returns the noted use of a credential, which may not be written yet.
func (u *usage) newest(digest credential.Digest) (keys.Usage, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.noted[digest]; ok {
		return last, true
	}
	last, ok := u.writing[digest]
	return last, ok
}

// LastUsed returns when and from where a credential was last used. It returns
// [keys.ErrNotFound] if it was never used.
func (d *Directory) LastUsed(from keys.Reader, digest credential.Digest) (keys.Usage, error) {
	if last, ok := d.usage.newest(digest); ok {
		return last, nil
	}
	return from.LastUsed(digest)
}

// maxUsages is how many uses are written at once, because others wait for it.
const maxUsages = 500

// Flush writes the last uses, the activity and the usage of quotas since the previous
// Flush.
func (d *Directory) Flush(ctx context.Context) error {
	d.flushing.Lock()
	defer d.flushing.Unlock()
	uses := d.collect()
	defer d.usage.keepUnwritten()
	// A use with activity is two records.
	size := min(maxUsages, d.store.MaxWrites()/2)
	for i := 0; i < len(uses); i += size {
		if err := d.writeUses(ctx, uses[i:min(i+size, len(uses))]); err != nil {
			d.activity.keep(uses[i:])
			return fmt.Errorf("writing when keys were last used: %w", err)
		}
	}
	return d.flushSpendings(ctx)
}

// collect returns the uses that are to be written.
func (d *Directory) collect() []keys.Use {
	u, today := &d.usage, d.Today()
	u.mu.Lock()
	u.writing, u.noted = u.noted, nil
	last := maps.Clone(u.writing)
	u.mu.Unlock()
	counts := d.activity.collect()
	uses := make([]keys.Use, 0, len(last)+len(counts))
	for digest, usage := range last {
		use := keys.Use{Digest: digest, Usage: usage}
		if use.Activity = counts[digest]; use.Activity != nil {
			use.Today = today
			delete(counts, digest)
		}
		uses = append(uses, use)
	}
	for digest, activity := range counts {
		uses = append(uses, keys.Use{Digest: digest, Activity: activity, Today: today})
	}
	return uses
}

// keepUnwritten keeps uses that were not written for the next Flush.
func (u *usage) keepUnwritten() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for digest, last := range u.writing {
		if _, newer := u.noted[digest]; !newer {
			if u.noted == nil {
				u.noted = map[credential.Digest]keys.Usage{}
			}
			u.noted[digest] = last
		}
	}
	u.writing = nil
}

func (d *Directory) writeUses(ctx context.Context, batch []keys.Use) error {
	if err := d.Writable(); err != nil {
		return err
	}
	if err := d.store.Used(context.WithoutCancel(ctx), batch); err != nil {
		return err
	}
	d.usage.mu.Lock()
	defer d.usage.mu.Unlock()
	for _, use := range batch {
		delete(d.usage.writing, use.Digest)
	}
	return nil
}

// loadUsage sets the last use of an entry's credential.
func (d *Directory) loadUsage(r keys.Reader, e *Entry, c *keys.Credential) error {
	last, err := d.LastUsed(r, c.Digest)
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	seen := last.At
	if c.Kind == policy.Session && c.CreatedAt.After(seen) {
		seen = c.CreatedAt // it begins with its creation to be idle
	}
	if !seen.IsZero() {
		e.seen.Store(seen.UnixNano())
	}
	e.idle = int64(c.Idle)
	return nil
}
