package history

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// change is something that is done to the store.
type change struct {
	weight int
	do     func(h *run, r *rand.Rand, tx *keys.Tx) error
}

var errRegret = errors.New("what was written is taken back")

// changes are what histories are made of. Most name things that may have gone;
// then nothing is written.
var changes = map[string]change{
	"create": {6, func(h *run, r *rand.Rand, tx *keys.Tx) error {
		c := h.anySlot(r).credential()
		c.Scopes, c.Endpoints = randomGrant(r)
		if r.IntN(3) == 0 {
			c.ExpiresAt = tx.Now().Add(h.span(r))
		}
		_, err := tx.CreateCredential(c)
		return err
	}},
	"revoke": {3, func(h *run, r *rand.Rand, tx *keys.Tx) error {
		return tx.Revoke(h.anySlot(r).id, "in a history")
	}},
	"rotate": {3, func(h *run, r *rand.Rand, tx *keys.Tx) error {
		from, to := h.anySlot(r), h.anySlot(r)
		if from.kind != to.kind || from.user != to.user || from.app != to.app {
			return keys.ErrNotFound
		}
		grace := time.Duration(0)
		if r.IntN(2) == 0 {
			grace = h.span(r)
		}
		_, err := tx.Rotate(from.id, keys.Rotation{Digest: to.digest, ID: to.id, Grace: grace})
		return err
	}},
	"patch the grant": {8, patch(func(_ *run, r *rand.Rand, _ *keys.Tx, c *keys.Credential) {
		c.Scopes, c.Endpoints = randomGrant(r)
	})},
	"disable or enable": {6, patch(func(_ *run, _ *rand.Rand, _ *keys.Tx, c *keys.Credential) {
		c.Disabled = !c.Disabled
	})},
	"patch the expiry": {6, patch(func(h *run, r *rand.Rand, tx *keys.Tx, c *keys.Credential) {
		switch r.IntN(3) {
		case 0:
			c.ExpiresAt = time.Time{}
		case 1:
			c.ExpiresAt = tx.Now().Add(h.span(r))
		case 2:
			c.ExpiresAt = tx.Now().Add(-h.span(r))
		}
	})},
	"suspend or not": {4, func(_ *run, r *rand.Rand, tx *keys.Tx) error {
		_, err := tx.ChangeUser([]string{"alice", "bob"}[r.IntN(2)], func(u *keys.User) error {
			u.Suspended = !u.Suspended
			return nil
		})
		return err
	}},
	"add collaborator": {8, func(_ *run, r *rand.Rand, tx *keys.Tx) error {
		c := keys.Collaborator{CollaboratorRef: collaborators[r.IntN(len(collaborators))]}
		c.Scopes, c.Endpoints = randomGrant(r)
		_, err := tx.AddCollaborator(c)
		return err
	}},
	"remove collaborator": {4, func(_ *run, r *rand.Rand, tx *keys.Tx) error {
		return tx.RemoveCollaborator(collaborators[r.IntN(len(collaborators))])
	}},
	"make an app": {3, func(_ *run, r *rand.Rand, tx *keys.Tx) error {
		_, err := tx.CreateApp(keys.App{AppRef: anyApp(r)})
		return err
	}},
	"delete an app": {1, func(_ *run, r *rand.Rand, tx *keys.Tx) error { return tx.DeleteApp(anyApp(r)) }},
	"delete a user": {1, func(_ *run, r *rand.Rand, tx *keys.Tx) error {
		// alice has most, so rarely.
		return tx.DeleteUser([]string{"alice", "bob", "bob", "ali", "ali"}[r.IntN(5)])
	}},
	"regret": {2, func(h *run, r *rand.Rand, tx *keys.Tx) error {
		return errors.Join(errRegret, tx.Revoke(h.anySlot(r).id, "regretted"))
	}},
}

// patch changes any credential.
func patch(f func(*run, *rand.Rand, *keys.Tx, *keys.Credential)) func(*run, *rand.Rand, *keys.Tx) error {
	return func(h *run, r *rand.Rand, tx *keys.Tx) error {
		_, err := tx.ChangeCredential(h.anySlot(r).id, func(c *keys.Credential) error {
			f(h, r, tx, c)
			return nil
		})
		return err
	}
}

func anyApp(r *rand.Rand) keys.AppRef { return []keys.AppRef{shop, blog, ceshop}[r.IntN(3)] }

func (h *run) anySlot(r *rand.Rand) *slot { return &h.slots[r.IntN(len(h.slots))] }

// span is a length of time for an expiry. Where the clock is the machine's it is
// hours, so that the history ends before it does.
func (h *run) span(r *rand.Rand) time.Duration {
	if h.clock == nil {
		return time.Duration(1+r.IntN(5)) * time.Hour
	}
	return time.Duration(1+r.IntN(1000)) * time.Millisecond
}

// anyChange picks one by its weight.
func anyChange(r *rand.Rand) string {
	n := 0
	for _, name := range changeNames {
		n += changes[name].weight
	}
	n = r.IntN(n)
	for _, name := range changeNames {
		if n -= changes[name].weight; n < 0 {
			return name
		}
	}
	panic("unreachable")
}

// change makes a change, and keeps what it did to the registers.
func (h *run) change(d *directory.Directory, r *rand.Rand, name string) error {
	var made *transaction
	err := d.Update(context.Background(), actor, func(tx *keys.Tx) error {
		if err := h.settle(tx); err != nil {
			return err
		}
		if err := changes[name].do(h, r, tx); err != nil {
			return err
		}
		var err error
		made, err = h.note(tx, tx.Now())
		return err
	})
	h.acknowledge(made, err)
	return err
}

// entry is a version in the making.
type entry struct {
	Version
	register int
}

// transaction is what one has written.
type transaction struct {
	Write
	versions []*entry
}

// note gives a version to each register that the transaction has changed.
func (h *run) note(r keys.Reader, at time.Time) (*transaction, error) {
	made := &transaction{Write: Write{Began: h.tick(), Ended: never, At: at.UnixNano()}}
	for register := range h.registers {
		s, err := h.stored(r, register)
		if err != nil {
			return nil, err
		}
		if s != h.last(register).State {
			made.versions = append(made.versions, &entry{Version{State: s, Began: made.Began, Ended: never, At: made.At}, register})
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range made.versions {
		h.registers[e.register] = append(h.registers[e.register], e)
	}
	h.writes = append(h.writes, made)
	h.unsettled = made.versions
	return made, nil
}

// last is the newest version that took effect. It is called inside a
// transaction, once that is settled.
func (h *run) last(register int) *entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	versions := h.registers[register]
	for i := len(versions) - 1; ; i-- {
		if !versions[i].Void {
			return versions[i]
		}
	}
}

// settle finds whether the transaction before has taken effect, which that one
// may not have heard yet, or may never hear.
func (h *run) settle(r keys.Reader) error {
	h.mu.Lock()
	unsettled := h.unsettled
	h.unsettled = nil
	h.mu.Unlock()
	for _, e := range unsettled {
		s, err := h.stored(r, e.register)
		if err != nil {
			return err
		}
		if s == e.State {
			continue
		}
		h.mu.Lock()
		e.Void = true
		h.mu.Unlock()
		if before := h.last(e.register); s != before.State {
			return h.fault("register %d holds what nobody wrote: %+v, neither %+v nor %+v", e.register, s, e.State, before.State)
		}
	}
	return nil
}

// acknowledge keeps what came of a transaction; nil is one that wrote nothing.
func (h *run) acknowledge(made *transaction, err error) {
	if made == nil {
		return
	}
	ended := h.tick()
	h.mu.Lock()
	defer h.mu.Unlock()
	made.Ended, made.Acknowledged = ended, err == nil
	for _, e := range made.versions {
		e.Ended, e.Acknowledged = ended, err == nil
	}
}
