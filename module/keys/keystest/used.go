package keystest

import (
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func used(t *testing.T, s keys.Store, uses ...keys.Use) {
	t.Helper()
	if err := s.Used(t.Context(), uses); err != nil {
		t.Fatalf("Used: %v", err)
	}
}

func useOf(text string, seconds int) keys.Use {
	return keys.Use{Digest: credential.DigestOf(text), Usage: keys.Usage{At: at(seconds), Address: text}}
}

func wantUsed(t *testing.T, s keys.Store, want keys.Use) {
	t.Helper()
	view(t, s, func(r keys.Reader) error {
		if got, err := r.LastUsed(want.Digest); err != nil || got != want.Usage {
			t.Errorf("LastUsed: got %+v, %v; want %+v", got, err, want.Usage)
		}
		return nil
	})
}

// The newest use stays, whatever order they are written in.
func testUsed(t *testing.T, s keys.Store) {
	put(t, s, token("cap_1", "u"), token("cap_2", "u"))
	used(t, s)
	used(t, s, useOf("cap_1", 5))
	used(t, s, useOf("cap_1", 3), useOf("cap_2", 1))
	wantUsed(t, s, useOf("cap_1", 5))
	wantUsed(t, s, useOf("cap_2", 1))
	used(t, s, useOf("cap_1", 7), useOf("cap_1", 9), useOf("cap_1", 8), useOf("unknown", 9))
	wantUsed(t, s, useOf("cap_1", 9))

	// Uses of missing or deleted credentials are ignored.
	update(t, s, func(w keys.Writer) error { return w.DeleteCredential(credential.DigestOf("cap_1")) })
	used(t, s, useOf("cap_1", 10))
	put(t, s, token("cap_1", "u"))
	view(t, s, func(r keys.Reader) error {
		for _, name := range []string{"cap_1", "unknown"} {
			u, err := r.LastUsed(credential.DigestOf(name))
			wantNotFound(t, name, u, err)
		}
		return nil
	})

	// A change may set it back.
	update(t, s, func(w keys.Writer) error {
		return w.PutLastUsed(credential.DigestOf("cap_2"), keys.Usage{At: at(0), Address: "cap_2"})
	})
	wantUsed(t, s, useOf("cap_2", 0))

	many := make([]keys.Use, s.MaxWrites())
	for i := range many {
		many[i] = useOf("unknown", i%60)
	}
	many[len(many)-1] = useOf("cap_2", 2)
	used(t, s, many...)
	wantUsed(t, s, useOf("cap_2", 2))
}

func testUsedIsNoChange(t *testing.T, s keys.Store) {
	silent := false
	s.Feed(func(c keys.Change) {
		if silent {
			t.Errorf("the feed was told %+v", c)
		}
	})
	put(t, s, token("cap_1", "u"))
	update(t, s, func(w keys.Writer) error { w.Touch(at(1)); return nil })
	silent = true
	used(t, s, useOf("cap_1", 5), requestsOf("cap_1", today, 1))
	silent = false
	view(t, s, func(r keys.Reader) error {
		if last, err := r.LastWrite(); err != nil || !last.Equal(at(1)) {
			t.Errorf("LastWrite: got %v, %v; want %v", last, err, at(1))
		}
		return nil
	})
	commit, err := s.Update(t.Context(), func(keys.Writer) error { return nil })
	if err != nil || commit.Revision != 3 {
		t.Errorf("the third commit: got %+v, %v", commit, err)
	}
}
