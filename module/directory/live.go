package directory

import (
	"encoding/binary"
	"sync"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// Request is the directory's view of a forwarded request.
type Request interface {
	// Recheck is called when authorization data of the request has changed. It
	// decides again, and ends the request if it is refused now. It may be
	// called from any goroutine, and after the request is over.
	Recheck()
}

// maxHeld is how many entries one decision reads at most: the credential, the
// caller's record as a collaborator, and everyone's.
const maxHeld = 3

// Live registers a live request. It is part of the request's own memory, so
// that registering doesn't allocate. The zero value is ready.
type Live struct {
	nodes [maxHeld]liveNode
	held  int
}

type liveNode struct {
	next, prev *liveNode
	entry      *Entry
	request    Request
}

// liveStripes is a power of two; a digest's stripe is by bits that neither the
// cache's key nor the generation uses.
const liveStripes = 256

type liveStripe struct {
	mu   sync.Mutex
	root liveNode // of a ring
	_    [64]byte // so that no two stripes share a cache line
}

func (d *Directory) stripe(digest credential.Digest) *liveStripe {
	return &d.live[binary.LittleEndian.Uint16(digest[10:12])%liveStripes]
}

// Admit registers a request under the entries that decided it, except nil
// entries, and then checks whether they are still current. If they aren't, it
// removes the registration and returns false: the request must be decided
// again.
//
// A change raises generations and then reads the registered requests. Admit
// registers the request and then reads the generations. So one of the two sees
// the other.
func (d *Directory) Admit(l *Live, r Request, credential, collaborator, everyone *Entry) bool {
	for _, e := range [maxHeld]*Entry{credential, collaborator, everyone} {
		if e == nil {
			continue
		}
		n := &l.nodes[l.held]
		l.held++
		n.entry, n.request = e, r
		d.stripe(e.digest).link(n)
	}
	for i := range l.held {
		if !d.current(l.nodes[i].entry) {
			d.Leave(l)
			return false
		}
	}
	return true
}

// Leave removes a request from the list. It does nothing if the request isn't
// on it.
func (d *Directory) Leave(l *Live) {
	for i := range l.held {
		n := &l.nodes[i]
		d.stripe(n.entry.digest).unlink(n)
	}
	l.held = 0
}

func (s *liveStripe) link(n *liveNode) {
	s.mu.Lock()
	if s.root.next == nil {
		s.root.next, s.root.prev = &s.root, &s.root
	}
	n.next, n.prev = s.root.next, &s.root
	n.next.prev, s.root.next = n, n
	s.mu.Unlock()
}

func (s *liveStripe) unlink(n *liveNode) {
	s.mu.Lock()
	n.prev.next, n.next.prev = n.next, n.prev
	n.next, n.prev = nil, nil
	s.mu.Unlock()
}

// requests returns the requests of a stripe that hold the digest, or all if
// digest is nil.
func (s *liveStripe) requests(digest *credential.Digest) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Request
	for n := s.root.next; n != nil && n != &s.root; n = n.next {
		if digest == nil || n.entry.digest == *digest {
			list = append(list, n.request)
		}
	}
	return list
}

// sweep rechecks every live request that holds the digest. It does so outside
// the stripe's lock, because a decision may read the store.
func (d *Directory) sweep(digest credential.Digest) {
	for _, r := range d.stripe(digest).requests(&digest) {
		r.Recheck()
	}
}

// sweepGroup rechecks every live request that holds an entry of a user or an
// app.
func (d *Directory) sweepGroup(slot uint16) {
	for i := range d.live {
		for _, r := range d.live[i].requestsOf(slot) {
			r.Recheck()
		}
	}
}

// requestsOf returns the requests of a stripe that hold an entry of a group.
func (s *liveStripe) requestsOf(slot uint16) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Request
	for n := s.root.next; n != nil && n != &s.root; n = n.next {
		if n.entry.in(slot) {
			list = append(list, n.request)
		}
	}
	return list
}

func (d *Directory) sweepAll() {
	for i := range d.live {
		for _, r := range d.live[i].requests(nil) {
			r.Recheck()
		}
	}
}

// Live returns the number of live requests, each counted once for every entry
// that decided it.
func (d *Directory) Live() int {
	n := 0
	for i := range d.live {
		n += len(d.live[i].requests(nil))
	}
	return n
}
