package tenant

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/caddy-api-keys/gateway/module/gateway/tenant/protowalk"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// watchedMethod is a gRPC method with the fields of its messages that name an
// owner or an app.
type watchedMethod struct {
	place  string // in the configuration; empty if not known
	fields []protowalk.Watch
}

// messageField reads a field as user_app_id.user_id=1.1.
func (o *Places) messageField(text string) (f protowalk.Watch, err error) {
	path, numbers, ok := strings.Cut(text, "=")
	if !ok {
		return f, fmt.Errorf("the field %q: write its path by name and by number, such as user_app_id.user_id=1.1", text)
	}
	p, err := o.partOf(path)
	if err != nil {
		return f, err
	}
	f.Names, f.Part = strings.Split(path, "."), protowalk.App
	if p == Owner {
		f.Part = protowalk.Owner
	}
	for digits := range strings.SplitSeq(numbers, ".") {
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil || !protowire.Number(n).IsValid() {
			return f, fmt.Errorf("the field %q: %q is not a field number", text, digits)
		}
		f.Numbers = append(f.Numbers, protowire.Number(n))
	}
	if len(f.Names) != len(f.Numbers) {
		return f, fmt.Errorf("the field %q needs as many numbers as names", text)
	}
	return f, nil
}

// Compile compiles the schemas by which messages are read. The first of the
// descriptors that have a method describe it.
func (o *Places) Compile(list []*protowalk.Descriptors) (err error) {
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

// ReadMessage adds what the first message of a gRPC request names, and puts a
// stream in the body's place that looks into those that follow.
func (o *Places) ReadMessage(w http.ResponseWriter, r *http.Request, n *policy.Named) (*Stream, *Error) {
	if len(r.Header["Content-Encoding"]) > 0 || r.Method != http.MethodPost || !isProtobuf(r) {
		return nil, &Error{Unreadable, "This API looks for owner and app in the messages of this gRPC method, and can only look into protobuf. Send POST with application/grpc+proto, without Content-Encoding."}
	}
	m := &Stream{of: o, body: r.Body, schema: o.messages[r.URL.Path], limit: o.limit, done: r.Context().Done()}
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
		n.Merge(m.named)
	}
	return m, messageError(err)
}

// messageError returns why a message is refused, nil if it isn't.
func messageError(err error) *Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	if isTimeout(err) {
		return errSlow
	}
	if wrong, ok := errors.AsType[*protowalk.MalformedError](err); ok {
		return &Error{Ambiguous, "Parsers may read the message differently: " + wrong.Error() + "."}
	}
	return &Error{Ambiguous, "The message is not a valid one."}
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
