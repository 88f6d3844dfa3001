package signin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/caddy-api-keys/gateway/module/turns"
)

// Only so many wait, and a caller who goes away gives the place up.
func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		whole := hashing
		defer func() { hashing = whole }()
		hashing = turns.New(maxHashers, maxWaiting)
		for range maxHashers { // as many as there are under way
			if err := hashing.Wait(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		before := Hashed()
		var wg sync.WaitGroup
		for range maxWaiting {
			wg.Go(func() {
				if _, err := CheckPassword(ctx, "", "a good password"); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want that it was canceled", err)
				}
			})
		}
		synctest.Wait()
		if _, err := CheckPassword(t.Context(), "", "a good password"); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want that it is busy", err)
		}
		if _, err := HashPassword(t.Context(), "a good password"); !errors.Is(err, ErrBusy) {
			t.Errorf("got %v, want that it is busy", err)
		}
		cancel()
		wg.Wait()
		if n := Hashed() - before; n != 0 {
			t.Errorf("%d were hashed", n)
		}
		for range maxHashers {
			hashing.Done()
		}
		if _, err := CheckPassword(t.Context(), "", "a good password"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// What belongs to nobody costs what a new hash does.
func TestDecoyCostsTheSame(t *testing.T) {
	hash, err := HashPassword(t.Context(), "a good password")
	if err != nil {
		t.Fatal(err)
	}
	h, err := parseHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	if h.memory != decoy.memory || h.passes != decoy.passes || h.lanes != decoy.lanes ||
		len(h.salt) != len(decoy.salt) || len(h.key) != len(decoy.key) {
		t.Errorf("a hash is %d KiB, %d passes, %d lanes, %d and %d bytes; the decoy is not", h.memory, h.passes, h.lanes, len(h.salt), len(h.key))
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=65536,t=10,p=4$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967360,t=1,p=257$c2Fsd\nHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if h.memory > mostMemory || h.memory < 8*uint32(h.lanes) || h.passes == 0 || h.passes > mostPasses || h.lanes == 0 || h.lanes > mostLanes ||
			len(h.salt) < fewestBytes || len(h.salt) > mostSalt || len(h.key) < fewestOfKey || len(h.key) > mostKey {
			t.Errorf("%q asks for %+v", text, h)
		}
		if h.String() != text {
			t.Errorf("%q is the same hash as %q", text, h.String())
		}
	})
}
