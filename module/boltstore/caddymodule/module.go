// Package caddymodule is the Caddy module of boltstore, api_keys.stores.bbolt.
// The engine itself needs no Caddy.
package caddymodule

import (
	"fmt"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
)

func init() {
	caddy.RegisterModule(BoltStore{})
}

// BoltStore keeps users, apps and credentials in one file on this machine. It
// is what is used where no store is configured. The file belongs to one
// running Caddy alone: several can't share their credentials by it.
type BoltStore struct {
	// The file. It is made where it does not exist, and so are the folders
	// above it, readable for the user that Caddy runs as and nobody else. It
	// must be on a local disk: file systems that are shared over a network
	// don't keep two processes from opening it. Placeholders such as
	// `{env.HOME}` are replaced. Default: `api_keys/keys.db` in Caddy's data
	// directory.
	Path string `json:"path,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (BoltStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "api_keys.stores.bbolt",
		New: func() caddy.Module { return new(BoltStore) },
	}
}

// Provision works out the path. It touches no file, for `caddy validate` comes
// here too.
func (b *BoltStore) Provision(caddy.Context) error {
	if b.Path == "" {
		b.Path = filepath.Join(caddy.AppDataDir(), "api_keys", "keys.db")
		return nil
	}
	// An unknown or empty placeholder is an error: what is left of the path
	// would name another file, in which nothing is known, nor revoked.
	path, err := caddy.NewReplacer().ReplaceOrErr(b.Path, true, true)
	if err != nil {
		return fmt.Errorf("path of the key store: %w", err)
	}
	b.Path = path
	return nil
}

// Key implements [keys.Opener].
func (b *BoltStore) Key() (string, error) { return b.file().Key() }

// Open implements [keys.Opener].
func (b *BoltStore) Open() (keys.Store, error) { return b.file().Open() }

func (b *BoltStore) file() boltstore.File {
	return boltstore.File{Path: b.Path, Observer: logs{b.Path}}
}

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	bbolt [<path>] {
//	    path <path>
//	}
func (b *BoltStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the store
	if d.NextArg() {
		if err := b.unmarshalPath(d); err != nil {
			return err
		}
	}
	for d.NextBlock(0) {
		switch d.Val() {
		case "path":
			if b.Path != "" {
				return d.Err("the path is given twice: take one of the two away")
			}
			if !d.NextArg() {
				return d.Err("path: write path FILE, such as path /var/lib/caddy/api_keys/keys.db")
			}
			if err := b.unmarshalPath(d); err != nil {
				return err
			}
		default:
			return d.Errf("unknown option %q of the store bbolt: use path", d.Val())
		}
	}
	return nil
}

// unmarshalPath takes the token that d is at, which must be the last of its
// line.
func (b *BoltStore) unmarshalPath(d *caddyfile.Dispenser) error {
	b.Path = d.Val()
	if b.Path == "" {
		return d.Err("the path is empty; to use the default, leave it out")
	}
	if d.NextArg() {
		return d.Errf("unexpected %q after the path: remove it, or put a path with spaces in quotes", d.Val())
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*BoltStore)(nil)
	_ caddyfile.Unmarshaler = (*BoltStore)(nil)
	_ keys.Opener           = (*BoltStore)(nil)
)
