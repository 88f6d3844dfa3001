package main

import (
	"fmt"
	"strings"

	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	grpcType = "application/grpc"
	// bodySize is the size of the body of a POST.
	bodySize = 1 << 10
	// host is the Host of all requests.
	host = "127.0.0.1"
)

// request is a request as it is sent.
type request struct {
	// wire is the whole of it over HTTP/1.1.
	wire []byte
	// fields and body are the parts of it over HTTP/2.
	fields []hpack.HeaderField
	body   []byte
}

// newRequests returns a request with each of the keys, in their order.
func newRequests(s scenario, keys []key) []*request {
	list := make([]*request, len(keys))
	for i, k := range keys {
		if s.protocol.http2() {
			list[i] = newRequest2(s, k)
		} else {
			list[i] = newRequest1(s.request, k)
		}
	}
	return list
}

func newRequest1(kind requestKind, k key) *request {
	method, path, body := parts(kind, k)
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Key %s\r\n", method, path, host, k.text)
	if body != nil {
		fmt.Fprintf(&text, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	fmt.Fprintf(&text, "\r\n%s", body)
	return &request{wire: []byte(text.String())}
}

func newRequest2(s scenario, k key) *request {
	method, path, body := parts(s.request, k)
	scheme := "http"
	if s.protocol.tls() {
		scheme = "https"
	}
	r := &request{body: body}
	add := func(name, value string) {
		// What differs from request to request would push the rest out of the
		// table of HPACK.
		differs := name == ":path" || name == "authorization"
		r.fields = append(r.fields, hpack.HeaderField{Name: name, Value: value, Sensitive: differs})
	}
	add(":method", method)
	add(":scheme", scheme)
	add(":authority", host)
	add(":path", path)
	add("user-agent", "bench")
	switch s.request {
	case grpcCall:
		add("content-type", grpcType)
		add("te", "trailers")
	case post:
		add("accept", "application/json")
		add("content-type", "application/json")
		add("content-length", fmt.Sprint(len(body)))
	case get:
		add("accept", "application/json")
	}
	add("authorization", "Key "+k.text)
	return r
}

// parts splits a request. body is nil if the request has no body.
func parts(kind requestKind, k key) (method, path string, body []byte) {
	resource := "/v2/users/" + k.owner + "/apps/" + appID + "/inputs"
	switch kind {
	case post:
		return "POST", resource, jsonBody(k.owner)
	case grpcCall:
		return "POST", "/clarifai.api.V2/ListInputs", frameMessage(callMessage(k.owner))
	default:
		return "GET", resource + "?page=1&per_page=20", nil
	}
}

// jsonBody returns a body of bodySize that adds an input to an owner's app.
func jsonBody(owner string) []byte {
	const form = `{"user_app_id":{"user_id":%q,"app_id":%q},"inputs":[{"id":"first","data":{"text":{"raw":"%s"}}}]}`
	const words = "the quick brown fox jumps over the lazy dog "
	room := bodySize - len(fmt.Sprintf(form, owner, appID, ""))
	text := strings.Repeat(words, room/len(words)+1)[:room]
	return fmt.Appendf(nil, form, owner, appID, text)
}

// callMessage returns the message of a call that lists the inputs of an owner's
// app: user_app_id, page and per_page.
func callMessage(owner string) []byte {
	field := func(b []byte, n protowire.Number, value string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), value)
	}
	number := func(b []byte, n protowire.Number, value uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), value)
	}
	message := field(nil, 1, string(field(field(nil, 1, owner), 2, appID)))
	return number(number(message, 2, 1), 3, 20)
}
