package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// run is one history.
type run struct {
	Setup
	seed uint64
	path string
	// The seed decides these.
	reloads, collide          bool
	cacheBytes                int64
	readers, callers, writers int
	changesEach               int
	storeFaults               storeFaults

	ticks atomic.Int64
	clock *clock // nil where it is the machine's
	began time.Time
	slots []slot
	use   user
	done  chan struct{}

	mu        sync.Mutex // guards what follows
	registers [][]*entry
	writes    []*transaction
	unsettled []*entry
	reads     []Read
	looks     []Look
	errs      []error

	n counts
}

func newRun(s Setup, seed uint64, path string) *run {
	r := stream(seed, 0)
	h := &run{
		Setup: s, seed: seed, path: path,
		reloads:    s.Directory == nil || r.IntN(4) == 0,
		collide:    r.IntN(3) == 0,
		cacheBytes: anyCache(r),
		readers:    1 + r.IntN(4), callers: 1 + r.IntN(4), writers: 1 + r.IntN(3),
		changesEach: 5 + r.IntN(15),
		storeFaults: storeFaults{random: stream(seed, 1), slow: []int{0, 10, 40}[r.IntN(3)]},
		began:       time.Now(),
		slots:       newSlots(),
		done:        make(chan struct{}),
	}
	if r.IntN(3) == 0 {
		h.storeFaults.failing = 1 + r.IntN(10)
	}
	if !h.reloads {
		h.clock = &clock{h: h, now: h.began}
	}
	return h
}

// largest is a cache for all entries.
const largest = 64 << 10

// anyCache is a budget: none, for a few entries, or for all.
func anyCache(r *rand.Rand) int64 { return []int64{0, 700, 2_000, largest}[r.IntN(4)] }

// String says what the seed has decided.
func (h *run) String() string {
	return fmt.Sprintf("cache %d, collide %v, reloads %v, slow %d%%, failing %d%%; %d readers, %d callers, %d writers of %d changes",
		h.cacheBytes, h.collide, h.reloads, h.storeFaults.slow, h.storeFaults.failing, h.readers, h.callers, h.writers, h.changesEach)
}

func (h *run) tick() int64 { return h.ticks.Add(1) }

// fault keeps an error that is no ordinary answer of the store.
func (h *run) fault(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.errs = append(h.errs, err)
	return err
}

// stream is one of the sequences of a seed, for each goroutine its own.
func stream(seed, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, n)) //nolint:gosec // what can be repeated, nothing secret
}

// run plays the history and checks it.
func (h *run) run() (faults []string, err error) {
	if err := h.open(); err != nil {
		return nil, err
	}
	if err := h.fill(); err != nil {
		return nil, errors.Join(err, h.use.close())
	}
	h.storeFaults.begin()
	h.play()
	h.storeFaults.end()
	err = errors.Join(append(h.errs, h.conclude(), h.use.close())...)
	if err != nil {
		return nil, err
	}
	return Check(h.history()), nil
}

// fill makes what is there before the history begins.
func (h *run) fill() error {
	h.registers = make([][]*entry, len(h.slots)+len(collaborators))
	return h.use.with(func(d *directory.Directory) error {
		return d.Update(h.context(), actor, func(tx *keys.Tx) error {
			for _, id := range []string{"alice", "bob", "ali"} {
				if _, err := tx.CreateUser(keys.User{ID: id}); err != nil {
					return err
				}
			}
			for _, ref := range []keys.AppRef{shop, blog, ceshop} {
				if _, err := tx.CreateApp(keys.App{AppRef: ref}); err != nil {
					return err
				}
			}
			for _, ref := range collaborators[:2] {
				if _, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: ref, Scopes: scopes[:3]}); err != nil {
					return err
				}
			}
			for i := range h.slots {
				if !h.slots[i].first {
					continue
				}
				c := h.slots[i].credential()
				c.Scopes = scopes
				if _, err := tx.CreateCredential(c); err != nil {
					return err
				}
			}
			for register := range h.registers {
				s, err := h.stored(tx, register)
				if err != nil {
					return err
				}
				h.registers[register] = []*entry{{Version{State: s, At: tx.Now().UnixNano(), Acknowledged: true}, register}}
			}
			return nil
		})
	})
}

// play has everybody do what they do, until the writers have done.
func (h *run) play() {
	var others, writers sync.WaitGroup
	streams := uint64(1) // the first two are taken
	start := func(wg *sync.WaitGroup, n int, do func(*rand.Rand)) {
		for range n {
			streams++
			r := stream(h.seed, streams)
			wg.Go(func() { do(r) })
		}
	}
	start(&others, h.readers, h.reader)
	start(&others, h.callers, h.caller)
	start(&writers, h.writers, h.writer)
	start(&others, 1, h.disturb)
	writers.Wait()
	close(h.done)
	others.Wait()
}

func (h *run) over() bool {
	select {
	case <-h.done:
		return true
	default:
		return false
	}
}

// writer makes changes.
func (h *run) writer(r *rand.Rand) {
	for range h.changesEach {
		name := anyChange(r)
		err := h.use.with(func(d *directory.Directory) error { return h.change(d, r, name) })
		switch {
		case err == nil:
			h.n.changes.Add(1)
		case errors.Is(err, keys.ErrUnavailable):
			h.n.unanswered.Add(1)
			<-time.After(time.Duration(r.IntN(1000)) * time.Microsecond) // it may be on its way back
		case !refused(err):
			_ = h.fault("%s: %w", name, err)
		}
		h.storeFaults.wait()
	}
}

// refused reports whether an error is the directory's word on what was asked.
func refused(err error) bool {
	var invalid *keys.InvalidError
	return errors.Is(err, keys.ErrNotFound) || errors.Is(err, keys.ErrExists) || errors.Is(err, keys.ErrRevoked) ||
		errors.Is(err, errRegret) || errors.As(err, &invalid)
}

// disturb sets the cache's size and the clock, and reloads.
func (h *run) disturb(r *rand.Rand) {
	for !h.over() {
		switch {
		case h.reloads:
			if err := h.use.reload(r); err != nil {
				_ = h.fault("a reload: %w", err)
			}
			h.n.reloads.Add(1)
		case r.IntN(2) == 0:
			h.use.directory.SetCache(anyCache(r))
		default:
			h.clock.set(h.began.Add(time.Duration(r.IntN(3000)-1000) * time.Millisecond))
		}
		<-time.After(time.Duration(r.IntN(2000)) * time.Microsecond)
	}
}

// conclude settles the last change.
func (h *run) conclude() error {
	for end := time.Now().Add(deadline); ; {
		err := h.use.with(func(d *directory.Directory) error {
			return d.View(h.context(), h.settle)
		})
		if err == nil || time.Now().After(end) {
			return err
		}
		<-time.After(time.Millisecond)
	}
}

// history is what the rule is applied to.
func (h *run) history() *History {
	out := &History{Reads: h.reads, Looks: h.looks, Settings: []Setting{{To: h.began.UnixNano()}}}
	if h.clock != nil {
		out.Settings = append(out.Settings, h.clock.settings...)
	}
	for _, versions := range h.registers {
		var list []Version
		for _, e := range versions {
			list = append(list, e.Version)
		}
		out.Registers = append(out.Registers, list)
	}
	for _, w := range h.writes {
		out.Writes = append(out.Writes, w.Write)
	}
	return out
}

// changeNames are the changes in an order that a seed can rely on.
var changeNames = func() (names []string) {
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}()
