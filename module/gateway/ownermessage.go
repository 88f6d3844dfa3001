package gateway

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy/tables"
)

// watchedMethod is a gRPC method with the fields of its messages that name an
// owner or an app.
type watchedMethod struct {
	place  string // in the configuration; empty if not known
	fields []protowalk.Watch
}

// messageField reads a field as user_app_id.user_id=1.1.
func (g *Gate) messageField(text string) (f protowalk.Watch, err error) {
	path, numbers, ok := strings.Cut(text, "=")
	if !ok {
		return f, fmt.Errorf("the field %q: write its path by name and by number, as user_app_id.user_id=1.1", text)
	}
	p, err := g.partOf(path)
	if err != nil {
		return f, err
	}
	f.Names, f.Part = strings.Split(path, "."), protowalk.App
	if p == ownerPart {
		f.Part = protowalk.Owner
	}
	for digits := range strings.SplitSeq(numbers, ".") {
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || !protowire.Number(n).IsValid() {
			return f, fmt.Errorf("the field %q: %q is no number of a field", text, digits)
		}
		f.Numbers = append(f.Numbers, protowire.Number(n))
	}
	if len(f.Names) != len(f.Numbers) {
		return f, fmt.Errorf("the field %q needs as many numbers as names", text)
	}
	return f, nil
}

// shippedDescriptors are those of the shipped tables that were asked for.
var shippedDescriptors sync.Map // of *protowalk.Descriptors, by table

// ReadDescriptors reads the file of the option descriptors.
func ReadDescriptors(file string) (*protowalk.Descriptors, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("descriptors: %w; write the file with caddy api-keys routes import proto", err)
	}
	d, err := protowalk.Read(text)
	if err != nil {
		return nil, fmt.Errorf("descriptors %s: %w", file, err)
	}
	return d, nil
}

// descriptors returns the site's own descriptors, if any, and then those of the
// tables that it includes. The first that have a method describe it.
func (g *Gate) descriptors() ([]*protowalk.Descriptors, error) {
	var list []*protowalk.Descriptors
	if g.Descriptors != "" {
		d, err := ReadDescriptors(g.Descriptors)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	for _, name := range g.Include {
		if known, ok := shippedDescriptors.Load(name); ok {
			list = append(list, known.(*protowalk.Descriptors))
			continue
		}
		text, err := tables.ShippedDescriptors(name)
		if err != nil {
			return nil, fmt.Errorf("include: %w", err)
		}
		if text == nil {
			continue
		}
		d, err := protowalk.Read(text)
		if err != nil {
			return nil, fmt.Errorf("include %s: %w", name, err)
		}
		first, _ := shippedDescriptors.LoadOrStore(name, d)
		list = append(list, first.(*protowalk.Descriptors))
	}
	return list, nil
}

// compileMessages compiles the schemas by which messages are read.
func (g *Gate) compileMessages() error {
	o := &g.ownership
	list, err := g.descriptors()
	if err != nil {
		return err
	}
	o.messages = make(map[string]*protowalk.Schema, len(o.watched))
	for _, method := range slices.Sorted(maps.Keys(o.watched)) {
		m := o.watched[method]
		i := slices.IndexFunc(list, func(d *protowalk.Descriptors) bool { return d.Has(method) })
		if i < 0 {
			return m.wrap(fmt.Errorf("owner_message %s: no descriptors describe this method, so its messages can't be read; add descriptors FILE, which caddy api-keys routes import proto writes", method))
		}
		if o.messages[method], err = list[i].Compile(method, m.fields); err != nil {
			return m.wrap(fmt.Errorf("owner_message %s: %w", method, err))
		}
	}
	return nil
}

// wrap adds the place of the line that is wrong.
func (m *watchedMethod) wrap(err error) error {
	if m.place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", m.place, err)
}

var (
	errCompressed = errors.New("compressed")
	errTooLarge   = errors.New("too large")
	errNotYours   = errors.New("a message names an owner or an app that the caller has no right to")
)

// readMessage adds what the first message of a gRPC request names, and puts a
// reader in the body's place that looks into those that follow.
func (o *ownership) readMessage(w http.ResponseWriter, r *http.Request, n *names) (*messages, *refusal) {
	if len(r.Header["Content-Encoding"]) > 0 || r.Method != http.MethodPost || !isProtobuf(r) {
		return nil, refuseBody(http.StatusUnsupportedMediaType, "This API looks for owner and app in the messages of this gRPC method, and can only look into protobuf. Send POST with application/grpc+proto, without Content-Encoding.")
	}
	m := &messages{of: o, body: r.Body, schema: o.messages[r.URL.Path], limit: o.limit, done: r.Context().Done()}
	r.Body = m
	lift := o.deadline(w)
	size, err := m.next()
	lift()
	if errors.Is(err, io.EOF) {
		m.failed = io.EOF // no message at all, which names nobody
		err = nil
	}
	if err == nil {
		m.checked = size
		n.merge(m.named)
	}
	return m, refuseMessage(err)
}

// refuseMessage is the answer to a message that can't be looked into, or that
// names what the caller has no right to; nil where there is nothing of the
// kind.
func refuseMessage(err error) *refusal {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotYours):
		return errOwner
	case errors.Is(err, errCompressed):
		return refuseBody(http.StatusUnsupportedMediaType, "A compressed message can't be looked into, and this API looks for owner and app in it. Send it uncompressed.")
	case errors.Is(err, errTooLarge):
		return errBodyTooLarge
	case isTimeout(err):
		return errBodySlow
	}
	if wrong, ok := errors.AsType[*protowalk.MalformedError](err); ok {
		return refuseBecause(authz.Target, "Parsers may read the message differently: "+wrong.Error()+".")
	}
	return refuseBecause(authz.Target, "The message is not a valid one.")
}

// isProtobuf tells the content types whose messages are protobuf: not those of
// another codec, nor gRPC-Web's text form. Some servers look for the codec in
// what follows a semicolon, so there is nothing of the kind.
func isProtobuf(r *http.Request) bool {
	switch strings.ToLower(r.Header.Get("Content-Type")) {
	case "application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpc-web+proto":
		return true
	}
	return false
}
