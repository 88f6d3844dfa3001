//go:build linux

package etcdtest

import (
	"net/http"
	"strings"
	"testing"
)

func TestTLS(t *testing.T) {
	c := Start(t, 1, TLS(), UnsafeNoFsync())
	client := c.Client()
	put(t, client, "a", "1")
	want(t, client, "a", "1")
	if leader := c.Leader(); leader != c.Member(0) {
		t.Errorf("the leader is %v", leader)
	}

	stranger := &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls.Clone()}}
	stranger.Transport.(*http.Transport).TLSClientConfig.Certificates = nil
	if !strings.HasPrefix(c.Endpoints()[0], "https://") {
		t.Errorf("the endpoint is %s", c.Endpoints()[0])
	}
	answer, err := stranger.Get(c.Endpoints()[0] + "/health")
	if err == nil {
		_ = answer.Body.Close()
		t.Error("a client without a certificate was answered")
	}
}
