package etcdstore

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-api-keys/gateway/module/boltstore"
)

// Defaults of a [Config].
const (
	DefaultPrefix       = "/caddy-api-keys/"
	DefaultMaxStaleness = 2 * time.Second
)

// The bounds of [Config.MaxStaleness]. Below, a usual delay of the network
// would close the fence. Above, a node that is cut off would delay every change
// for longer than anybody waits.
const (
	minStaleness = 200 * time.Millisecond
	maxStaleness = time.Minute
)

// Config says where the store is, and how a node keeps up with it.
type Config struct {
	// Endpoints are the client URLs of the etcd members. At least one.
	Endpoints []string
	// TLS is for https endpoints.
	TLS *tls.Config
	// User is the etcd user, "" for none. Password returns the password.
	User     string
	Password func() (string, error)
	// Prefix begins all keys of the store. Default: [DefaultPrefix].
	Prefix string
	// Mirror is the path of the mirror's file, which belongs to this node alone.
	Mirror string
	// MaxStaleness is how long ago the node must have known everything in order
	// to decide. Default: [DefaultMaxStaleness].
	MaxStaleness time.Duration
	// Serve makes nodes that are not fresh decide by what they know. All nodes
	// must have the same setting.
	Serve bool
	// Name is shown for this node. Default: the name of the machine.
	Name string
	// Clock is the clock of the fence. Default: time.Now.
	Clock func() time.Time
	// Observer is told what the store does by itself. It may be nil.
	Observer Observer
}

// Observer is told what a node does by itself. Its methods must not call the
// store.
type Observer interface {
	boltstore.Observer
	// Listed is called when the mirror was made from all records, and why.
	Listed(why string, records int, took time.Duration)
	// Disconnected is called when the node can't follow etcd for now. It is called
	// again only when a later attempt fails for a different reason.
	Disconnected(err error)
	// Stale is called when the node stops being fresh, and Fresh when it is again.
	// why has the last thing that went wrong, or nil.
	Stale(why error)
	Fresh()
	// Held is called when a node finds that etcd has lost changes, which keeps all
	// nodes from deciding until they are reconciled. It is not called again while
	// the reason stays the same.
	Held(err error)
}

type unobserved struct{}

func (unobserved) Upgraded(int, string)              {}
func (unobserved) CommitFailed(error)                {}
func (unobserved) ReopenFailed(error)                {}
func (unobserved) Reopened()                         {}
func (unobserved) Listed(string, int, time.Duration) {}
func (unobserved) Disconnected(error)                {}
func (unobserved) Stale(error)                       {}
func (unobserved) Fresh()                            {}
func (unobserved) Held(error)                        {}

// Complete checks a configuration and fills in the defaults.
func (c Config) Complete() (Config, error) {
	if len(c.Endpoints) == 0 {
		return c, errors.New("endpoints: give the client URLs of etcd, such as https://etcd1.example:2379")
	}
	for _, e := range c.Endpoints {
		if !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
			return c, fmt.Errorf("endpoints: %q is not a URL: write http://HOST:PORT or https://HOST:PORT", e)
		}
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if !strings.HasSuffix(c.Prefix, "/") {
		c.Prefix += "/"
	}
	if c.Mirror == "" {
		return c, errors.New("mirror: give the path of a file that this node alone uses")
	}
	if c.MaxStaleness == 0 {
		c.MaxStaleness = DefaultMaxStaleness
	}
	if c.MaxStaleness < minStaleness || c.MaxStaleness > maxStaleness {
		return c, fmt.Errorf("max_staleness: give a duration from %s to %s, such as 2s", minStaleness, maxStaleness)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	return c, nil
}

// leaseSeconds is how long a registration outlives its node. It is more than
// twice the fence, because a node may decide only as long as it is registered.
func (c Config) leaseSeconds() int64 { return max(5, int64(4*c.MaxStaleness/time.Second)) }
