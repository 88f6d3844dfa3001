package directory

import (
	"context"
	"fmt"
	"sync"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxCounted is how many keys' requests are counted between two flushes, at
// about 300 bytes a key. When half as many keys were used, a flush is due. If
// there are more before it comes, the requests of further keys are not counted.
const maxCounted = 1 << 16

// activity collects what became of requests that presented a key. [Directory.Flush]
// writes it together with the last uses. If the process is killed, at most half a
// minute of it is lost. If a write fails, the counts wait for the next flush. A
// failed write that took effect nevertheless counts twice.
type activity struct {
	mu sync.Mutex
	// counted are the tallies with counts, and newest is the last one of each
	// digest, which an entry that is loaded meanwhile uses too.
	counted []counted
	newest  map[credential.Digest]*tally
	// unwritten are the counts that the last flush couldn't write.
	unwritten map[credential.Digest]keys.Activity

	// walked is how far shortenActivity has come. It is guarded by flushing.
	walked credential.Digest
}

type counted struct {
	digest credential.Digest
	tally  *tally
}

// Today returns the current day.
func (d *Directory) Today() keys.Date { return keys.DateOf(d.Now()) }

// Allowed counts a request that was forwarded with the credential of an entry.
// today is what [Directory.Used] returned, so that the clock is read once.
func (d *Directory) Allowed(e *Entry, today keys.Date) {
	t := e.tally
	if t == nil || !t.allow(today) {
		return
	}
	d.note(e.digest, t)
}

// Refused counts a request that presented the credential of an entry and was
// refused.
func (d *Directory) Refused(e *Entry, why keys.Cause) {
	t := e.tally
	if t == nil || !t.refuse(d.Today(), why) {
		return
	}
	d.note(e.digest, t)
}

// note puts a tally on the list for the next flush, or empties it if there is no
// room.
func (d *Directory) note(digest credential.Digest, t *tally) {
	n, ok := d.activity.add(digest, t)
	if !ok {
		t.collect()
	}
	if n == maxCounted/2 {
		d.finishSoon()
	}
}

// add puts a tally on the list. It reports how many there are, and whether there
// was room.
func (a *activity) add(digest credential.Digest, t *tally) (n int, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.counted)+len(a.unwritten) >= maxCounted {
		return 0, false
	}
	if a.newest == nil {
		a.newest = map[credential.Digest]*tally{}
	}
	a.counted, a.newest[digest] = append(a.counted, counted{digest, t}), t
	return len(a.counted), true
}

// tallyOf returns the tally for a new entry.
func (a *activity) tallyOf(digest credential.Digest) *tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.newest[digest]; t != nil {
		return t
	}
	return new(tally)
}

// collect returns all that was counted and isn't written.
func (a *activity) collect() map[credential.Digest]keys.Activity {
	a.mu.Lock()
	list, all := a.counted, a.unwritten
	a.counted, a.newest, a.unwritten = nil, nil, nil
	a.mu.Unlock()
	if all == nil {
		all = make(map[credential.Digest]keys.Activity, len(list))
	}
	for _, c := range list {
		if counts := c.tally.collect(); len(counts) > 0 {
			sum := all[c.digest]
			sum.Add(counts)
			all[c.digest] = sum
		}
	}
	return all
}

// keep keeps the activity of uses that could not be written.
func (a *activity) keep(uses []keys.Use) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, use := range uses {
		if len(use.Activity) == 0 {
			continue
		}
		if a.unwritten == nil {
			a.unwritten = map[credential.Digest]keys.Activity{}
		}
		a.unwritten[use.Digest] = use.Activity
	}
}

// walkedAtOnce is how many keys' activity one upkeep looks at.
const walkedAtOnce = 1000

// shortenActivity removes the activity of keys that have not been used since
// [keys.ActivityDays]. It goes on where the previous upkeep stopped. Old days of
// keys in use are removed when their counts are written. It removes none while
// the clock is in doubt.
func (d *Directory) shortenActivity(ctx context.Context) error {
	if err := d.CheckClock(); err != nil {
		return err
	}
	d.flushing.Lock()
	defer d.flushing.Unlock()
	today, walked := keys.DateOf(d.clock()), 0
	var old []keys.Use
	err := d.store.View(ctx, func(r keys.Reader) error {
		for a, err := range r.Activities(d.activity.walked) {
			if err != nil {
				return err
			}
			d.activity.walked = a.Digest
			if len(a.Recent(today)) == 0 {
				old = append(old, keys.Use{Digest: a.Digest, Today: today})
			}
			if walked++; walked == walkedAtOnce {
				return nil
			}
		}
		d.activity.walked = credential.Digest{}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the activity of keys: %w", err)
	}
	size := d.store.MaxWrites() / 2
	for i := 0; i < len(old); i += size {
		if err := d.store.Used(ctx, old[i:min(i+size, len(old))]); err != nil {
			return fmt.Errorf("removing old activity of keys: %w", err)
		}
	}
	return nil
}
