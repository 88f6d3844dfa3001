package directory

import (
	"context"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

type noRequest struct{}

func (noRequest) Recheck() {}

// An entry that was read while a change came may be from before it, so it isn't
// current: its generation is that from before the reading.
func TestALoadOverAChangeIsNotCurrent(t *testing.T) {
	d, err := New(&mapStore{}, DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	digest := credential.DigestOf("a key")
	e, err := d.readOnce(t.Context(), digest, func(context.Context) (*Entry, error) {
		d.changed(keys.Change{Touched: []credential.Digest{digest}})
		return &Entry{standing: keys.Active}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.current(e) {
		t.Error("what was read before the change counts as read after it")
	}
}

// A change may come just when a request is registered, too late for the sweep
// to find it: so the request looks last.
func TestAdmitLooksLast(t *testing.T) {
	text, id := credential.Mint("ca", policy.PAT)
	c := keys.Credential{Digest: credential.DigestOf(text), ID: id, Kind: policy.PAT, UserID: "alice"}
	d, err := New(&mapStore{credentials: map[credential.Digest]keys.Credential{c.Digest: c}}, DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	e, err := d.Find(t.Context(), c.Digest)
	if err != nil {
		t.Fatal(err)
	}
	// The request comes as far as the list, which is held, and no further.
	s := d.stripe(c.Digest)
	s.mu.Lock()
	var l Live
	admitted := make(chan bool)
	go func() { admitted <- d.Admit(&l, noRequest{}, e, nil, nil) }()
	select {
	case <-admitted:
		t.Error("admitted without being registered")
	case <-time.After(50 * time.Millisecond):
	}
	d.generation(c.Digest).Add(1) // the sweep has just been by
	s.mu.Unlock()
	if <-admitted {
		t.Error("admitted by what was before the change")
	}
}
