// Package caddymodule is the Caddy module of etcdstore, api_keys.stores.etcd. The
// engine itself needs no Caddy.
package caddymodule

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-api-keys/gateway/module/etcdstore"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func init() {
	caddy.RegisterModule(EtcdStore{})
}

// EtcdStore keeps users, apps and credentials in etcd 3.5 or newer, for several
// Caddys that share them. When a key is revoked on one, none lets it through: each
// decides only while it knows that nothing newer is in etcd, or within
// max_staleness of having known.
//
// Every Caddy keeps a mirror of all records in a file, and decides by that alone,
// so that no request waits for the network.
type EtcdStore struct {
	// Endpoints are the client URLs of the etcd members, such as
	// `https://etcd1.example:2379`. At least one, better all of them. Placeholders
	// such as `{env.ETCD}` are replaced.
	Endpoints []string `json:"endpoints,omitempty"`

	// TLS is for https endpoints.
	// Default: the certificate authorities of this machine, and no certificate of
	// our own.
	TLS *TLS `json:"tls,omitempty"`

	// User is the etcd user. It needs to read and write everything below prefix.
	// Default: none, for an etcd without authentication.
	User string `json:"user,omitempty"`

	// PasswordFile is a file with the password of the user, on its first line. It
	// is read when the store is opened.
	PasswordFile string `json:"password_file,omitempty"`

	// Prefix begins all keys of the store in etcd. Several stores can share one
	// etcd if none of their prefixes begins another.
	// Default: `/caddy-api-keys/`.
	Prefix string `json:"prefix,omitempty"`

	// Mirror is the file with the mirror. It is made where it doesn't exist. It
	// belongs to one running Caddy alone, and should outlive it: it is what knows
	// of revocations that an etcd restored from a snapshot has lost.
	// Default: `api_keys/mirror.db` in Caddy's data directory.
	Mirror string `json:"mirror,omitempty"`

	// MaxStaleness is how long ago a Caddy must have known everything in order to
	// decide, from 200ms to 1m. It is also how long a revocation waits at most for
	// Caddys that don't answer.
	// Default: 2s.
	MaxStaleness caddy.Duration `json:"max_staleness,omitempty"`

	// OnStale is what a Caddy does that isn't sure to know everything: `deny`
	// answers 503 with Retry-After; `serve` decides by what it knows, so that a key
	// that was revoked elsewhere still passes here until etcd is reached again. It
	// must be the same on all.
	// Default: deny.
	OnStale string `json:"on_stale,omitempty"`
}

// TLS are the certificates for etcd.
type TLS struct {
	// CA is a file with the certificates of the authorities that etcd's are signed
	// by. Default: those of this machine.
	CA string `json:"ca,omitempty"`

	// Cert and Key are files with our own certificate and its key, for an etcd that
	// asks for one.
	Cert string `json:"cert,omitempty"`
	Key  string `json:"key,omitempty"`
}

// The values of on_stale.
const (
	deny  = "deny"
	serve = "serve"
)

// CaddyModule returns the Caddy module information.
func (EtcdStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "api_keys.stores.etcd",
		New: func() caddy.Module { return new(EtcdStore) },
	}
}

// Provision replaces placeholders and checks what can be checked without etcd. It
// touches no file, for `caddy validate` comes here too.
func (e *EtcdStore) Provision(ctx caddy.Context) error {
	repl := caddy.NewReplacer()
	for i := range e.Endpoints {
		var err error
		if e.Endpoints[i], err = repl.ReplaceOrErr(e.Endpoints[i], true, true); err != nil {
			return fmt.Errorf("endpoints of the key store: %w", err)
		}
	}
	fields := map[string]*string{"user": &e.User, "password_file": &e.PasswordFile, "prefix": &e.Prefix, "mirror": &e.Mirror}
	if e.TLS != nil {
		fields["ca"], fields["cert"], fields["key"] = &e.TLS.CA, &e.TLS.Cert, &e.TLS.Key
	}
	for name, field := range fields {
		if *field == "" {
			continue
		}
		var err error
		if *field, err = repl.ReplaceOrErr(*field, true, true); err != nil {
			return fmt.Errorf("%s of the key store: %w", name, err)
		}
	}
	if e.Mirror == "" {
		e.Mirror = filepath.Join(caddy.AppDataDir(), "api_keys", "mirror.db")
	}
	if err := e.check(); err != nil {
		return err
	}
	return emit.add(ctx, e)
}

// check returns an error for settings that don't go together.
func (e *EtcdStore) check() error {
	switch {
	case e.OnStale != "" && e.OnStale != deny && e.OnStale != serve:
		return fmt.Errorf("on_stale: %q is neither %s nor %s", e.OnStale, deny, serve)
	case (e.User == "") != (e.PasswordFile == ""):
		return errors.New("user and password_file: give both or neither")
	case e.TLS != nil && (e.TLS.Cert == "") != (e.TLS.Key == ""):
		return errors.New("tls: give both cert and key, or neither")
	}
	_, err := e.config().Complete()
	return err
}

// Key implements [keys.Opener]. Two stores are the same if they are in the same
// etcd under the same prefix.
func (e *EtcdStore) Key() (string, error) {
	endpoints := slices.Clone(e.Endpoints)
	slices.Sort(endpoints)
	return fmt.Sprintf("etcd:%s %s %s", strings.Join(endpoints, ","), e.Prefix, e.Mirror), nil
}

// Open implements [keys.Opener].
func (e *EtcdStore) Open() (keys.Store, error) {
	c, err := e.Config()
	if err != nil {
		return nil, err
	}
	key, err := e.Key()
	if err != nil {
		return nil, err
	}
	c.Observer = logs{key}
	return etcdstore.Open(c)
}

// Config returns the configuration of the engine. It reads the certificates.
func (e *EtcdStore) Config() (etcdstore.Config, error) {
	c := e.config()
	if e.TLS == nil {
		return c, nil
	}
	var err error
	c.TLS, err = e.TLS.load()
	return c, err
}

func (e *EtcdStore) config() etcdstore.Config {
	return etcdstore.Config{
		Endpoints: e.Endpoints, User: e.User, Password: e.password, Prefix: e.Prefix, Mirror: e.Mirror,
		MaxStaleness: time.Duration(e.MaxStaleness), Serve: e.OnStale == serve,
	}
}

// password reads the password of the user.
func (e *EtcdStore) password() (string, error) {
	text, err := os.ReadFile(e.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("password_file: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if first = strings.TrimSuffix(first, "\r"); first == "" {
		return "", fmt.Errorf("password_file: the first line of %s is empty", e.PasswordFile)
	}
	return first, nil
}

// load reads the certificates.
func (t *TLS) load() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls ca: %s has no certificate in PEM", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Interface guards
var (
	_ caddy.Provisioner = (*EtcdStore)(nil)
	_ keys.Opener       = (*EtcdStore)(nil)
)
