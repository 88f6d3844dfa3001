package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// tokens hands a segment over to the grammar of tables, with its words as they
// stand in the file.
func tokens(segment caddyfile.Segment) []tables.Token {
	d := caddyfile.NewDispenser(segment)
	list := make([]tables.Token, 0, len(segment))
	for {
		newLine := d.NextLine()
		if !newLine && !d.Next() {
			return list
		}
		t := d.Token()
		list = append(list, tables.Token{
			Text: asWritten.Replace(t.Text), File: t.File, Line: t.Line, Quoted: t.Quoted(), NewLine: newLine,
		})
	}
}

// asWritten takes back what Caddy put in for its shorthands: {path} reaches a
// directive as {http.request.uri.path}, and an error about that would name
// what nobody wrote.
var asWritten = func() *strings.Replacer {
	shorthands := httpcaddyfile.NewShorthandReplacer()
	var pairs []string
	for _, name := range policy.ReservedNames() {
		written := "{" + name + "}"
		segment := caddyfile.Segment{{Text: written}}
		shorthands.ApplyToSegment(&segment)
		pairs = append(pairs, segment[0].Text, written)
	}
	return strings.NewReplacer(pairs...)
}()
