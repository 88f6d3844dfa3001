package signin

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/alexedwards/argon2id"

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

// A check without a user costs as much as a new hash.
func TestDecoyCostsTheSame(t *testing.T) {
	hash, err := HashPassword(t.Context(), "a good password")
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHash(hash)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := readHash(decoy); err != nil || *h != *d {
		t.Errorf("a hash has the parameters %+v, and the decoy %+v, %v", h, d, err)
	}
}

func FuzzReadHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=65536,t=10,p=4$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967360,t=1,p=257$c2Fsd\nHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=,t=,p=$$")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := readHash(text)
		if err != nil {
			if !errors.Is(err, ErrHash) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if h.Memory > mostMemory || h.Memory < 8*uint32(h.Parallelism) || h.Iterations == 0 || h.Iterations > mostPasses ||
			h.Parallelism == 0 || h.Parallelism > mostLanes || h.SaltLength < fewestBytes || h.SaltLength > mostSalt ||
			h.KeyLength < fewestOfKey || h.KeyLength > mostKey {
			t.Errorf("%q asks for %+v", text, h)
		}
		_, salt, key, err := argon2id.DecodeHash(text)
		if same := phc(h, salt, key); err != nil || same != text {
			t.Errorf("%q is the same hash as %q (%v)", text, same, err)
		}
	})
}
