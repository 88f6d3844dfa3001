package history

import (
	"fmt"
	"sync/atomic"
)

// counts are what was done.
type counts struct {
	reads, requests, looks, ended, changes, unanswered, reloads atomic.Int64
}

func (c *counts) all() []*atomic.Int64 {
	return []*atomic.Int64{&c.reads, &c.requests, &c.looks, &c.ended, &c.changes, &c.unanswered, &c.reloads}
}

func (c *counts) add(o *counts) {
	for i, n := range o.all() {
		c.all()[i].Add(n.Load())
	}
}

// String is a sentence of the counts.
func (c *counts) String() string {
	return fmt.Sprintf("%d reads, %d requests admitted (looked at %d times while live, %d ended), %d changes, %d reads and changes that failed, %d reloads",
		c.reads.Load(), c.requests.Load(), c.looks.Load(), c.ended.Load(), c.changes.Load(), c.unanswered.Load(), c.reloads.Load())
}
