package gateway

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// A change may come between the registration of a request and the timer for
// the expiry that it was decided by: the sweep arms an earlier end, which the
// later one doesn't put off.
func TestAnEarlierExpiryStays(t *testing.T) {
	g, texts := benchGate(t, 1, 1)
	lease := g.app.lease.Load()
	change := func(expiry time.Time) {
		err := lease.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
			e, err := lease.Find(t.Context(), credential.DigestOf(texts[0]))
			if err != nil {
				return err
			}
			_, err = tx.ChangeCredential(e.Caller().KeyID, func(c *keys.Credential) error { c.ExpiresAt = expiry; return nil })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	change(time.Now().Add(time.Hour))
	path := "/v2/users/alice/apps/shop/things0/one"
	q := question{gate: g, lease: lease, registry: lease.Directory, digest: credential.DigestOf(texts[0]), rule: g.table.Find("GET", false, path)}
	v := q.decide(t.Context())
	if v.refused != nil {
		t.Fatal(v.refused.details)
	}
	// What admit does, with a change between its two halves.
	f := &forwarded{question: q, w: httptest.NewRecorder()}
	f.ctx, f.cancel = context.WithCancel(t.Context())
	f.server = t.Context()
	if !lease.Enter(q.digest) || !lease.Admit(&f.live, f, v.credential, v.invitation, v.everyone) {
		t.Fatal("not admitted")
	}
	change(time.Now().Add(50 * time.Millisecond))
	f.arm(v.credential)
	select {
	case <-f.ctx.Done():
	case <-time.After(30 * time.Second):
		t.Error("the request outlives its credential")
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection of a request that was ended is kept")
		}
	}()
	f.leave()
}

// keptConn counts the deadlines that it is given.
type keptConn struct {
	http.ResponseWriter
	deadlines int
}

func (c *keptConn) SetWriteDeadline(time.Time) error { c.deadlines++; return nil }
func (c *keptConn) SetReadDeadline(time.Time) error  { c.deadlines++; return nil }

// A sweep may have taken a request from the list while that looked whether it
// may be forwarded. Rechecked before it is admitted, or after it was not, the
// request leaves its connection alone: another answer is given there, and an
// HTTP/2 writer whose handler has returned panics when a deadline is set.
func TestARequestThatIsNotAdmittedIsNotCut(t *testing.T) {
	for name, meanwhile := range map[string]func(change func(func(*keys.Credential)), f *forwarded){
		"swept too late": func(change func(func(*keys.Credential)), _ *forwarded) {
			change(func(c *keys.Credential) { c.Disabled = true })
		},
		"swept in time": func(change func(func(*keys.Credential)), f *forwarded) {
			change(func(c *keys.Credential) { c.Disabled = true })
			f.Recheck()
		},
		"swept behind the look": func(_ func(func(*keys.Credential)), f *forwarded) {
			f.end(&verdict{refused: errDisabled})
		},
		"swept, and still good": func(change func(func(*keys.Credential)), f *forwarded) {
			change(func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(time.Hour) })
			f.Recheck()
			change(func(c *keys.Credential) { c.Disabled = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, texts := benchGate(t, 1, 1)
			lease := g.app.lease.Load()
			path := "/v2/users/alice/apps/shop/things0/one"
			q := question{gate: g, lease: lease, registry: lease.Directory, digest: credential.DigestOf(texts[0]), rule: g.table.Find("GET", false, path)}
			v := q.decide(t.Context())
			if v.refused != nil {
				t.Fatal(v.refused.details)
			}
			w := &keptConn{ResponseWriter: httptest.NewRecorder()}
			f := q.forward(&v, w, httptest.NewRequestWithContext(t.Context(), "GET", path, http.NoBody))
			meanwhile(func(change func(*keys.Credential)) {
				err := lease.Update(t.Context(), keys.Actor{ID: keys.Operator}, func(tx *keys.Tx) error {
					_, err := tx.ChangeCredential(v.credential.Caller().KeyID, func(c *keys.Credential) error { change(c); return nil })
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}, f)
			if f.admit(&v) {
				t.Fatal("admitted")
			}
			f.Recheck()
			if w.deadlines > 0 {
				t.Errorf("its connection was given %d deadlines", w.deadlines)
			}
			if f.timer != nil && f.timer.Stop() {
				t.Error("its timer runs on")
			}
			if n := lease.Live(); n > 0 {
				t.Errorf("it is on the list %d times", n)
			}
			if f.ctx.Err() == nil {
				t.Error("its context isn't done")
			}
		})
	}
}

// slowConn holds up the first deadline that lies ahead, as a writer does that
// is overtaken.
type slowConn struct {
	http.ResponseWriter
	deadlines      chan time.Time
	first, proceed chan struct{}
}

func (c *slowConn) SetWriteDeadline(at time.Time) error {
	if at.After(time.Now()) {
		close(c.first)
		<-c.proceed
	}
	c.deadlines <- at
	return nil
}

func (c *slowConn) SetReadDeadline(time.Time) error { return nil }

// Caddy's writer sets a deadline of its own before each write, and may do so
// just after the request was ended: the past one is set again.
func TestTheDeadlineIsSetAgain(t *testing.T) {
	g, _ := benchGate(t, 1, 1)
	under := &slowConn{
		ResponseWriter: httptest.NewRecorder(),
		deadlines:      make(chan time.Time, 1000),
		first:          make(chan struct{}), proceed: make(chan struct{}),
	}
	w := &caddyhttp.IdleTimeoutWriter{
		ResponseWriterWrapper: &caddyhttp.ResponseWriterWrapper{ResponseWriter: under},
		Ctrl:                  http.NewResponseController(under),
		Deadline:              caddyhttp.IdleDeadline{Start: time.Now(), Timeout: time.Minute},
		Logger:                zap.NewNop(),
	}
	ctx := caddyhttp.ContextWithIdleTimeouts(t.Context(), nil, w)
	f := &forwarded{question: question{gate: g}, w: w, ctx: ctx, cancel: func() {}}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = w.Write([]byte("x"))
	}()
	<-under.first
	f.end(&verdict{refused: errUnknown})
	close(under.proceed)
	<-wrote
	// The overtaken deadline is among those set; a past one follows it.
	for ahead := false; ; {
		select {
		case at := <-under.deadlines:
			if at.After(time.Now()) {
				ahead = true
			} else if ahead {
				f.mu.Lock()
				f.left = true
				f.mu.Unlock()
				return
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a blocked write outlives the revocation")
		}
	}
}
