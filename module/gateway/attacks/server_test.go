package attacks

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gatetest"
	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
	"github.com/caddy-api-keys/gateway/module/gatetest/machine"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// corpusServer is a running Caddy with all sites of the corpus, and their users.
type corpusServer struct {
	*gatetest.Server
	clear    map[string]string // addresses by site
	secure   map[string]string
	roots    *x509.CertPool
	upstream *corpus.Recorder
	values   map[string]string // what names in braces stand for
	client   *http.Client
	honest   int
}

func startAttacks(t *testing.T, attacks *corpus.Corpus) *corpusServer {
	t.Helper()
	s := &corpusServer{
		Server:   gatetest.New(t),
		clear:    map[string]string{},
		secure:   map[string]string{},
		upstream: corpus.NewRecorder(t),
	}
	certificate, key, roots := gatetest.NewCertificate(t)
	s.roots = roots
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	s.client = &http.Client{Transport: tr, Timeout: gatetest.Deadline}

	var b, servers strings.Builder
	for _, name := range attacks.Sites {
		s.clear[name], s.secure[name] = machine.FreeAddress(t), machine.FreeAddress(t)
		port, tlsPort := gatetest.Port(s.clear[name]), gatetest.Port(s.secure[name])
		fmt.Fprintf(&servers, "servers :%s {\nprotocols h1 h2c\n}\nservers :%s {\nprotocols h1 h2 h3\n}\n", port, tlsPort)
		fmt.Fprintf(&b, "http://:%s {\nimport %s\nreverse_proxy %s\n}\nhttps://:%s {\ntls %s %s\nimport %s\nreverse_proxy %s\n}\n",
			port, name, s.upstream.Addr, tlsPort, certificate, key, name, s.upstream.Addr)
	}
	if err := s.Load(fmt.Sprintf(`{
	admin off
	persist_config off
	auto_https off
	log {
		level DEBUG
		output net %s
	}
	%s
	api_keys {
		store bbolt %s
	}
}
%s
%s`, s.Logs.Addr, servers.String(), s.StorePath, attacks.Caddyfile, b.String())); err != nil {
		t.Fatal(err)
	}
	s.populate()
	return s
}

// populate makes the credentials that cases name in braces.
func (s *corpusServer) populate() {
	s.AddUsers("alice", "bob")
	s.AddApp("alice", "shop")
	s.AddApp("bob", "barn")
	s.AddApp("bob", "farm")
	s.Update(func(tx *keys.Tx) error {
		_, err := tx.AddCollaborator(keys.Collaborator{CollaboratorRef: keys.CollaboratorRef{
			AppRef: keys.AppRef{OwnerID: "bob", AppID: "farm"}, UserID: "alice"}, Scopes: []string{"Public:Get"}})
		return err
	})
	never, _ := credential.Mint("ca", policy.AppKey)
	s.values = map[string]string{
		"key":     s.AppKey("alice", "shop", "Public:Get"),
		"other":   s.AppKey("bob", "barn", "Public:Get"),
		"pat":     s.PAT("alice", "Public:Get"),
		"session": s.Session("alice"),
		"later":   never,
		// The length of the request that cases hide in a body.
		"smuggled": strconv.Itoa(len("GET /admin HTTP/1.1\r\nHost: a\r\nX-Caller-User-Id: forged\r\n\r\n")),
	}
	s.values["limited"], _ = s.Server.AddCredential(keys.Credential{
		Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Public:Get"},
		Resources: policy.Values{"model": {"llama-3*"}, "input": {"own*"}},
	})
	for name, change := range map[string]func(*keys.Credential){
		"expired":  func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) },
		"disabled": func(c *keys.Credential) { c.Disabled = true },
	} {
		text, record := s.Server.AddCredential(keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"All"}})
		s.ChangeCredential(record.ID, change)
		s.values[name] = text
	}
}

// fresh makes the credentials of a case that does something to them: {once},
// which is there, and {later}, which is not. What it answers does it.
func (s *corpusServer) fresh(a *corpus.Case, values map[string]string) (act func(what string)) {
	if !slices.ContainsFunc(a.Steps, func(s *corpus.Step) bool { return s.Kind == "do" }) {
		return nil // an fsync that isn't needed
	}
	template := keys.Credential{Kind: policy.AppKey, UserID: "alice", AppID: "shop", Scopes: []string{"Public:Get"}}
	once, record := s.Server.AddCredential(template)
	later := template
	values["once"] = once
	values["later"], later.ID = credential.Mint("ca", policy.AppKey)
	later.Digest = credential.DigestOf(values["later"])
	s.Logs.AddSecret(values["later"])
	return func(what string) {
		switch what {
		case "create":
			s.Update(func(tx *keys.Tx) error { _, err := tx.CreateCredential(later); return err })
		case "revoke":
			s.Update(func(tx *keys.Tx) error { return tx.Revoke(record.ID, "leaked") })
		case "disable", "enable":
			s.ChangeCredential(record.ID, func(c *keys.Credential) { c.Disabled = what == "disable" })
		case "expire":
			s.ChangeCredential(record.ID, func(c *keys.Credential) { c.ExpiresAt = time.Now().Add(-time.Hour) })
		}
	}
}
