package authz

import (
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Site lists the operations that requests to some hosts can call.
type Site struct {
	// Hosts are the hosts of the site. It is empty if they aren't known.
	Hosts      []string
	Operations []Operation
}

// Operation is a route, with what it says about itself.
type Operation struct {
	*policy.Rule
	// Resource is what the operation is about, such as inputs. Routes with one
	// endpoint are about the same.
	Resource string
	// Reads reports that the operation changes nothing: its method is GET or
	// HEAD, or it is a gRPC method that has the endpoint of such routes only.
	Reads bool
	// Managed reports that the management API answers it. OwnerOnly reports
	// that no collaborator may call it.
	Managed, OwnerOnly bool
	// Facts are those of a request for the operation that names no more than
	// necessary. Without them, the request names no resource.
	Facts Facts
}

// NewSite returns a site with the routes of a table.
func NewSite(hosts []string, rules []*policy.Rule) Site {
	known := endpoints{}
	for _, r := range rules {
		known.add(r)
	}
	s := Site{Hosts: hosts, Operations: make([]Operation, 0, len(rules))}
	for _, r := range rules {
		o := Operation{Rule: r, Resource: resourceOf(r), Reads: reads(r.Method)}
		for i, name := range r.Endpoint {
			e := known[name]
			if e == nil {
				o.Reads = readsByName(name)
				continue
			}
			if i == 0 {
				o.Resource, o.Reads = e.resource, true
			}
			o.Reads = o.Reads && !e.changes
		}
		s.Operations = append(s.Operations, o)
	}
	return s
}

// Call decides about a request for the operation.
func (o *Operation) Call(h *Holder) Outcome {
	if o.OwnerOnly && h.Shared != nil {
		return Outcome{Reason: Owner}
	}
	return h.call(o.Rule, o.Facts)
}

// endpoints are the HTTP routes of endpoints, by the endpoint's name.
type endpoints map[string]*endpoint

type endpoint struct {
	resource string
	// changes reports that a route of the endpoint may change something.
	changes bool
}

func (all endpoints) add(r *policy.Rule) {
	if r.Method == policy.MethodGRPC {
		return
	}
	for _, name := range r.Endpoint {
		if all[name] == nil {
			all[name] = &endpoint{resource: resourceOf(r)}
		}
		all[name].changes = all[name].changes || !reads(r.Method)
	}
}

func reads(method string) bool { return method == "GET" || method == "HEAD" }

// readsByName reports whether the name of a gRPC method without an HTTP route
// promises that it changes nothing.
func readsByName(name string) bool {
	method := name[strings.LastIndexByte(name, '/')+1:]
	return strings.HasPrefix(method, "Get") || strings.HasPrefix(method, "List")
}

// resourceOf returns the first literal of a pattern that isn't a version, an
// owner or an app: inputs in /v2/users/{user_id}/apps/{app_id}/inputs. If there
// is only an owner or an app, that is the resource.
func resourceOf(r *policy.Rule) string {
	if r.Method == policy.MethodGRPC {
		service, _, _ := strings.Cut(strings.TrimPrefix(r.Pattern, "/"), "/")
		return service[strings.LastIndexByte(service, '.')+1:]
	}
	resource := ""
	for i, seg := range r.Parsed().Segments {
		if strings.HasPrefix(seg, "*") || i == 0 && isVersion(seg) {
			continue
		}
		resource = seg
		if next := i + 1; next != r.OwnerSegment() && next != r.AppSegment() {
			break
		}
	}
	return resource
}

// isVersion reports whether a segment is a version, such as v2.
func isVersion(segment string) bool {
	return len(segment) > 1 && segment[0] == 'v' && strings.Trim(segment[1:], "0123456789") == ""
}
