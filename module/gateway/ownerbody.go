package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/gateway/tenant"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// readBody looks for owner and app in a JSON body, which is handed on byte for
// byte. It has to be JSON under every Content-Type that bodyType lets through,
// a form's too, for there are servers that don't look at the type.
func (o *ownership) readBody(w http.ResponseWriter, r *http.Request, n *names) *refusal {
	if len(r.Header["Content-Encoding"]) > 0 {
		return refuseBody(http.StatusUnsupportedMediaType, "A compressed body can't be looked into, and this API looks for owner and app in it. Send it without Content-Encoding.")
	}
	form, why := bodyType(r)
	if why != "" {
		return refuseBody(http.StatusUnsupportedMediaType, why)
	}
	if r.ContentLength > o.limit {
		return errBodyTooLarge
	}
	lift := o.deadline(w)
	body, err := io.ReadAll(io.LimitReader(r.Body, o.limit+1))
	lift()
	r.Body = wire.Rewound(body, r.Body)
	switch {
	case isTimeout(err):
		return errBodySlow
	case err != nil:
		return refuseBody(http.StatusBadRequest, "The body could not be read to its end.")
	case int64(len(body)) > o.limit:
		return errBodyTooLarge
	}
	if form {
		err = o.ofForm(r.Context(), n, string(body))
	}
	if err == nil {
		err = o.ofJSON(r.Context(), n, string(body))
	}
	switch {
	case err == nil:
		return nil
	case r.Context().Err() != nil:
		return refuseBody(http.StatusBadRequest, "The client went away.")
	}
	return refuseBody(http.StatusBadRequest, fmt.Sprintf("This API looks for owner and app in the body, which has to be JSON that every parser reads alike: %s.", err))
}

// ofJSON adds what a JSON body names. Each object stands by itself.
func (o *ownership) ofJSON(ctx context.Context, n *names, text string) error {
	return o.body.Read(ctx, text, func(found []tenant.Found) {
		var p place
		for _, f := range found {
			value := f.Value
			if f.Invalid {
				value = nobody
			}
			p.add(o.bodyFields[f.Field].Part, value)
		}
		n.take(p)
	})
}

// nobody is a name that no owner and no app has.
const nobody = "\x00"

// bodyType looks at what a Content-Type says that some server goes by. form
// says that it may take the body for a form's fields; why is the reason to
// refuse it. A type under which the body may be read as anything but JSON, a
// form or plain text is refused: white space, digits and quotes are a message
// in other formats too.
func bodyType(r *http.Request) (form bool, why string) {
	sent := strings.ToLower(r.Header.Get("Content-Type"))
	if sent == "" {
		return true, "" // Rack takes such a body for a form
	}
	if strings.Contains(sent, "multipart/") {
		return false, "A body in parts can't be looked into, and this API looks for owner and app in it. Send JSON."
	}
	kind, params, err := mime.ParseMediaType(sent)
	// A second charset within quotes is the charset to those who look for the
	// word.
	if named := strings.Count(sent, "charset"); named > 0 && (err != nil || named > 1 || params["charset"] != "utf-8") {
		return false, "The body's charset has to be UTF-8."
	}
	_, subtype, _ := strings.Cut(kind, "/")
	form = subtype == "x-www-form-urlencoded"
	json := strings.Contains(subtype, "json") && !strings.ContainsFunc(subtype, notInType) &&
		!strings.Contains(subtype, "proto") && !strings.Contains(subtype, "connect") && !strings.Contains(subtype, "grpc")
	if err != nil || !form && !json && kind != "text/plain" {
		return false, "A body of this Content-Type can't be looked into, and this API looks for owner and app in it. Send JSON."
	}
	return form, ""
}

// notInType reports a character that isn't in the names of media types that
// mean JSON.
func notInType(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '+'
}

var (
	errBodyTooLarge = &refusal{reason: authz.Target, answer: answer{
		status: http.StatusRequestEntityTooLarge, code: manage.CodeTooLarge, grpc: grpcResourceExhausted,
		details: "The body is larger than what this API looks into for owner and app. Send less at once.",
	}}
	errBodySlow = &refusal{reason: authz.Target, answer: answer{
		status: http.StatusRequestTimeout, code: manage.CodeInvalid, grpc: grpcDeadlineExceeded,
		details: "The body did not come in time.",
	}}
)

// refuseBody refuses a body that can't be inspected, or that has more than one
// reading.
func refuseBody(status int, details string) *refusal {
	ref := refuseBecause(authz.Target, details)
	ref.status = status
	return ref
}

// isTimeout tells the read deadline's end, as HTTP/1.1 and HTTP/2 report it.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || ok && timeout.Timeout()
}

// unexpected is an end of the text within a value.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
