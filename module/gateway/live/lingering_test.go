package live

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func init() {
	caddy.RegisterModule(copier{})
	httpcaddyfile.RegisterHandlerDirective("copy_request", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return copier{}, nil
	})
}

// copier hands on a copy of the request with a context of its own, as tracing
// does: error routes have the original.
type copier struct{}

type copierKey struct{}

func (copier) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.copy_request", New: func() caddy.Module { return new(copier) }}
}

func (copier) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), copierKey{}, true)))
}

// afterTheGate are sites on which a request is served once the gate's own
// handler has returned.
var afterTheGate = []struct {
	name, site string
	kinds      []string
}{
	{"failover", `
	reverse_proxy DEAD
	handle_errors {
		reverse_proxy PLAIN {
			flush_interval -1
		}
	}`, []string{"events", "poll", "download", "upload", "blocked", "duplex", "websocket"}},
	{"failover of a copied request", `
	copy_request
	reverse_proxy DEAD
	handle_errors {
		reverse_proxy PLAIN {
			flush_interval -1
		}
	}`, []string{"events", "poll", "blocked"}},
	{"an error within handle_response", `
	reverse_proxy PLAIN {
		header_up -Part
		@reached status 200
		handle_response @reached {
			error 503
		}
	}
	handle_errors 503 {
		reverse_proxy PLAIN {
			flush_interval -1
		}
	}`, []string{"events", "poll", "blocked"}},
	{"intercept in front of the gate", `
	intercept {
		@teapot status 418
		handle_response @teapot {
			reverse_proxy PLAIN {
				flush_interval -1
			}
		}
	}
	respond 418`, []string{"events", "poll", "blocked"}},
}

// A request ends by a revocation, whichever handler serves it: error routes,
// and handlers in front of the gate, go on once the gate's own has returned.
// Another's on the same connection goes on, and nothing stays on the list.
func TestLiveRequestsEndBehindTheGate(t *testing.T) {
	for _, tt := range afterTheGate {
		t.Run(tt.name, func(t *testing.T) {
			s := startSite(t, "api_keys {\n"+liveSite+"\n}\n"+tt.site)
			for _, k := range liveKinds {
				for _, protocol := range k.protocols {
					if !slices.Contains(tt.kinds, k.kind) {
						continue
					}
					c := s.newClient(t, protocol)
					for _, loss := range losses {
						if loss.name != "revoked" && loss.name != "expires" {
							continue
						}
						if !t.Run(k.kind+"/"+protocol+"/"+loss.name, func(t *testing.T) { s.endBehindTheGate(t, c, k.kind, loss.do) }) {
							return // each of the others would wait as long
						}
					}
				}
			}
			gatetest.Until(t, "the empty list", func() bool { return s.Directory().Live() == 0 })
		})
	}
}

func (s *liveServer) endBehindTheGate(t *testing.T, c *liveClient, kind string, loss func(*keys.Tx, *affected) error) {
	doomed, other := s.newAffected(nil, true)
	mine := s.open(t, c, kind, "h1", doomed.keyUse)
	theirs := s.open(t, c, kind, "h1", other)
	before := gatetest.Counter(t, "caddy_api_keys_ended_total")
	s.Update(func(tx *keys.Tx) error { return loss(tx, &doomed) })
	if err := gatetest.Receive(t, mine.left, "the upstream's end"); err == nil {
		t.Error("for the upstream it ended well")
	}
	if mine.read != nil {
		mine.read()
	}
	if err := gatetest.Receive(t, mine.ended, "the client's end"); err == nil {
		t.Error("for the client it ended well")
	}
	if n := gatetest.Counter(t, "caddy_api_keys_ended_total") - before; n != 1 {
		t.Errorf("%v were counted", n)
	}
	theirs.well()
	if err := gatetest.Receive(t, theirs.ended, "the other's end"); err != nil {
		t.Errorf("another's ended with %v", err)
	}
	if err := gatetest.Receive(t, theirs.left, "the other's end at the upstream"); err != nil {
		t.Errorf("another's ended at the upstream with %v", err)
	}
}

// The store stays open for a request that error routes serve, though the
// configuration has gone, and a revocation through the new one ends it.
func TestALingeringRequestOutlivesItsConfiguration(t *testing.T) {
	s := startSite(t, "api_keys {\n"+liveSite+"\n}\n"+afterTheGate[0].site)
	c := s.newClient(t, "h2")
	doomed, _ := s.newAffected(nil, true)
	mine := s.open(t, c, "events", "h1", doomed.keyUse)
	before := s.Directory().Directory
	if err := s.Load("{\nadmin off\npersist_config off\napi_keys {\nstore bbolt " + s.StorePath + "\n}\n}\nhttp://" + s.Addr + " {\napi_keys {\nroute GET /x\n}\n}"); err != nil {
		t.Fatal(err)
	}
	if s.Directory().Directory != before {
		t.Error("the store was opened twice")
	}
	s.Update(func(tx *keys.Tx) error { return tx.Revoke(doomed.id, "leaked") })
	if err := gatetest.Receive(t, mine.ended, "the client's end"); err == nil {
		t.Error("for the client it ended well")
	}
}

// A session that is not used ends what lives by it, however long that has run:
// a live request is no use of it.
func TestIdleSessionsEndLiveRequests(t *testing.T) {
	s := startServer(t, liveSite)
	for _, protocol := range liveProtocols {
		t.Run(protocol, func(t *testing.T) {
			c := s.newClient(t, protocol)
			for idle := 200 * time.Millisecond; ; idle *= 2 {
				doomed, _ := s.newAffected(func(tx *keys.Tx, s *affected) keys.Credential {
					session := ownerSession(tx, s)
					session.Idle = idle
					return session
				}, true)
				r, err := s.tryOpen(t, c, "events", "h1", doomed.keyUse)
				if err != nil {
					if idle > gatetest.Deadline {
						t.Fatal(err)
					}
					continue
				}
				if err := gatetest.Receive(t, r.left, "the upstream's end"); err == nil {
					t.Error("for the upstream it ended well")
				}
				if err := gatetest.Receive(t, r.ended, "the client's end"); err == nil {
					t.Error("for the client it ended well")
				}
				break
			}
		})
	}
}
