package etcdstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/caddy-api-keys/gateway/module/keys"
)

const (
	// windowDays is the number of days after which every window has ended. The longest
	// window is a month.
	windowDays = 32
	// maxRemoved is how many quotas are removed at once. Each is an event for every
	// node.
	maxRemoved = 1000
)

var errUnknownQuota = fmt.Errorf("%w: etcd did not say whether it took back a part of a quota, which counts as taken", keys.ErrUnavailable)

// Allot implements [keys.Shared]. It neither touches nor compares the head, and the
// mirror doesn't have quotas. If other nodes change the quota first, it tries again for
// a while, but not beyond the deadline of ctx.
//
// If the client leaves, a call of etcd that has begun still runs to its end. Otherwise
// the part that the call takes would be lost, and a client could use up a quota by
// leaving.
func (s *Store) Allot(ctx context.Context, a keys.Allotment) (granted, taken int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	if s.closed.Load() {
		return 0, 0, keys.ErrClosed
	}
	calls, cancel := context.WithTimeout(s.ctx, commitTimeout)
	defer cancel()
	if end, ok := ctx.Deadline(); ok {
		calls, cancel = context.WithDeadline(calls, end)
		defer cancel()
	}
	name := s.layout.quota(a.Begin, a.Meter)
	seen, err := s.quota(calls, name)
	if err != nil {
		return 0, 0, err
	}
	s.noteWindow(a.Begin)
	for unsure := false; ; {
		granted := a.Granted(seen.taken)
		if granted == 0 {
			return 0, seen.taken, nil
		}
		now, swapped, err := s.swapQuota(calls, name, seen, seen.taken+granted)
		switch {
		case swapped:
			return granted, now.taken, nil
		case err == nil && unsure && granted < 0:
			// Another node may hold the part that was given back. Giving the part back
			// again would grant it twice.
			return 0, 0, errUnknownQuota
		case err == nil: // what a failed call may have taken is lost
			seen, unsure = now, false
		case isRefusal(err) || errors.Is(err, keys.ErrCorrupt):
			return 0, 0, quotaError(err)
		default:
			// The call may have been carried out all the same. Another attempt does no
			// harm: at most one takes effect, because each replaces the value that was
			// seen.
			unsure = true
			select {
			case <-calls.Done():
				return 0, 0, quotaError(err)
			case <-time.After(retryPause):
			}
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, quotaError(err)
		}
	}
}

func quotaError(err error) error {
	return fmt.Errorf("%w: taking a part of a quota in etcd: %w", keys.ErrUnavailable, err)
}

// quotaAt is how much of a quota had been taken at a revision of etcd. The revision is
// 0 if no node has taken anything.
type quotaAt struct{ taken, revision int64 }

// quota reads how much of a quota was taken.
func (s *Store) quota(ctx context.Context, name string) (quotaAt, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Get(ctx, name)
	if err != nil {
		return quotaAt{}, quotaError(err)
	}
	seen, err := quotaOf(answer.Kvs)
	if err != nil {
		return seen, quotaError(err)
	}
	return seen, nil
}

// swapQuota writes how much of a quota is taken, if the record hasn't changed since it
// was seen. Otherwise it returns the current record.
func (s *Store) swapQuota(ctx context.Context, name string, seen quotaAt, taken int64) (now quotaAt, swapped bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(name), "=", seen.revision)).
		Then(clientv3.OpPut(name, string(encode(quotaRecord{taken})))).
		Else(clientv3.OpGet(name)).Commit()
	switch {
	case err != nil:
		return now, false, err
	case answer.Succeeded:
		return quotaAt{taken, answer.Header.Revision}, true, nil
	}
	now, err = quotaOf(answer.Responses[0].GetResponseRange().Kvs)
	return now, false, err
}

// quotaOf decodes the record of a quota, if there is one.
func quotaOf(found []*mvccpb.KeyValue) (quotaAt, error) {
	if len(found) == 0 {
		return quotaAt{}, nil
	}
	r, err := decode[quotaRecord]("quota", found[0].Value)
	return quotaAt{r.Taken, found[0].ModRevision}, err
}

// noteWindow wakes up the task that removes ended windows, if this window is newer than
// every other window that this node knows.
func (s *Store) noteWindow(begin keys.Date) {
	for {
		newest := s.newestWindow.Load()
		if int32(begin) <= newest {
			return
		}
		if s.newestWindow.CompareAndSwap(newest, int32(begin)) {
			wake(s.windowBegun)
			return
		}
	}
}

// removeEnded removes the quotas of windows that have ended, whenever a window begins.
// If the removal fails, they stay until the next window begins.
func (s *Store) removeEnded() {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.windowBegun:
		}
		if err := s.removeBefore(s.ctx, keys.Date(s.newestWindow.Load())-windowDays); err != nil && s.ctx.Err() == nil {
			s.known.fail(fmt.Errorf("removing quotas of windows that have ended: %w", err))
		}
	}
}

// removeBefore removes the quotas of windows that began before a day.
func (s *Store) removeBefore(ctx context.Context, day keys.Date) error {
	for more := true; more; {
		var err error
		if more, err = s.removeSome(ctx, s.layout.window(day)); err != nil {
			return err
		}
	}
	return nil
}

// removeSome removes the first quotas whose keys sort before end. It reports whether
// there are more.
func (s *Store) removeSome(ctx context.Context, end string) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	page, err := s.client.Get(ctx, s.layout.quotas(), clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(maxRemoved))
	if err != nil || len(page.Kvs) == 0 {
		return false, err
	}
	last := string(page.Kvs[len(page.Kvs)-1].Key)
	_, err = s.client.Delete(ctx, s.layout.quotas(), clientv3.WithRange(last+"\x00"))
	return page.More, err
}
