package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Task names a background task of a directory.
type Task string

const (
	// TaskHeartbeat writes the time if nothing else has been written for long,
	// so that a clock that jumps ahead is noticed.
	TaskHeartbeat Task = "heartbeat"
	// TaskDeletions finishes the deletion of users and apps.
	TaskDeletions Task = "deletions"
	// TaskLastUse writes when keys were last used, whether their requests were allowed,
	// and how much of their quotas was used.
	TaskLastUse Task = "last_use"
	// TaskAuditRetention removes audit entries that are older than the
	// retention.
	TaskAuditRetention Task = "audit_retention"
	// TaskActivity removes the activity of keys that is too old.
	TaskActivity Task = "activity"
	// TaskQuotas removes the usage of quotas in windows that are over. In a fleet, it
	// takes parts of quotas ahead of need.
	TaskQuotas Task = "quotas"
	// TaskClose closes the store after the last request of a removed
	// configuration.
	TaskClose Task = "close"
	// TaskSettle waits until a change is in effect on all nodes of a fleet. It fails
	// if some are configured to go on without knowing it.
	TaskSettle Task = "settle"
)

// DefaultAuditRetention is how long the audit log goes back unless the
// configuration says otherwise: 90 days.
const DefaultAuditRetention = 2160 * time.Hour

// Observer is notified about the background tasks of a directory.
type Observer interface {
	// TaskFailed is called for every failure of a task. The directory tries the
	// task again, except [TaskClose] and [TaskSettle].
	TaskFailed(task Task, err error)
}

// unobserved is the observer of a directory that has none.
type unobserved struct{}

func (unobserved) TaskFailed(Task, error) {}

// SetObserver sets the observer of background tasks; nil means none.
func (d *Directory) SetObserver(o Observer) {
	if o == nil {
		o = unobserved{}
	}
	d.observer.Store(&o)
}

func (d *Directory) failed(task Task, err error) { (*d.observer.Load()).TaskFailed(task, err) }

// upkeepInterval is half a minute, so that at most the last uses of a minute
// are lost.
const upkeepInterval = 30 * time.Second

// keepUp runs [Directory.Upkeep] until the directory is closed. Failed tasks
// are tried again the next time.
func (d *Directory) keepUp() {
	tick := time.NewTicker(upkeepInterval)
	defer tick.Stop()
	for {
		select {
		case <-d.closing:
			return
		case <-tick.C:
		case <-d.unfinished:
		}
		// The observer gets each failure, and Failing returns it.
		_ = d.Upkeep(context.Background())
	}
}

// Upkeep runs every task once and returns their failures. The observer gets
// each of them.
func (d *Directory) Upkeep(ctx context.Context) error {
	tasks := []struct {
		task Task
		run  func(context.Context) error
	}{
		{TaskHeartbeat, d.beat},
		{TaskDeletions, d.Finish},
		{TaskLastUse, d.Flush},
		{TaskActivity, d.shortenActivity},
		{TaskQuotas, d.shortenSpendings},
		{TaskAuditRetention, d.shortenAudit},
	}
	var failures []error
	for _, t := range tasks {
		if err := safely(ctx, t.run); err != nil {
			d.failed(t.task, err)
			failures = append(failures, fmt.Errorf("%s: %w", t.task, err))
		}
	}
	err := errors.Join(failures...)
	d.failing.Store(&err)
	return err
}

// Failing returns the failures of the last upkeep, and nil if there were none.
func (d *Directory) Failing() error {
	if err := d.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// safely turns a panic into an error, because a store that panics must not end
// the process.
func safely(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return run(ctx)
}

// shortenAudit removes the audit entries that are older than the retention. It
// removes none while the clock is in doubt.
func (d *Directory) shortenAudit(ctx context.Context) error {
	if err := d.CheckClock(); err != nil {
		return err
	}
	for more := true; more; {
		now := d.clock() // which the newest write may be ahead of
		before := now.Add(-time.Duration(d.retention.Load()))
		var due bool
		err := d.store.View(ctx, func(r keys.Reader) (err error) {
			due, err = keys.AuditDue(r, before, now)
			return err
		})
		if err != nil || !due {
			return err
		}
		err = d.write(ctx, ordinary, "", func(w keys.Writer, _ time.Time) (err error) {
			more, err = keys.PruneAudit(w, before, now)
			return err
		})
		if err != nil {
			return fmt.Errorf("shortening the audit log: %w", err)
		}
	}
	return nil
}
