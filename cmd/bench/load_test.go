package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startServer serves a scenario's protocol. It returns the address and the
// certificate.
func startServer(t *testing.T, s scenario, handler http.HandlerFunc) (string, certificate) {
	t.Helper()
	c, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(!s.protocol.http2())
	server.Config.Protocols.SetHTTP2(s.protocol == http2TLS)
	server.Config.Protocols.SetUnencryptedHTTP2(s.protocol == http2Clear)
	if s.protocol.tls() {
		server.EnableHTTP2 = s.protocol.http2()
		server.StartTLS()
		c.roots.AddCert(server.Certificate())
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), c
}

// A load sends the requests of each scenario as they should be, and finds the end
// of each response.
func TestLoads(t *testing.T) {
	keys := []key{{text: "first", owner: "owner-1"}, {text: "second", owner: "owner-2"}}
	for _, s := range scenarios(protocols, requestKinds) {
		t.Run(string(s.protocol)+" "+string(s.request), func(t *testing.T) {
			var count atomic.Int64
			enough := make(chan struct{})
			address, c := startServer(t, s, func(w http.ResponseWriter, r *http.Request) {
				if problem := wrong(s, r); problem != "" {
					t.Errorf("%s %s: %s: %v", r.Method, r.URL, problem, r.Header)
				}
				n := count.Add(1)
				if n%2 == 0 { // a chunked response over HTTP/1.1
					w.(http.Flusher).Flush()
				}
				if n == 100 {
					close(enough)
				}
				answerRequest(w, r)
			})
			want := contender{sent: appKeys}.expected(s)
			l, err := newLoad(s, address, c, want, newRequests(s, keys), 8)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			l.begin()
			select {
			case <-enough:
			case <-l.failed:
			}
			if err := l.end(); err != nil {
				t.Fatal(err)
			}
			if n := int(count.Load()); n != l.count() {
				t.Errorf("%d responses were counted, and %d sent", l.count(), n)
			}
			if times, err := l.atRate(1000, 50*time.Millisecond); err != nil || len(times) != 50 {
				t.Errorf("got %d times and %v, want 50", len(times), err)
			}
		})
	}
}

// wrong returns what is wrong with a request.
func wrong(s scenario, r *http.Request) string {
	method, path := "POST", "/clarifai.api.V2/ListInputs"
	owner := map[string]string{"Key first": "owner-1", "Key second": "owner-2"}[r.Header.Get("Authorization")]
	if s.request != grpcCall {
		path = "/v2/users/" + owner + "/apps/" + appID + "/inputs"
	}
	if s.request == get {
		method = "GET"
	}
	switch {
	case owner == "":
		return "the key is unknown"
	case r.Method != method || r.URL.Path != path:
		return "it is not " + method + " " + path
	case (r.ProtoMajor == 2) != s.protocol.http2() || (r.TLS != nil) != s.protocol.tls():
		return "it came by another protocol"
	case s.request == post && r.ContentLength != bodySize:
		return "its body has another size"
	}
	return ""
}

// A response other than the expected one ends the load.
func TestLoadsNoticeResponses(t *testing.T) {
	for _, s := range []scenario{{http1, get}, {http2Clear, get}, {http2Clear, grpcCall}} {
		address, c := startServer(t, s, func(w http.ResponseWriter, r *http.Request) {
			if s.request == grpcCall {
				w.Header().Set("Content-Type", grpcType)
				w.Header().Set("Grpc-Status", "16")
				return
			}
			w.WriteHeader(http.StatusUnauthorized)
		})
		l, err := newLoad(s, address, c, contender{sent: appKeys}.expected(s), newRequests(s, []key{{"first", "owner-1"}}), 1)
		if err != nil {
			t.Fatal(err)
		}
		l.begin()
		select {
		case <-l.failed:
		case <-time.After(10 * time.Second):
			t.Errorf("%v: a refusal counts as a response", s)
		}
		l.close()
	}
}

func TestBodies(t *testing.T) {
	body := jsonBody("owner-17")
	var value struct {
		UserAppID struct {
			UserID string `json:"user_id"`
			AppID  string `json:"app_id"`
		} `json:"user_app_id"`
	}
	if err := json.Unmarshal(body, &value); err != nil || len(body) != bodySize || value.UserAppID.UserID != "owner-17" || value.UserAppID.AppID != appID {
		t.Errorf("%d bytes name %+v: %v", len(body), value, err)
	}
	if m := string(callMessage("owner-17")); !strings.Contains(m, "owner-17") || !strings.Contains(m, appID) {
		t.Errorf("the message %q names no owner or app", m)
	}
}
