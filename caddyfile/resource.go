package caddyfile

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// parseResource reads a resource and the places where requests name it. A field
// called path, body or query is written in quotes.
func parseResource(segment caddyfile.Segment) (r policy.Resource, err error) {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	const syntax = "write resource NAME path VARIABLE… body FIELD… query FIELD…, for example resource model path model_id body model"
	if !d.NextArg() {
		return r, d.Errf("resource: %s", syntax)
	}
	r.Name, r.Place = d.Val(), fmt.Sprintf("%s:%d", segment[0].File, segment[0].Line)
	lists := map[string]*[]string{"path": &r.Path, "body": &r.Body, "query": &r.Query}
	given := ""
	for d.NextArg() {
		word := d.Val()
		list, keyword := lists[word]
		keyword = keyword && !d.Token().Quoted()
		switch {
		case keyword && len(*list) > 0:
			return r, d.Errf("resource %s: %s is given twice", r.Name, word)
		case keyword && given != "" && len(*lists[given]) == 0:
			return r, d.Errf("resource %s: %s needs names; %s", r.Name, given, syntax)
		case keyword:
			given = word
		case given == "":
			return r, d.Errf("resource %s: %q is not path, body or query; %s", r.Name, word, syntax)
		default:
			*lists[given] = append(*lists[given], word)
		}
	}
	switch {
	case d.NextBlock(0):
		return r, d.Errf("resource %s: a block is not allowed; %s", r.Name, syntax)
	case given != "" && len(*lists[given]) == 0:
		return r, d.Errf("resource %s: %s needs names; %s", r.Name, given, syntax)
	}
	return r, nil
}
