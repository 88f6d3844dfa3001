//go:build linux

package fleettest

import (
	"fmt"
	"slices"
	"sort"
	"time"
)

// liveMargin is how long a node whose fence has closed has to end the requests
// that are live.
const liveMargin = 1500 * time.Millisecond

// history is what is known of the changes.
type history struct {
	// answered has the changes of each register in the order of their ends, each
	// with the newest version until then.
	answered map[int][]change
	intents  map[int]int64
	// plain is true if new keys may be lost because etcd was restored from a
	// snapshot. Only revocations count then.
	plain bool
	// late is the longest delay after which a read must see a change.
	late time.Duration
}

func newHistory(changes []change, intents map[int]int64) *history {
	h := &history{answered: map[int][]change{}, intents: intents}
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b change) int { return int(a.end - b.end) })
	for _, c := range changes {
		list := h.answered[c.register]
		if n := len(list); n > 0 {
			c.version = max(c.version, list[n-1].version)
		}
		h.answered[c.register] = append(list, c)
	}
	return h
}

// least returns the least version that who starts at a time may see.
func (h *history) least(register int, start int64) int {
	list := h.answered[register]
	n := sort.Search(len(list), func(i int) bool { return list[i].end >= start })
	if n == 0 {
		return 0
	}
	return list[n-1].version
}

// checkRead returns what is wrong with a read, or "".
func (h *history) checkRead(r read) string {
	least := h.least(r.register, r.start-int64(h.late))
	if r.version != absent {
		if r.version < least {
			return fmt.Sprintf("stale: key %d was read as version %d at %d, after %d was answered%s", r.register, r.version, r.start, least, h.list(r.register))
		}
		return ""
	}
	begun, ok := h.intents[r.register]
	if least > 0 && least < revoked && !ok && !h.plain {
		return fmt.Sprintf("lost: key %d was not found at %d, after version %d was answered, and nobody has revoked it (%t, %d)", r.register, r.start, least, ok, begun)
	}
	return ""
}

// checkLook returns what is wrong with a look at a live request, or "".
func (h *history) checkLook(l look) string {
	from := l.start - int64(liveMargin+h.late)
	if l.since > from {
		return "" // the gate had no time
	}
	if least := h.least(l.register, from); l.version < least {
		return fmt.Sprintf("live by what was before: key %d by version %d at %d, long after %d was answered%s", l.register, l.version, l.start, least, h.list(l.register))
	}
	return ""
}

func (h *history) list(register int) (text string) {
	for _, c := range h.answered[register] {
		text += fmt.Sprintf("\n    version %d at %d", c.version, c.end)
	}
	return text
}

// check goes through what was reported and returns the faults. What was checked
// once is checked again the next time, when all answers from before are known, and
// then forgotten.
func (r *reports) check() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := newHistory(r.changes, r.intents)
	h.plain, h.late = r.plain, r.late
	faults := r.faults
	r.faults = nil
	for _, read := range r.reads {
		if why := h.checkRead(read); why != "" {
			faults = append(faults, why)
		}
	}
	for _, l := range r.looks {
		if why := h.checkLook(l); why != "" {
			faults = append(faults, why)
		}
	}
	limit := now() - int64(5*time.Second)
	r.reads = slices.DeleteFunc(r.reads, func(r read) bool { return r.start < limit })
	r.looks = slices.DeleteFunc(r.looks, func(l look) bool { return l.start < limit })
	return faults
}
