package keystest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func testClose(t *testing.T, s keys.Store) {
	put(t, s, user("1"))
	if err := s.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	_, updated := s.Update(t.Context(), func(keys.Writer) error { t.Error("Update ran fn"); return nil })
	for what, err := range map[string]error{
		"View":   s.View(t.Context(), func(keys.Reader) error { t.Error("View ran fn"); return nil }),
		"Update": updated,
		"Used":   s.Used(t.Context(), []keys.Use{{Digest: credential.DigestOf("x")}}),
		"Ready":  s.Ready(t.Context()),
		"Close":  s.Close(),
	} {
		if !errors.Is(err, keys.ErrClosed) || !errors.Is(err, keys.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrClosed", what, err)
		}
	}
}

func testCloseWaits(t *testing.T, s keys.Store) {
	started, end := make(chan struct{}), make(chan struct{})
	var ended atomic.Bool
	var viewed error
	var running sync.WaitGroup
	running.Go(func() {
		viewed = s.View(t.Context(), func(r keys.Reader) error {
			close(started)
			<-end
			defer ended.Store(true)
			_, err := r.User("nobody")
			return err
		})
	})
	<-started
	closing := make(chan struct{})
	running.Go(func() {
		close(closing)
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if !ended.Load() {
			t.Error("Close returned before View had ended")
		}
	})
	<-closing
	close(end)
	running.Wait()
	if !errors.Is(viewed, keys.ErrNotFound) {
		t.Errorf("View: got %v, want what it would have read", viewed)
	}
}
