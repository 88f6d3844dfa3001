package serving

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/memstore"
	"github.com/caddy-api-keys/gateway/module/policy"
)

type opener struct{}

func (opener) Key() (string, error)      { return "memory", nil }
func (opener) Open() (keys.Store, error) { return memstore.New() }

// caller is a request of one key, decided by whether that is good.
type caller struct {
	t      *testing.T
	lease  *directory.Lease
	digest credential.Digest
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	lease, err := directory.Lend(opener{}, directory.DefaultCacheBytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lease.Close() })
	text, id := credential.Mint("ca", policy.AppKey)
	c := &caller{t, lease, credential.DigestOf(text)}
	c.update(func(tx *keys.Tx) error {
		if _, err := tx.CreateUser(keys.User{ID: "alice"}); err != nil {
			return err
		}
		if _, err := tx.CreateApp(keys.App{AppRef: keys.AppRef{OwnerID: "alice", AppID: "shop"}}); err != nil {
			return err
		}
		_, err := tx.CreateCredential(keys.Credential{Digest: c.digest, ID: id, Kind: policy.AppKey, UserID: "alice", AppID: "shop"})
		return err
	})
	return c
}

func (c *caller) update(fn func(*keys.Tx) error) {
	c.t.Helper()
	if err := c.lease.Update(c.t.Context(), keys.Actor{ID: keys.Operator}, fn); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) change(change func(*keys.Credential)) {
	c.t.Helper()
	id := c.good().Credential.Caller().KeyID
	c.update(func(tx *keys.Tx) error {
		_, err := tx.ChangeCredential(id, func(record *keys.Credential) error { change(record); return nil })
		return err
	})
}

// Decide implements [Decider].
func (c *caller) Decide(ctx context.Context) Verdict {
	table, err := policy.NewTable([]policy.Route{{Method: "GET", Pattern: "/"}}, "user_id", "app_id")
	if err != nil {
		c.t.Error(err)
	}
	q := &authz.Question{Digest: c.digest, Table: table, Method: "GET", Path: "/", Rule: table.Find("GET", false, "/")}
	return authz.Decide(ctx, c.lease.Directory, q)
}

// End implements [Decider].
func (*caller) End(context.Context, *Verdict) bool { return true }

// good is a verdict that allows the request.
func (c *caller) good() *Verdict {
	c.t.Helper()
	v := c.Decide(c.t.Context())
	if v.Refused() {
		c.t.Fatal(v.Reason)
	}
	return &v
}

// Over implements [Decider].
func (*caller) Over() {}

// prepared is the request, ready to be admitted.
func (c *caller) prepared(w http.ResponseWriter) *Request {
	c.t.Helper()
	visit, open := c.lease.Enter()
	if !open {
		c.t.Fatal("the store is closed")
	}
	f := new(Request)
	f.Prepare(c, c.lease, visit, w, httptest.NewRequestWithContext(c.t.Context(), http.MethodGet, "/", http.NoBody))
	return f
}

// A change may come between the registration of a request and the timer for
// the expiry that it was decided by: the sweep arms an earlier end, which the
// later one doesn't put off.
func TestAnEarlierExpiryStays(t *testing.T) {
	c := newCaller(t)
	c.change(func(record *keys.Credential) { record.ExpiresAt = time.Now().Add(time.Hour) })
	v := c.good()
	// Admit with a change between its two halves.
	f := c.prepared(httptest.NewRecorder())
	if !c.lease.Admit(&f.listed, f, v.Credential, nil, nil) {
		t.Fatal("not admitted")
	}
	f.left = false
	c.change(func(record *keys.Credential) { record.ExpiresAt = time.Now().Add(50 * time.Millisecond) })
	f.arm(v.Credential)
	select {
	case <-f.Context().Done():
	case <-time.After(30 * time.Second):
		t.Error("the request outlives its credential")
	}
	if got := f.Ended(); got != authz.Expired {
		t.Errorf("ended because of %s", got)
	}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the connection of a request that was ended is kept")
		}
	}()
	f.Leave(true)
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
	for name, meanwhile := range map[string]func(c *caller, f *Request){
		"swept too late": func(c *caller, _ *Request) {
			c.change(func(record *keys.Credential) { record.Disabled = true })
		},
		"swept behind the look": func(_ *caller, f *Request) {
			f.end(&Verdict{Outcome: authz.Outcome{Reason: authz.Disabled}})
		},
		"swept, and still good": func(c *caller, f *Request) {
			c.change(func(record *keys.Credential) { record.ExpiresAt = time.Now().Add(time.Hour) })
			f.Recheck()
			c.change(func(record *keys.Credential) { record.Disabled = true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCaller(t)
			v := c.good()
			w := &keptConn{ResponseWriter: httptest.NewRecorder()}
			f := c.prepared(w)
			defer f.visit.Exit()
			meanwhile(c, f)
			if f.Admit(v) {
				t.Fatal("admitted")
			}
			f.Recheck()
			if w.deadlines > 0 {
				t.Errorf("its connection was given %d deadlines", w.deadlines)
			}
			if f.timer != nil && f.timer.Stop() {
				t.Error("its timer runs on")
			}
			if n := c.lease.Live(); n > 0 {
				t.Errorf("it is on the list %d times", n)
			}
			if f.Context().Err() == nil {
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
	c := newCaller(t)
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
	f := &Request{decider: c, w: w, ctx: ctx, cancel: func() {}}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = w.Write([]byte("x"))
	}()
	<-under.first
	f.end(&Verdict{Outcome: authz.Outcome{Reason: authz.CredentialUnknown}})
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
