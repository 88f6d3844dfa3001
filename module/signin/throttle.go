package signin

import (
	"hash/maphash"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Throttle slows down password guessing. It counts failures by account and by
// address in leaky buckets: a burst is allowed, then one more per interval. An
// attempt counts as a failure from its beginning until it succeeds, so that
// concurrent guesses don't slip through.
//
// Attempts with the right password count as well, by account. Each costs a
// hash, so an account that keeps signing in would take the hashers from
// everyone else.
//
// The account is the text that was typed. The answer doesn't reveal whether the
// account exists.
//
// Nobody is locked out for good (OWASP Authentication Cheat Sheet; NIST SP
// 800-63B, section 5.2.2): guesses from elsewhere close an account only to
// addresses that it was never used from. An address that signed in to it in the
// last [knownFor] has a bucket of its own, and so has a holder of one of its
// sessions.
//
// The counts are kept in memory, for one process.
type Throttle struct {
	seed  maphash.Seed
	epoch time.Time

	mu sync.Mutex
	// addresses counts failures by address; passwords and codes count them by
	// account, or by account and address. hashes counts all attempts, as
	// passwords does the failed ones.
	addresses, passwords, codes, hashes *buckets
	// known has the accounts' own addresses, each with the end of its time.
	known *table
}

// limit is how many failures are allowed at once, and how long it takes until
// one more is allowed.
type limit struct {
	burst int64
	every time.Duration
}

// The limits. Many people can share an address. There are only a million codes,
// far fewer than passwords, so a wrong one counts for longer; and one needs the
// password to try one. A program that signs in whenever it runs stays below the
// limit of hashes; sixty cost two seconds of processor time.
var (
	addressLimit  = limit{50, time.Minute}
	passwordLimit = limit{10, 10 * time.Minute}
	codeLimit     = limit{10, 6 * time.Hour}
	hashLimit     = limit{60, 30 * time.Second}
)

// knownFor is how long an address stays an account's own.
const knownFor = 30 * 24 * time.Hour

// NewThrottle returns empty counts.
func NewThrottle() *Throttle {
	return &Throttle{
		seed: maphash.MakeSeed(), epoch: time.Now(),
		addresses: &buckets{limit: addressLimit},
		passwords: &buckets{limit: passwordLimit},
		codes:     &buckets{limit: codeLimit},
		hashes:    &buckets{limit: hashLimit},
		known:     new(table),
	}
}

// Attempt is an attempt to sign in. It counts as failed unless one of its
// methods ends it otherwise.
type Attempt struct {
	logins        *Throttle
	address       uint64 // the bucket among addresses
	holder        uint64 // that among passwords, codes and hashes
	pair          uint64 // account and address, among known
	coded, inside bool
}

// Begin begins an attempt from an address on an account. After too many
// attempts it returns nil and how long to wait.
func (l *Throttle) Begin(account, address string) (*Attempt, time.Duration) {
	return l.begin(account, address, false)
}

// BeginInside is like Begin for a holder of a session of the account who has to
// enter the password again.
func (l *Throttle) BeginInside(account, address string) (*Attempt, time.Duration) {
	return l.begin(account, address, true)
}

func (l *Throttle) begin(account, address string, inside bool) (*Attempt, time.Duration) {
	account, address = strings.ToLower(account), network(address)
	a := &Attempt{logins: l, inside: inside, address: l.key("address", address)}
	a.pair = l.key("pair", account, address)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	switch {
	case inside:
		a.holder = l.key("inside", account)
	case l.known.get(a.pair) > now:
		a.holder = a.pair
	default:
		a.holder = l.key("account", account)
	}
	wait := max(l.addresses.wait(a.address, now), l.passwords.wait(a.holder, now), l.hashes.wait(a.holder, now))
	if wait > 0 {
		return nil, wait
	}
	l.hashes.charge(a.holder, now)
	l.addresses.charge(a.address, now)
	l.passwords.charge(a.holder, now)
	return a, 0
}

// Code records that the password was right and that a code is about to be
// tried. After too many wrong codes it returns how long to wait.
func (a *Attempt) Code() time.Duration {
	l := a.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait := l.codes.wait(a.holder, now)
	if wait == 0 {
		l.codes.charge(a.holder, now)
		a.coded = true
	}
	return wait
}

// Succeed ends an attempt that was not a guess: the account's failures are
// forgotten. Those of the address are not, because anyone may have an account
// of their own to succeed with.
func (a *Attempt) Succeed() {
	l := a.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses.refund(a.address)
	l.passwords.forget(a.holder)
	l.codes.forget(a.holder)
	if !a.inside {
		now := l.now()
		l.known.put(a.pair, now, now+int64(knownFor))
	}
}

// Excuse ends an attempt that neither failed nor succeeded, such as one whose
// password was right and that is asked for a code.
func (a *Attempt) Excuse() { a.excuse(false) }

// Abandon ends an attempt before its password was hashed, such as when the
// store can't answer. It isn't counted.
func (a *Attempt) Abandon() { a.excuse(true) }

func (a *Attempt) excuse(unhashed bool) {
	l := a.logins
	l.mu.Lock()
	defer l.mu.Unlock()
	if unhashed {
		l.hashes.refund(a.holder)
	}
	l.addresses.refund(a.address)
	l.passwords.refund(a.holder)
	if a.coded {
		l.codes.refund(a.holder)
	}
}

// now returns the time in nanoseconds, by a monotonic clock.
func (l *Throttle) now() int64 { return int64(time.Since(l.epoch)) + 1 }

// key returns the hash by which texts are found. Outsiders can't tell which
// keys share a place, because the seed is secret.
func (l *Throttle) key(texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, t := range texts {
		_, _ = h.WriteString(t) // it never fails
		_ = h.WriteByte(0xff)   // no UTF-8 has it
	}
	return max(h.Sum64(), 1) // 0 is an empty place
}

// network returns the network that an address counts as. An IPv6 address counts
// as its /64, because a subscriber has at least that.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}

// buckets count failures. A bucket is kept as the time at which it will be
// empty.
type buckets struct {
	limit
	table
}

// wait returns how long it takes until there is room for one more failure.
func (b *buckets) wait(key uint64, now int64) time.Duration {
	full := now + (b.burst-1)*int64(b.every)
	return time.Duration(max(0, b.get(key)-full))
}

func (b *buckets) charge(key uint64, now int64) {
	b.put(key, now, max(b.get(key), now)+int64(b.every))
}

func (b *buckets) refund(key uint64) {
	if p := b.find(key); p != nil {
		p.until -= int64(b.every)
	}
}

func (b *buckets) forget(key uint64) {
	if p := b.find(key); p != nil {
		*p = place{}
	}
}

// A table has as many places as it will ever have, 1 MiB of them, from its
// first use on: a key has its place in one of the sets.
const (
	tableSets = 8192
	tableWays = 8
)

type table struct {
	sets *[tableSets][tableWays]place
}

// place is the time until which a key means something.
type place struct {
	key   uint64
	until int64
}

func (t *table) find(key uint64) *place {
	if t.sets == nil {
		return nil
	}
	set := &t.sets[key%tableSets]
	for i := range set {
		if set[i].key == key {
			return &set[i]
		}
	}
	return nil
}

// get returns the time of a key, or 0 if it has no place.
func (t *table) get(key uint64) int64 {
	if p := t.find(key); p != nil {
		return p.until
	}
	return 0
}

// put gives the key a place. If its set is full, it replaces the place that
// ends first, which in buckets is the emptiest. To make the table forget an
// account's failures, an attacker would have to fail as often with eight others
// in its set. Nobody can tell which accounts share a set, so it takes eight in
// each of the sets.
func (t *table) put(key uint64, now, until int64) {
	p := t.find(key)
	if p == nil {
		if t.sets == nil {
			t.sets = new([tableSets][tableWays]place)
		}
		set := &t.sets[key%tableSets]
		p = &set[0]
		for i := range set {
			if set[i].until <= now {
				p = &set[i]
				break
			}
			if set[i].until < p.until {
				p = &set[i]
			}
		}
	}
	*p = place{key, until}
}
