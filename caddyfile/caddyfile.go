// Package caddyfile teaches the Caddyfile the directives api_keys and
// api_keys_manage, and the global option api_keys. The lines that declare
// scopes and routes are those of package tables.
package caddyfile

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("api_keys", parseApp)
	httpcaddyfile.RegisterHandlerDirective("api_keys", parseGate)
	httpcaddyfile.RegisterHandlerDirective("api_keys_manage", parseManage)
	// Caddy takes only its own directives as landmarks. Each goes right before
	// it, so what is registered first comes first.
	httpcaddyfile.RegisterDirectiveOrder("api_keys_manage", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirectiveOrder("api_keys", httpcaddyfile.Before, "basic_auth")
}

// options remembers which options of a block have been given, and where.
type options map[string]string

// once takes the option that d is at, which may be given only once.
func (o options) once(d *caddyfile.Dispenser) error {
	name := d.Val()
	if first, ok := o[name]; ok {
		return d.Errf("%s is given twice, first at %s: remove one of the two", name, first)
	}
	o[name] = fmt.Sprintf("%s:%d", d.File(), d.Line())
	return nil
}

// words reads an option that may be given once and has n words. syntax is its
// form for errors.
func (o options) words(d *caddyfile.Dispenser, n int, syntax string) ([]string, error) {
	if err := o.once(d); err != nil {
		return nil, err
	}
	return words(d, n, syntax)
}

// word is words for an option that has one.
func (o options) word(d *caddyfile.Dispenser, into *string, syntax string) error {
	list, err := o.words(d, 1, syntax)
	if err == nil {
		*into = list[0]
	}
	return err
}

// duration is word for an option that is a duration.
func (o options) duration(d *caddyfile.Dispenser, into *caddy.Duration, syntax string) error {
	var text string
	if err := o.word(d, &text, syntax); err != nil {
		return err
	}
	length, err := caddy.ParseDuration(text)
	if err != nil || length <= 0 {
		return d.Errf("%q is not a duration: write %s", text, syntax)
	}
	*into = caddy.Duration(length)
	return nil
}

// flag is words for an option that has none.
func (o options) flag(d *caddyfile.Dispenser, into *bool) error {
	*into = true
	_, err := o.words(d, 0, d.Val()+" alone")
	return err
}

// words are the n words behind the option that d is at, none of them empty. It
// has no block.
func words(d *caddyfile.Dispenser, n int, syntax string) ([]string, error) {
	name, list := d.Val(), d.RemainingArgs()
	if len(list) != n || slices.Contains(list, "") {
		return nil, d.Errf("%s: write %s", name, syntax)
	}
	if d.NextBlock(0) {
		return nil, d.Errf("%s takes no block; remove it", name)
	}
	return list, nil
}
