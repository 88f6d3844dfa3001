package keys

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// Logins slows down those who guess passwords. It counts failures, by account
// and by address, in buckets that leak: so many at once, and after that one
// more in every so often. An attempt counts as a failure from its beginning
// until it turns out otherwise, so that guesses at the same time don't slip
// through.
//
// Attempts with the right password count as well, by account: each costs a
// hash, so an account that signs in all the time would take the hashers from
// everybody else.
//
// The account is a text that somebody has typed, whether there is one or not:
// what is answered doesn't tell.
//
// Nobody is locked out for good (OWASP Authentication Cheat Sheet; NIST SP
// 800-63B, section 5.2.2): guesses from elsewhere close an account only to
// addresses that it was never used from. An address from which it was signed in
// to in the last [knownFor], and whoever holds one of its sessions already,
// have a bucket of their own.
//
// It is kept in memory, and counts for one process.
type Logins struct {
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

// limit is how many failures there may be at once, and how long it takes until
// there may be one more.
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

// Logins slows down those who guess passwords. It lasts as long as the
// directory, which outlives configurations.
func (d *Directory) Logins() *Logins { return d.logins }

func newLogins() *Logins {
	return &Logins{
		seed: maphash.MakeSeed(), epoch: time.Now(),
		addresses: &buckets{limit: addressLimit},
		passwords: &buckets{limit: passwordLimit},
		codes:     &buckets{limit: codeLimit},
		hashes:    &buckets{limit: hashLimit},
		known:     new(table),
	}
}

// Attempt is an attempt to sign in that is under way. Unless it is told
// otherwise it has failed.
type Attempt struct {
	logins        *Logins
	address       uint64 // the bucket among addresses
	holder        uint64 // that among passwords, codes and hashes
	pair          uint64 // account and address, among known
	coded, inside bool
}

// Begin begins an attempt from an address on an account. After too many, it
// returns how long to wait, and no attempt.
func (l *Logins) Begin(account, address string) (*Attempt, time.Duration) {
	return l.begin(account, address, false)
}

// BeginInside is Begin for the holder of a session of the account, who is asked
// for the password again.
func (l *Logins) BeginInside(account, address string) (*Attempt, time.Duration) {
	return l.begin(account, address, true)
}

func (l *Logins) begin(account, address string, inside bool) (*Attempt, time.Duration) {
	account, address = EmailKey(account), network(address)
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

// Code says that the password was right, and a code comes to be tried. Where
// there were too many wrong ones, it returns how long to wait.
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
// store can't answer. Nothing of it is counted.
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

// now is the time in nanoseconds, by a clock that nobody sets.
func (l *Logins) now() int64 { return int64(time.Since(l.epoch)) + 1 }

// key is what texts are found by. Nobody outside can tell which keys share a
// place, for the seed is secret.
func (l *Logins) key(texts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, t := range texts {
		_, _ = h.WriteString(t) // it never fails
		_ = h.WriteByte(0xff)   // no UTF-8 has it
	}
	return max(h.Sum64(), 1) // 0 is an empty place
}

// network is what an address counts as: one of IPv6 as its /64, which is what
// one subscriber has at least.
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

// wait is how long it takes until there is room for one more.
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

// get is 0 for a key that has no place.
func (t *table) get(key uint64) int64 {
	if p := t.find(key); p != nil {
		return p.until
	}
	return 0
}

// put gives the key a place, where there is none the one that ends first: in
// buckets the emptiest. To make an account's failures be forgotten, one would
// have to fail as often with eight others in its set; and which are in its set
// nobody can tell, so with eight in each of the sets.
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
