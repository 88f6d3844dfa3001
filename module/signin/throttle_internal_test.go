package signin

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// later lets the time of a synctest bubble pass.
func later(d time.Duration) { <-time.After(d) }

// fail makes an attempt that fails, and returns how long it had to wait.
func fail(l *Throttle, account, address string) time.Duration {
	_, wait := l.Begin(account, address)
	return wait
}

func failTimes(t *testing.T, l *Throttle, n int, account, address string) {
	t.Helper()
	for i := range n {
		if wait := fail(l, account, address); wait != 0 {
			t.Fatalf("failure %d of %s from %s: refused for %s", i+1, account, address, wait)
		}
	}
}

func succeed(t *testing.T, l *Throttle, account, address string) {
	t.Helper()
	a, wait := l.Begin(account, address)
	if a == nil {
		t.Fatalf("%s from %s: refused for %s", account, address, wait)
	}
	a.Succeed()
}

func TestLoginsByAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		for i := range 10 { // from wherever
			failTimes(t, l, 1, "Alice@Example.com", fmt.Sprintf("192.0.2.%d", i))
		}
		if wait := fail(l, "alice@example.com", "198.51.100.1"); wait != 10*time.Minute {
			t.Fatalf("the eleventh failure had to wait %s, want 10m", wait)
		}
		failTimes(t, l, 1, "bob@example.com", "192.0.2.1")
		later(10*time.Minute - 1)
		if wait := fail(l, "alice@example.com", "198.51.100.1"); wait != 1 {
			t.Fatalf("a moment too early: waits %s", wait)
		}
		later(1)
		failTimes(t, l, 1, "alice@example.com", "198.51.100.1")
		if wait := fail(l, "alice@example.com", "198.51.100.1"); wait != 10*time.Minute {
			t.Fatalf("one more in ten minutes, and then two: waits %s", wait)
		}
		later(100 * time.Minute)
		failTimes(t, l, 10, "alice@example.com", "198.51.100.1")
	})
}

func TestLoginsByAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		for i := range 50 {
			failTimes(t, l, 1, fmt.Sprint("user", i), fmt.Sprintf("2001:db8::%x:%x", i, i))
		}
		for _, same := range []string{"2001:db8::1", "2001:db8:0:0:ffff::1", "2001:db8::7%eth0"} {
			if wait := fail(l, "another", same); wait != time.Minute {
				t.Errorf("%s had to wait %s, want 1m", same, wait)
			}
		}
		failTimes(t, l, 1, "another", "2001:db8:0:1::1")
		for i := range 50 {
			failTimes(t, l, 1, fmt.Sprint("person", i), "192.0.2.1")
		}
		if wait := fail(l, "another", "::ffff:192.0.2.1"); wait != time.Minute {
			t.Errorf("the same address in IPv6 had to wait %s, want 1m", wait)
		}
		failTimes(t, l, 1, "another", "192.0.2.2")
		// A throttled attempt is not a failure of the account.
		failTimes(t, l, 8, "another", "192.0.2.3")
	})
}

func TestLoginsCountFailuresAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		for range 200 {
			succeed(t, l, "alice", "192.0.2.1")
			later(hashLimit.every)
		}
		for range 200 {
			later(hashLimit.every)
			a, _ := l.Begin("bob", "192.0.2.1")
			if a == nil {
				t.Fatal("an attempt was refused, and none had failed")
			}
			if wait := a.Code(); wait != 0 {
				t.Fatal("a code was refused, and none was wrong")
			}
			a.Excuse()
		}
		failTimes(t, l, 9, "bob", "192.0.2.1")
		succeed(t, l, "bob", "192.0.2.1") // forgets the account's
		failTimes(t, l, 10, "bob", "192.0.2.1")
		// It doesn't forget those of the address: 19 by now.
		for i := range 30 {
			failTimes(t, l, 1, fmt.Sprint("user", i), "192.0.2.1")
			succeed(t, l, "mallory", "192.0.2.1")
		}
		failTimes(t, l, 1, "carol", "192.0.2.1")
		if wait := fail(l, "carol", "192.0.2.1"); wait != time.Minute {
			t.Errorf("the fifty-first failure of an address had to wait %s: successes with an account of one's own take failures away", wait)
		}
	})
}

// The right password is no way to keep the hashers busy: it counts by account,
// and by address for the account's own addresses.
func TestLoginsCountHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		succeed(t, l, "alice", "192.0.2.1")
		for range 60 {
			succeed(t, l, "alice", "192.0.2.1")
		}
		for i := range 2 {
			if wait := fail(l, "alice", "192.0.2.1"); wait != 30*time.Second {
				t.Errorf("after 60 sign-ins the next had to wait %s, want 30s", wait)
			}
			if i == 0 {
				later(30 * time.Second)
				succeed(t, l, "alice", "192.0.2.1")
			}
		}
		succeed(t, l, "alice", "198.51.100.1")
		succeed(t, l, "bob", "192.0.2.1")
		for range 100 {
			a, wait := l.Begin("carol", "192.0.2.1")
			if a == nil {
				t.Fatalf("an attempt had to wait %s, and no password was hashed", wait)
			}
			a.Abandon()
		}
		if a, wait := l.BeginInside("alice", "192.0.2.1"); a == nil {
			t.Errorf("the holder of a session had to wait %s", wait)
		}
	})
}

// An attempt counts from its beginning.
func TestLoginsInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		begun := make(chan *Attempt, 100)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if a, wait := l.Begin("alice", fmt.Sprintf("192.0.2.%d", i)); wait == 0 {
					begun <- a
				}
			})
		}
		wg.Wait()
		close(begun)
		if len(begun) != 10 {
			t.Errorf("%d of a hundred attempts at once began, want 10", len(begun))
		}
		for a := range begun {
			a.Excuse()
		}
		failTimes(t, l, 10, "alice", "198.51.100.1")
	})
}

// An attacker who guesses doesn't lock a user out of the places where that user
// signs in.
func TestLoginsDontLockOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		succeed(t, l, "alice", "192.0.2.1")
		succeed(t, l, "alice", "2001:db8::1")
		failTimes(t, l, 10, "alice", "203.0.113.1")
		if fail(l, "alice", "203.0.113.2") == 0 {
			t.Fatal("guesses from elsewhere go on")
		}
		for _, own := range []string{"192.0.2.1", "2001:db8::2"} {
			failTimes(t, l, 9, "alice", own)
			succeed(t, l, "alice", own)
		}
		if fail(l, "alice", "203.0.113.2") == 0 {
			t.Error("when the user signs in, others may guess again")
		}
		a, wait := l.BeginInside("alice", "203.0.113.9")
		if a == nil {
			t.Fatalf("who holds a session is refused for %s", wait)
		}
		// An own address is no free pass.
		failTimes(t, l, 10, "alice", "192.0.2.1")
		if wait := fail(l, "alice", "192.0.2.1"); wait != 10*time.Minute {
			t.Errorf("at the user's own address one waits %s", wait)
		}
		// Nor one for another account, nor for good.
		failTimes(t, l, 10, "bob", "203.0.113.3")
		if fail(l, "bob", "192.0.2.1") == 0 {
			t.Error("alice's address is bob's")
		}
		later(knownFor)
		failTimes(t, l, 10, "alice", "203.0.113.1")
		if fail(l, "alice", "192.0.2.1") == 0 {
			t.Error("an address stays an account's own for good")
		}
	})
}

// A session in the wrong hands guesses no more than anyone else.
func TestLoginsInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		for i := range 10 {
			if a, wait := l.BeginInside("alice", fmt.Sprintf("192.0.2.%d", i)); a == nil {
				t.Fatalf("attempt %d: waits %s", i, wait)
			}
		}
		if _, wait := l.BeginInside("alice", "192.0.2.99"); wait != 10*time.Minute {
			t.Errorf("waits %s, want 10m", wait)
		}
	})
}

func TestLoginsByCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		wrongCode := func() time.Duration {
			a, wait := l.Begin("alice", "192.0.2.1")
			if a == nil {
				t.Fatalf("refused for %s", wait)
			}
			wait = a.Code()
			if wait > 0 {
				a.Excuse()
			}
			return wait
		}
		for range 10 {
			if wait := wrongCode(); wait != 0 {
				t.Fatalf("waits %s", wait)
			}
			later(10 * time.Minute)
		}
		if wait := wrongCode(); wait <= 4*time.Hour || wait > 6*time.Hour {
			t.Errorf("the eleventh code waits %s", wait)
		}
		later(6 * time.Hour)
		if wait := wrongCode(); wait != 0 {
			t.Errorf("after six hours the next waits %s", wait)
		}
		a, _ := l.Begin("alice", "192.0.2.1")
		a.Succeed()
		for range 10 {
			if wait := wrongCode(); wait != 0 {
				t.Fatalf("after a success, waits %s", wait)
			}
		}
	})
}

// A million accounts that nobody has, each from another network, take no more
// memory, and make nothing be forgotten of the one that is meant.
func TestLoginsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewThrottle()
		succeed(t, l, "alice", "192.0.2.9")
		failTimes(t, l, 10, "alice", "192.0.2.1")
		for i := range 40 {
			failTimes(t, l, 1, fmt.Sprint("someone", i), "192.0.2.1")
		}
		const million = 1_000_000
		for i := range million {
			_, wait := l.Begin(fmt.Sprint("user", i), fmt.Sprintf("2001:%x:%x:%x::1", i>>16, i>>8&0xff, i&0xff))
			if wait != 0 {
				t.Fatalf("account %d had to wait %s: it was taken for another", i, wait)
			}
		}
		for name, table := range map[string]*table{"addresses": &l.addresses.table, "passwords": &l.passwords.table, "known": l.known} {
			taken, places := 0, 0
			for _, set := range table.sets {
				for _, p := range set {
					places++
					if p.key != 0 {
						taken++
					}
				}
			}
			if places != 65536 {
				t.Errorf("%s has %d places", name, places)
			}
			if name != "known" && taken < places*9/10 {
				t.Errorf("%s has %d of %d places in use, after a million", name, taken, places)
			}
		}
		if fail(l, "alice", "203.0.113.1") == 0 {
			t.Error("the account's failures were forgotten")
		}
		if fail(l, "somebody", "192.0.2.1") == 0 {
			t.Error("the address's failures were forgotten")
		}
		failTimes(t, l, 1, "alice", "192.0.2.9")
	})
}
