package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	etcd [<endpoints...>] {
//	    endpoints     <endpoints...>
//	    tls {
//	        ca   <file>
//	        cert <file>
//	        key  <file>
//	    }
//	    user          <name>
//	    password_file <file>
//	    prefix        <prefix>
//	    mirror        <file>
//	    max_staleness <duration>
//	    on_stale      deny|serve
//	}
func (e *EtcdStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the name of the store
	e.Endpoints = d.RemainingArgs()
	seen := map[string]bool{}
	for d.NextBlock(0) {
		option := d.Val()
		if seen[option] || option == "endpoints" && len(e.Endpoints) > 0 {
			return d.Errf("%s is given twice: take one of the two away", option)
		}
		seen[option] = true
		if err := e.unmarshalOption(d, option); err != nil {
			return err
		}
	}
	if len(e.Endpoints) == 0 {
		return d.Err(noEndpoints)
	}
	return nil
}

const noEndpoints = "endpoints: give the client URLs of etcd, such as https://etcd1.example:2379"

func (e *EtcdStore) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "endpoints":
		if e.Endpoints = d.RemainingArgs(); len(e.Endpoints) == 0 {
			return d.Err(noEndpoints)
		}
		return nil
	case "tls":
		return e.unmarshalTLS(d)
	case "user":
		return oneOf(d, &e.User)
	case "password_file":
		return oneOf(d, &e.PasswordFile)
	case "prefix":
		return oneOf(d, &e.Prefix)
	case "mirror":
		return oneOf(d, &e.Mirror)
	case "on_stale":
		if err := oneOf(d, &e.OnStale); err != nil {
			return err
		}
		if e.OnStale != deny && e.OnStale != serve {
			return d.Errf("on_stale: %q is neither %s nor %s", e.OnStale, deny, serve)
		}
		return nil
	case "max_staleness":
		var text string
		if err := oneOf(d, &text); err != nil {
			return err
		}
		length, err := caddy.ParseDuration(text)
		if err != nil || length <= 0 {
			return d.Errf("max_staleness: %q is not a duration, such as 2s", text)
		}
		e.MaxStaleness = caddy.Duration(length)
		return nil
	}
	return d.Errf("unknown option %q of the store etcd: use endpoints, tls, user, password_file, prefix, mirror, max_staleness or on_stale", option)
}

func (e *EtcdStore) unmarshalTLS(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("tls: unexpected %q: write tls { ca FILE cert FILE key FILE }, each on a line of its own", d.Val())
	}
	e.TLS = new(TLS)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var field *string
		switch option := d.Val(); option {
		case "ca":
			field = &e.TLS.CA
		case "cert":
			field = &e.TLS.Cert
		case "key":
			field = &e.TLS.Key
		default:
			return d.Errf("unknown option %q of tls: use ca, cert or key", option)
		}
		if *field != "" {
			return d.Errf("%s is given twice: take one of the two away", d.Val())
		}
		if err := oneOf(d, field); err != nil {
			return err
		}
	}
	return nil
}

// oneOf takes the one argument of an option.
func oneOf(d *caddyfile.Dispenser, into *string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("%s: give one value, and put one with spaces in quotes", option)
	}
	*into = args[0]
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*EtcdStore)(nil)
