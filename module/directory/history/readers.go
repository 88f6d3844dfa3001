package history

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// read asks for a register, once, and answers what it was told.
func (h *run) read(d *directory.Directory, register int) (e *directory.Entry, told Read, err error) {
	told = Read{Register: register, Start: h.tick()}
	if register < len(h.slots) {
		e, err = d.Find(h.context(), h.slots[register].digest)
	} else {
		e, err = d.Collaborator(h.context(), collaborators[register-len(h.slots)])
	}
	if err != nil {
		h.n.unanswered.Add(1)
		if !errors.Is(err, keys.ErrUnavailable) {
			_ = h.fault("a read: %w", err)
		}
		return nil, told, err
	}
	standing := d.Standing(e)
	told.End = h.tick()
	told.State, told.Expired = h.told(register, e, standing)
	h.n.reads.Add(1)
	return e, told, nil
}

// keep puts aside what was told.
func (h *run) keep(reads []Read, looks []Look) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, reads...)
	h.looks = append(h.looks, looks...)
}

// reader asks for one register after another.
func (h *run) reader(r *rand.Rand) {
	var reads []Read
	for !h.over() {
		register := r.IntN(len(h.registers))
		for range 1 + r.IntN(8) {
			_ = h.use.with(func(d *directory.Directory) error {
				_, told, err := h.read(d, register)
				if err == nil {
					reads = append(reads, told)
				}
				return err
			})
		}
		h.pause(r)
	}
	h.keep(reads, nil)
}

// pause leaves the processor to others, who are more than there are of it.
func (h *run) pause(r *rand.Rand) {
	if r.IntN(2) == 0 {
		<-time.After(time.Duration(r.IntN(100)) * time.Microsecond)
	}
}

// caller makes requests: each is decided, admitted, served for a while, and
// looked at meanwhile.
func (h *run) caller(r *rand.Rand) {
	for !h.over() {
		q := &request{h: h, credential: r.IntN(len(h.slots)), collaborator: -1, everyone: -1, permit: 1 << r.IntN(len(probes))}
		if s := &h.slots[q.credential]; s.user == "bob" {
			// shop and blog have everyone as a collaborator.
			pair := [][2]int{{0, 1}, {3, 4}}[r.IntN(2)]
			q.collaborator, q.everyone = len(h.slots)+pair[0], len(h.slots)+pair[1]
		}
		_ = h.use.with(func(d *directory.Directory) error {
			q.d = d
			q.serve(r)
			return nil
		})
		h.pause(r)
	}
}

// request is a forwarded request, as the gate makes it.
type request struct {
	h                                  *run
	d                                  *directory.Directory
	credential, collaborator, everyone int // registers, -1 if there is none
	permit                             uint32
	live                               directory.Live
	ended                              atomic.Bool
}

// decide answers with the entries that a decision rests on, nil where it is a
// refusal.
func (q *request) decide() (entries *[3]*directory.Entry) {
	var found [3]*directory.Entry
	var permits [3]bool
	var reads []Read
	defer func() { q.h.keep(reads, nil) }()
	for i, register := range [3]int{q.credential, q.collaborator, q.everyone} {
		if register < 0 {
			continue
		}
		e, told, err := q.h.read(q.d, register)
		if err != nil {
			return nil
		}
		reads = append(reads, told)
		found[i] = e
		permits[i] = told.Standing == keys.Active && !told.Expired && told.Permits&q.permit != 0
	}
	if !permits[0] || q.collaborator >= 0 && !permits[1] && !permits[2] {
		return nil
	}
	return &found
}

// Recheck implements [directory.Request].
func (q *request) Recheck() {
	if q.decide() == nil {
		q.ended.Store(true)
	}
}

// maxDecisions bounds how often a request is decided again, as in the gate.
const maxDecisions = 16

// enter decides and admits the request, and returns whether it goes on.
func (q *request) enter() bool {
	for range maxDecisions {
		entries := q.decide()
		if entries == nil {
			return false
		}
		if q.d.Admit(&q.live, q, entries[0], entries[1], entries[2]) {
			return true
		}
	}
	return false
}

func (q *request) serve(r *rand.Rand) {
	h := q.h
	if !q.enter() {
		return
	}
	defer q.d.Leave(&q.live)
	h.n.requests.Add(1)
	look := Look{
		Credential: q.credential, Collaborator: q.collaborator, Everyone: q.everyone,
		Permit: q.permit, Admitted: h.tick(),
	}
	var looks []Look
	for range r.IntN(10) {
		h.pause(r)
		look.Start = h.tick()
		if q.ended.Load() {
			h.n.ended.Add(1)
			break
		}
		look.End = h.tick()
		looks = append(looks, look)
		h.n.looks.Add(1)
	}
	h.keep(nil, looks)
}
