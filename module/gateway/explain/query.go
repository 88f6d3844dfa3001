package explain

import (
	"bufio"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Invalid returns the error for a field of a query that can't be explained.
func Invalid(field, format string, args ...any) error {
	return &manage.Error{Code: manage.CodeInvalid, Field: field, Details: fmt.Sprintf(format, args...)}
}

// CheckQuery refuses what can't be a request line or a header line, and any
// credential: none is needed, and what is explained ends up in terminals.
func CheckQuery(q *manage.ExplainQuery) error {
	unprintable := func(c rune) bool { return c < 0x20 || c == 0x7f }
	switch {
	case q.Method == "" || strings.ContainsFunc(q.Method, unprintable) || strings.Contains(q.Method, " "):
		return Invalid("method", "give the request's method, such as GET, or grpc for a gRPC call")
	case q.Target == "" || strings.ContainsFunc(q.Target, unprintable) || strings.Contains(q.Target, " "):
		return Invalid("target", "give the request's path and query as they are sent, such as /v2/inputs?page=1, with spaces escaped")
	case hasCredential(q.Target):
		return Invalid("target", "there is a credential in it: leave it out, and name the key by its key ID")
	case q.Address != "" && !isAddress(q.Address):
		return Invalid("address", "give the client's address, such as 192.0.2.7 or 2001:db8::7, without a port")
	case q.Key != "" && q.Caller != nil:
		return Invalid("key", "give a stored key or a supposed caller, not both")
	}
	for i, line := range q.Headers {
		field := fmt.Sprintf("headers[%d]", i)
		name, value, ok := strings.Cut(line, ":")
		if !ok || !wire.IsToken(name) || strings.ContainsFunc(value, func(c rune) bool { return unprintable(c) && c != '\t' }) {
			return Invalid(field, `write a header as "Name: value"`)
		}
		if hasCredential(value) {
			return Invalid(field, "there is a credential in it: leave it out, and name the key by its key ID")
		}
	}
	return nil
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// hasCredential reports whether a part of a text is of a credential's form.
func hasCredential(text string) bool {
	parts := strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune("/?&=, \t:", c) })
	return slices.ContainsFunc(parts, func(part string) bool { return credential.FormOf(part) != credential.Foreign })
}

// Request is what the server would hand to the gate, read as it does.
func Request(q *manage.ExplainQuery, hosts []string) (*http.Request, error) {
	var text strings.Builder
	method, headers := q.Method, q.Headers
	if method == policy.MethodGRPC {
		method, headers = http.MethodPost, append([]string{"Content-Type: application/grpc"}, headers...)
	}
	host := "localhost"
	if len(hosts) > 0 && !strings.HasPrefix(hosts[0], ":") {
		host = hosts[0]
	}
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, q.Target, host)
	for _, line := range headers {
		fmt.Fprintf(&text, "%s\r\n", line)
	}
	text.WriteString("\r\n")
	return http.ReadRequest(bufio.NewReader(strings.NewReader(text.String())))
}
