// Package history checks that no request is decided by what was before a
// change that was acknowledged. It runs readers and writers against a
// directory, keeps a history of what each was told and when, and goes through
// it with a rule.
//
// # The rule
//
// There is one clock, a counter. Every operation takes a tick from it before
// it begins and one after it has returned, so of two operations of which one
// ended before the other began, the ticks say so.
//
// A register is what one digest stands for: a credential, or a collaborator. Its
// versions are totally ordered, because the store writes one transaction at a time:
// each takes the tick Began inside its transaction, and Ended once the Update
// has returned. The first version is there before the history begins.
//
//  1. A read of a register is explained by a version that was current at some
//     moment of the read: the newest whose Ended is before the read's Start, or
//     a later one whose Began is before the read's End. If it equals none of
//     those, it is stale (or of the future).
//  2. A change whose Update returned an error may have taken effect or not.
//     Which, is what the next transaction finds, or the end of the history. If
//     it did, it counts from its Began on as one that was acknowledged at its
//     Ended: after the error nobody is answered from before. If it did not,
//     only reads that began before its Ended may have seen it: after the error
//     the store answers what will last, or not at all. Neither is found where a
//     change that was acknowledged was lost, which is a fault as well.
//  3. Time is the clock that the directory was given, but never before the
//     transaction time of a change whose Ended is before the read's Start. A
//     read is told that a credential has expired only if the time was past its
//     end at some moment of the read, and that it is good only if it wasn't at
//     some moment.
//  4. A request that was admitted and is still live is a read of all that it
//     was decided by, and permitted: rule 1 holds at every moment that it is
//     looked at. Besides, a version that began after the request was admitted
//     and ended before the look, and that refuses it, has ended it for good,
//     whatever came later.
//
// Reads are not ordered among one another: while a change is under way, one may
// see it and a later one not yet, because what was cached before may still be used
// until the change is acknowledged. That is less than linearizability (such a
// register is called regular), and all that is promised; a checker of
// linearizability, as porcupine, would report it. As versions are ordered and
// each read is of one register, checking takes no search: for each read the
// versions are walked once.
package history

import (
	"fmt"
	"math"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// State is what a register holds. The zero value is what a digest stands for
// that nothing is known of.
type State struct {
	// Standing is never Expired: that depends on the time.
	Standing             keys.Standing
	Kind                 policy.Kind
	UserID, KeyID, AppID string
	// Permits has a bit for each of the [probes] that the grant permits.
	Permits uint32
	// Expires is in Unix nanoseconds, 0 is never.
	Expires int64
}

// Version is a register's state from one change on.
type Version struct {
	State
	Began, Ended int64
	// At is the time of the transaction, in Unix nanoseconds.
	At int64
	// Acknowledged is true if the Update returned no error.
	Acknowledged bool
	// Void is true if the change turned out to have no effect.
	Void bool
}

// refuses reports whether a caller is refused who is decided again by the
// version, in the course of its change, is refused.
func (v *Version) refuses(permit uint32) bool {
	return v.Standing != keys.Active || v.Permits&permit == 0 || v.over()
}

// over reports whether the version had expired by the time of its own
// transaction, which is the directory's time once the change has ended.
func (v *Version) over() bool { return v.Expires != 0 && v.Expires <= v.At }

// Read is what one read was told.
type Read struct {
	Register   int
	Start, End int64
	State
	// Expired is true if the credential was called expired. Standing is Active
	// then.
	Expired bool
}

// Look is one look at a request that was still live.
type Look struct {
	// Credential, Collaborator and Everyone are the registers it was decided by;
	// the last two are -1 where it didn't need a collaborator.
	Credential, Collaborator, Everyone int
	Permit                             uint32
	Admitted                           int64
	Start, End                         int64
}

// Write is a transaction that wrote something, whether it changed a register or
// not.
type Write struct {
	Began, Ended int64
	At           int64 // the time of the transaction, in Unix nanoseconds
	Acknowledged bool
}

// Setting is the directory's clock being set.
type Setting struct {
	Began, Ended int64
	To           int64 // Unix nanoseconds
}

// History is what was done and told.
type History struct {
	Registers [][]Version // each in the order of the transactions
	Reads     []Read
	Looks     []Look
	Writes    []Write
	// Settings of the clock, in order. The first is there before the history
	// begins.
	Settings []Setting
}

// Check goes through a history and returns what breaks the rule.
func Check(h *History) (faults []string) {
	for i := range h.Registers {
		for j := range h.Registers[i] {
			if v := &h.Registers[i][j]; v.Void && v.Acknowledged {
				faults = append(faults, fmt.Sprintf("register %d lost an acknowledged change: %+v", i, *v))
			}
		}
	}
	for i := range h.Reads {
		if why := h.checkRead(&h.Reads[i]); why != "" {
			faults = append(faults, why)
		}
	}
	for i := range h.Looks {
		if why := h.checkLook(&h.Looks[i]); why != "" {
			faults = append(faults, why)
		}
	}
	return faults
}

// current calls yield with each version of a register that was current at some
// moment from start to end, until it returns true. It returns whether one did.
func (h *History) current(register int, start, end int64, yield func(*Version) bool) bool {
	versions := h.Registers[register]
	for i := len(versions) - 1; i >= 0; i-- {
		v := &versions[i]
		switch {
		case v.Began >= end, v.Void && v.Ended < start:
			continue // not yet, or no more
		case yield(v):
			return true
		case !v.Void && v.Ended < start:
			return false // it had replaced all before it
		}
	}
	return false
}

func (h *History) checkRead(r *Read) string {
	explained := h.current(r.Register, r.Start, r.End, func(v *Version) bool { return v.State == r.State })
	if !explained {
		return fmt.Sprintf("stale: %+v\n%s", *r, h.list(r.Register, r.Start, r.End))
	}
	if r.Expires == 0 || r.Standing != keys.Active {
		return ""
	}
	earliest, latest := h.time(r.Start, r.End)
	switch {
	case r.Expired && latest < r.Expires:
		return fmt.Sprintf("expired before its time: %+v, it was at most %s", *r, time.Unix(0, latest))
	case !r.Expired && earliest >= r.Expires:
		return fmt.Sprintf("good after its time: %+v, it was at least %s", *r, time.Unix(0, earliest))
	}
	return ""
}

// time returns between what the directory's time was from start to end.
func (h *History) time(start, end int64) (earliest, latest int64) {
	earliest, latest = math.MaxInt64, math.MinInt64
	for i := len(h.Settings) - 1; i >= 0; i-- {
		s := &h.Settings[i]
		if s.Began >= end {
			continue
		}
		earliest, latest = min(earliest, s.To), max(latest, s.To)
		if s.Ended < start {
			break
		}
	}
	for i := range h.Writes {
		w := &h.Writes[i]
		if w.Began < end {
			latest = max(latest, w.At)
		}
		if w.Acknowledged && w.Ended < start {
			earliest = max(earliest, w.At)
		}
	}
	return earliest, latest
}

func (h *History) checkLook(l *Look) string {
	permitted := func(register int) bool {
		return register >= 0 && h.current(register, l.Start, l.End, func(v *Version) bool {
			// While its change is under way, it may not have come to its time.
			return !v.refuses(l.Permit) || v.Ended > l.Start && v.Standing == keys.Active && v.Permits&l.Permit != 0
		})
	}
	shared := l.Collaborator >= 0
	if !permitted(l.Credential) || shared && !permitted(l.Collaborator) && !permitted(l.Everyone) {
		return fmt.Sprintf("live by what was before: %+v\n%s", *l, h.listLook(l))
	}
	for i := range h.Registers[l.Credential] {
		v := &h.Registers[l.Credential][i]
		if !v.Void && v.Began > l.Admitted && v.Ended < l.Start && v.refuses(l.Permit) {
			return fmt.Sprintf("live through a change that refuses it: %+v\n%+v", *l, *v)
		}
	}
	return ""
}

func (h *History) listLook(l *Look) (text string) {
	for _, register := range []int{l.Credential, l.Collaborator, l.Everyone} {
		if register >= 0 {
			text += h.list(register, l.Start, l.End)
		}
	}
	return text
}

// list says which versions of a register would have explained something.
func (h *History) list(register int, start, end int64) string {
	text := fmt.Sprintf("  of register %d were current from %d to %d:\n", register, start, end)
	h.current(register, start, end, func(v *Version) bool {
		text += fmt.Sprintf("    %+v\n", *v)
		return false
	})
	return text
}
