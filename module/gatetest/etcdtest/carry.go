//go:build linux

package etcdtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"
)

// packet is an IP packet that is under way until a time.
type packet struct {
	data  []byte
	until time.Time
}

// underWay bounds the packets between two hosts. More are lost, as in a router.
const underWay = 4096

// carry takes the packets that a host sends, until the host's device closes.
func (n *Net) carry(from *Host) {
	buffer := make([]byte, deviceMTU)
	for {
		size, err := from.namespace.device.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			n.tb.Errorf("reading what %s sends: %v", from.Name, err)
			return
		}
		if to, ok := destination(buffer[:size]); ok {
			n.send(from, to, buffer[:size])
		}
	}
}

// destination returns where an IPv4 packet goes.
func destination(p []byte) (netip.Addr, bool) {
	const first, last = 16, 20
	if len(p) < last || p[0]>>4 != 4 {
		return netip.Addr{}, false // IPv6 looks for neighbors by itself
	}
	return netip.AddrFromSlice(p[first:last])
}

// send puts a packet on its way, or loses it.
func (n *Net) send(from *Host, addr netip.Addr, data []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := way{from, n.byAddr[addr]}
	if w.to == nil || n.closed {
		return
	}
	p := packet{data: bytes.Clone(data), until: time.Now()}
	for _, d := range []delay{n.delays[w.from], n.delays[w.to]} {
		if d.loss > 0 && rand.Float64() < d.loss { //nolint:gosec // no secret
			return
		}
		p.until = p.until.Add(d.least)
		if d.jitter > 0 {
			p.until = p.until.Add(rand.N(d.jitter)) //nolint:gosec // no secret
		}
	}
	link := n.links[w]
	if link == nil {
		link = make(chan packet, underWay)
		n.links[w] = link
		n.carried.Go(func() { n.deliver(w, link) })
	}
	select {
	case link <- p:
	default: // the link is full
	}
}

// deliver delivers the packets of one direction, in order.
func (n *Net) deliver(w way, link <-chan packet) {
	for p := range link {
		if wait := time.Until(p.until); wait > 0 {
			<-time.After(wait)
		}
		n.mu.RLock()
		lost := n.cut[w] || n.closed
		n.mu.RUnlock()
		if lost {
			continue
		}
		// A host that can't take the packet loses it.
		_, _ = w.to.namespace.device.Write(p.data)
	}
}
