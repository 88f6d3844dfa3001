package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gateway"
	"github.com/caddy-api-keys/gateway/module/gateway/config"
)

// parseApp sets up the app, which all sites share, from the global option.
// Syntax:
//
//	api_keys {
//	    store      <name> [<args...>] {
//	        ...
//	    }
//	    cache      <size>|off
//	    key_prefix <prefix>
//	    audit_retention <duration>
//	    max_keys   <number>|off
//	    max_apps   <number>|off
//	    plan       <name> {
//	        rate       <number>/s|m|h [burst <number>]
//	        quota      <number>/day|month
//	        concurrent <number>
//	        addresses  <networks...>
//	    }
//	}
//
// The option plan may be given several times.
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option's name
	if existing != nil {
		return nil, d.Err("the global option api_keys is given twice: make the two blocks one")
	}
	if d.NextArg() {
		return nil, d.Errf("unexpected %q: the global option api_keys takes a block only", d.Val())
	}
	p := appParser{given: options{}}
	for d.NextBlock(0) {
		if err := p.option(d.NewFromNextSegment()); err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "api_keys", Value: caddyconfig.JSON(&p.app, nil)}, nil
}

type appParser struct {
	app   gateway.App
	given options
}

func (p *appParser) option(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	var err error
	switch d.Val() {
	case "store":
		return p.store(d)
	case "cache":
		if err := p.given.word(d, &p.app.Cache, "cache SIZE, for example cache 64MiB, or cache off"); err != nil {
			return err
		}
		_, err = gateway.ParseCache(p.app.Cache)
	case "key_prefix":
		if err := p.given.word(d, &p.app.KeyPrefix, "key_prefix PREFIX, for example key_prefix acme"); err != nil {
			return err
		}
		err = credential.CheckBrand(p.app.KeyPrefix)
	case "max_keys":
		return p.most(d, &p.app.MaxKeys, "max_keys")
	case "max_apps":
		return p.most(d, &p.app.MaxApps, "max_apps")
	case "plan":
		return p.plan(d)
	case "audit_retention":
		return p.given.duration(d, &p.app.AuditRetention, "audit_retention DURATION, for example audit_retention 2160h")
	default:
		return d.Errf("unknown option %q: use store, cache, key_prefix, audit_retention, max_keys, max_apps or plan", d.Val())
	}
	if err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// most reads how many of something a user may have.
func (p *appParser) most(d *caddyfile.Dispenser, into *config.Most, name string) error {
	var text string
	if err := p.given.word(d, &text, name+" NUMBER, such as "+name+" 1000, or "+name+" off"); err != nil {
		return err
	}
	most, err := config.ParseMost(text)
	if err != nil {
		return d.Errf("%s: %v", name, err)
	}
	*into = most
	return nil
}

// store leaves what follows the store's name to the store's own module.
func (p *appParser) store(d *caddyfile.Dispenser) error {
	const namespace = "api_keys.stores"
	if err := p.given.once(d); err != nil {
		return err
	}
	var known []string
	for _, m := range caddy.GetModules(namespace) {
		known = append(known, m.ID.Name())
	}
	if !d.NextArg() {
		return d.Errf("store: write store NAME, the name being one of %s", strings.Join(known, ", "))
	}
	name := d.Val()
	id := namespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		return d.Errf("unknown store %q: this program has %s", name, strings.Join(known, ", "))
	}
	store, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	p.app.Store = caddyconfig.JSONModuleObject(store, "module", name, nil)
	return nil
}
