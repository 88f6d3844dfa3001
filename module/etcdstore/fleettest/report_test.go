//go:build linux

package fleettest

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"time"
)

// A gate reports what it did on a pipe, a line each. What it has written is kept
// by the kernel if the gate is killed, and no limit on files concerns it.
//
//	intent REGISTER START        it is about to revoke
//	change REGISTER VERSION END  a change was answered
//	read REGISTER VERSION START COUNT
//	look REGISTER VERSION START SINCE
//	count NAME N
//	flushed TOKEN
//	fault TEXT

// reporter is the gate's end.
type reporter struct {
	mu   sync.Mutex
	pipe *os.File
}

func (r *reporter) line(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := fmt.Fprintf(r.pipe, format+"\n", args...); err != nil {
		panic(err) // the test has ended
	}
}

// change is an answered change.
type change struct {
	register, version int
	end               int64
}

// read is as many reads of one version; start is that of the last.
type read struct {
	register, version int
	start, count      int64
}

// look is a look at a live request.
type look struct {
	register, version int
	start             int64
	// since is from when on the gate has run without being stopped.
	since int64
}

// reports is what the gates have reported.
type reports struct {
	mu      sync.Mutex
	changes []change
	reads   []read
	looks   []look
	// intents has when the first node was about to revoke a register.
	intents map[int]int64
	counts  map[string]int64
	faults  []string
	flushed map[string]bool
	plain   bool
	late    time.Duration
}

// collect reads what one process reports, until it ends.
func (r *reports) collect(gate string, pipe *os.File) {
	defer pipe.Close() //nolint:errcheck // it was only read
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		if err := r.add(lines.Text()); err != nil {
			r.mu.Lock()
			r.faults = append(r.faults, fmt.Sprintf("%s: %q: %v", gate, lines.Text(), err))
			r.mu.Unlock()
		}
	}
}

func (r *reports) add(line string) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kind string
	if _, err = fmt.Sscan(line, &kind); err != nil {
		return err
	}
	rest := line[len(kind):]
	switch kind {
	case "intent":
		var register int
		var start int64
		_, err = fmt.Sscan(rest, &register, &start)
		if first, ok := r.intents[register]; !ok || start < first {
			r.intents[register] = start
		}
	case "change":
		var c change
		_, err = fmt.Sscan(rest, &c.register, &c.version, &c.end)
		r.changes = append(r.changes, c)
	case "read":
		var some read
		_, err = fmt.Sscan(rest, &some.register, &some.version, &some.start, &some.count)
		r.reads = append(r.reads, some)
		r.counts["reads"] += some.count
	case "look":
		var l look
		_, err = fmt.Sscan(rest, &l.register, &l.version, &l.start, &l.since)
		r.looks = append(r.looks, l)
		r.counts["looks"]++
	case "count":
		var name string
		var n int64
		_, err = fmt.Sscan(rest, &name, &n)
		r.counts[name] += n
	case "flushed":
		var token string
		_, err = fmt.Sscan(rest, &token)
		r.flushed[token] = true
	default:
		r.faults = append(r.faults, line)
	}
	return err
}
