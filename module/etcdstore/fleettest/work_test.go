//go:build linux

package fleettest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// What a gate does at the same time.
const (
	readers = 2
	callers = 3
	writers = 2
)

// The registers in use move on, so that there are always some to make.
const (
	window     = 16
	eachSecond = 2
)

// work is what a gate does by itself.
type work struct {
	gate *gate
	done chan struct{}
	all  sync.WaitGroup

	mu      sync.Mutex
	readers []*reader
	counts  map[string]int64
}

func startWork(g *gate) *work {
	w := &work{gate: g, done: make(chan struct{}), counts: map[string]int64{}}
	stream := uint64(0)
	start := func(n int, do func(*rand.Rand)) {
		for range n {
			stream++
			r := rand.New(rand.NewPCG(g.Seed, stream)) //nolint:gosec // no secret
			w.all.Go(func() { do(r) })
		}
	}
	start(readers, w.read)
	start(callers, w.call)
	start(writers, w.write)
	start(1, func(*rand.Rand) {
		for !w.over() {
			<-time.After(100 * time.Millisecond)
			w.flush()
		}
	})
	return w
}

func (w *work) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *work) stop() {
	close(w.done)
	w.all.Wait()
}

func (w *work) count(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[name]++
}

// flush reports what was read since.
func (w *work) flush() {
	w.mu.Lock()
	list, counts := w.readers, w.counts
	w.counts = map[string]int64{}
	w.mu.Unlock()
	for name, n := range counts {
		w.gate.report.line("count %s %d", name, n)
	}
	for _, r := range list {
		r.flush(w.gate.report)
	}
}

// any picks a register: mostly one of those in use now, else an earlier one.
func (w *work) any(r *rand.Rand) int {
	first := int((now() - w.gate.Begun) / int64(time.Second/eachSecond))
	n := first + r.IntN(window)
	if first > 0 && r.IntN(6) == 0 {
		n = r.IntN(first)
	}
	return min(n, len(w.gate.registers)-1)
}

// reader keeps what was read: of equal reads of a register the last one.
type reader struct {
	mu   sync.Mutex
	runs map[int]read
	past []read
}

func (r *reader) add(register, version int, start int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, ok := r.runs[register]
	if ok && run.version != version {
		r.past = append(r.past, run)
		run.count = 0
	}
	r.runs[register] = read{register, version, start, run.count + 1}
}

func (r *reader) flush(to *reporter) {
	r.mu.Lock()
	past := r.past
	for _, run := range r.runs {
		past = append(past, run)
	}
	r.runs, r.past = map[int]read{}, nil
	r.mu.Unlock()
	for _, run := range past {
		to.line("read %d %d %d %d", run.register, run.version, run.start, run.count)
	}
}

func (w *work) newReader() *reader {
	r := &reader{runs: map[int]read{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readers = append(w.readers, r)
	return r
}

// read reads one register after the other.
func (w *work) read(r *rand.Rand) {
	kept := w.newReader()
	for !w.over() {
		register := w.any(r)
		for range 1 + r.IntN(32) {
			_, _, _ = w.find(kept, register)
		}
		<-time.After(time.Duration(r.IntN(8000)) * time.Microsecond)
	}
}

// find reads a register as a decision does.
func (w *work) find(kept *reader, register int) (e *directory.Entry, version int, active bool) {
	start := now()
	e, err := w.gate.directory.Find(context.Background(), w.gate.registers[register].Digest)
	if err != nil {
		w.count("unanswered")
		if !errors.Is(err, keys.ErrUnavailable) {
			w.gate.report.line("fault %s: reading: %v", w.gate.Name, err)
		}
		return nil, 0, false
	}
	version, active, err = versionRead(w.gate.directory.Directory, e)
	if err != nil {
		w.gate.report.line("fault %s: key %d: %v", w.gate.Name, register, err)
	}
	kept.add(register, version, start)
	return e, version, active
}

// write makes changes.
func (w *work) write(r *rand.Rand) {
	ctx := context.Background()
	if w.gate.Late {
		ctx = directory.WithoutSettling(ctx)
	}
	for !w.over() {
		n := w.any(r)
		register, version := w.gate.registers[n], 0
		do := func(tx *keys.Tx) (err error) {
			if w.gate.Plain {
				version, err = 1, create(tx, register)
				return err
			}
			version, err = next(tx, register)
			return err
		}
		if r.IntN(6) == 0 {
			w.gate.report.line("intent %d %d", n, now())
			version = revoked
			do = func(tx *keys.Tx) error { return tx.Revoke(register.ID, "in a history") }
		}
		err := w.gate.directory.UpdateFirst(ctx, keys.Actor{ID: keys.Operator}, do)
		end := now()
		switch {
		case err == nil:
			w.gate.report.line("change %d %d %d", n, version, end)
			w.count("changes")
		case errors.Is(err, keys.ErrUnavailable):
			w.count("failed")
			<-time.After(50 * time.Millisecond)
		case !errors.Is(err, keys.ErrNotFound) && !errors.Is(err, keys.ErrRevoked) && !errors.Is(err, errThere):
			w.gate.report.line("fault %s: changing: %v", w.gate.Name, err)
		}
		<-time.After(time.Duration(r.IntN(50)) * time.Millisecond)
	}
}

// request is a live request.
type request struct {
	w        *work
	kept     *reader
	register int
	live     directory.Live
	version  atomic.Int64
	ended    atomic.Bool
}

// Recheck implements [directory.Request].
func (q *request) Recheck() {
	e, version, active := q.w.find(q.kept, q.register)
	if e == nil || !active {
		q.ended.Store(true)
		return
	}
	q.version.Store(int64(version))
}

// stopped is how long a gate is not scheduled if it is stopped.
const stopped = 250 * time.Millisecond

// call makes requests that live for a while.
func (w *work) call(r *rand.Rand) {
	kept := w.newReader()
	for !w.over() {
		q := &request{w: w, kept: kept, register: w.any(r)}
		e, version, active := w.find(kept, q.register)
		if e == nil || !active {
			<-time.After(time.Millisecond)
			continue
		}
		q.version.Store(int64(version))
		if !w.gate.directory.Admit(&q.live, q, e, nil, nil) {
			continue
		}
		w.count("requests")
		w.serve(r, q)
		w.gate.directory.Leave(&q.live)
	}
}

// serve looks at a live request again and again.
func (w *work) serve(r *rand.Rand, q *request) {
	since := now()
	last := since
	for end := since + r.Int64N(int64(3*time.Second)); last < end && !w.over(); {
		<-time.After(time.Duration(1+r.IntN(20)) * time.Millisecond)
		start := now()
		if start-last > int64(stopped) {
			since = start
		}
		last = start
		// What is read first may be newer by the time of the second.
		version := q.version.Load()
		if q.ended.Load() {
			w.count("ended")
			return
		}
		w.gate.report.line("look %d %d %d %d", q.register, version, start, since)
	}
}
