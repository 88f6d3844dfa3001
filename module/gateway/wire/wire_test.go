package wire_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
)

func TestCheckPath(t *testing.T) {
	for _, test := range []struct {
		name, path string
		allowed    wire.Allowed
		want       error
	}{
		{"plain", "/v2/users/ann/apps", wire.Allowed{}, nil},
		{"a colon", "/v2/models:search", wire.Allowed{}, nil},
		{"an escaped space within a name", "/a%20b", wire.Allowed{}, nil},
		{"a cut escape", "/a%2", wire.Allowed{}, wire.ErrEscapeCut},
		{"an invalid escape", "/a%zz", wire.Allowed{}, wire.ErrPathEscape},
		{"an escaped slash", "/a%2Fb", wire.Allowed{}, wire.ErrEscapedSlash},
		{"an allowed slash", "/a%2Fb", wire.Allowed{Slash: true}, nil},
		{"an escaped colon", "/a%3ab", wire.Allowed{Slash: true}, wire.ErrEscapedColon},
		{"an allowed colon", "/a%3ab", wire.Allowed{Colon: true}, nil},
		{"an escaped newline", "/a%0Ab", wire.Allowed{}, wire.ErrEscapedControl},
		{"an escaped percent sign", "/a%2541", wire.Allowed{}, wire.ErrEscapedDelimiter},
		{"an escaped letter", "/%73tatus", wire.Allowed{}, wire.ErrNeedlessEscape},
		{"a control character of Unicode", "/a%C2%85b", wire.Allowed{}, wire.ErrControl},
		{"a semicolon", "/a;b", wire.Allowed{}, wire.ErrDelimiter},
		{"an empty segment", "/a//b", wire.Allowed{}, wire.ErrEmptySegment},
		{"a broken rune", "/a%FF", wire.Allowed{}, wire.ErrNotUTF8},
		{"a full-width slash", "/a%EF%BC%8Fb", wire.Allowed{}, wire.ErrLikeSlash},
		{"dots", "/a/../b", wire.Allowed{}, wire.ErrDotSegment},
		{"dots with a space", "/a/.%20./b", wire.Allowed{}, wire.ErrDotSegment},
		{"full-width dots", "/a/%EF%BC%8E%EF%BC%8E", wire.Allowed{}, wire.ErrDotSegment},
		{"an allowed slash behind dots", "/a/..%2Fb", wire.Allowed{Slash: true}, wire.ErrDotSegment},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := wire.CheckPath(test.path, test.allowed); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", test.path, err, test.want)
			}
		})
	}
}

// read reads a request as a server does. Lines end in \n here.
func read(t *testing.T, text string) *http.Request {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "\n", "\r\n"))))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCheckTarget(t *testing.T) {
	for _, test := range []struct {
		name, target, sent string
		want               error
	}{
		{"a path", "/a?b=c", "/a?b=c", nil},
		{"a rewritten absolute form", "/a", "http://host/a", wire.ErrNotAPath},
		{"absolute form", "http://host/a", "/a", wire.ErrNotAPath},
		{"a semicolon in the query", "/a?b;c", "/a?b;c", wire.ErrQuerySemicolon},
		{"a fragment in the query", "/a?b#c", "/a?b#c", wire.ErrQueryCharacter},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, "GET "+test.target+" HTTP/1.1\nHost: host\n\n")
			if err := wire.CheckTarget(r, test.sent, r.URL.EscapedPath(), wire.Allowed{}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestCheckFraming(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		want   error
	}{
		{"as read", func(*http.Request) {}, nil},
		{"an unknown coding", func(r *http.Request) { r.TransferEncoding = []string{"gzip"} }, wire.ErrTransferEncoding},
		{"two codings", func(r *http.Request) { r.TransferEncoding = []string{"chunked", "chunked"} }, wire.ErrTransferEncoding},
		{"a coding as a header", func(r *http.Request) { r.Header["Transfer-Encoding"] = []string{"chunked"} }, wire.ErrTransferEncoding},
		{"two lengths", func(r *http.Request) { r.Header["Content-Length"] = []string{"2", "2"} }, wire.ErrLengths},
		{"a length and chunks", func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, wire.ErrLengths},
		{"another length", func(r *http.Request) { r.Header["Content-Length"] = []string{"3"} }, wire.ErrLength},
		{"an address", func(r *http.Request) { r.Host = "[2001:db8::1]:8443" }, nil},
		{"no host", func(r *http.Request) { r.Host = "" }, nil},
		{"an address with a zone", func(r *http.Request) { r.Host = "[fe80::1%25eth0]:80" }, nil},
		{"an address with two zones", func(r *http.Request) { r.Host = "[fe80::1%25%2a]:80" }, wire.ErrHost},
		{"a host with an escape", func(r *http.Request) { r.Host = "a%2eexample.com" }, wire.ErrHost},
		{"a host with a path", func(r *http.Request) { r.Host = "a.example.com/b" }, wire.ErrHost},
		{"a host with a user", func(r *http.Request) { r.Host = "a@b.example.com" }, wire.ErrHost},
		{"a host of other letters", func(r *http.Request) { r.Host = "ä.example.com" }, wire.ErrHost},
		{"two types", func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "c/d"} }, wire.ErrContentTypes},
		{"nearly gRPC", func(r *http.Request) { r.Header.Set("Content-Type", "application/grpcx") }, wire.ErrLikeGRPC},
		{"a padded value", func(r *http.Request) { r.Header.Set("X-Any", " a") }, wire.ErrPadded},
		{"Connection in HTTP/2", func(r *http.Request) { r.ProtoMajor = 2; r.Header.Set("Connection", "close") }, wire.ErrConnectionHeaders},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, "POST / HTTP/1.1\nHost: host\nContent-Length: 2\n\n{}")
			r.Header.Set("Content-Length", "2")
			test.change(r)
			if err := wire.CheckFraming(r); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestUpgrades(t *testing.T) {
	for _, test := range []struct {
		name, headers string
		websocket     bool
		left          string // of Upgrade
		want          error
	}{
		{"none", "", true, "", nil},
		{"h2c", "Upgrade: h2c\nConnection: Upgrade\n", true, "", nil},
		{"websocket, not allowed", "Upgrade: websocket\nConnection: Upgrade\n", false, "", nil},
		{"websocket, allowed", "Upgrade: WebSocket\nConnection: Upgrade\n", true, "WebSocket", nil},
		{"a list", "Upgrade: websocket, h2c\nConnection: Upgrade\n", true, "", nil},
		{"without Connection", "Upgrade: websocket\n", true, "websocket", wire.ErrUpgrade},
		{"with a body", "Upgrade: websocket\nConnection: Upgrade\nContent-Length: 1\n", true, "websocket", wire.ErrUpgrade},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, "GET / HTTP/1.1\nHost: host\n"+test.headers+"\n")
			wire.DropUpgrade(r, test.websocket)
			if got := r.Header.Get("Upgrade"); got != test.left {
				t.Errorf("Upgrade %q, want %q", got, test.left)
			}
			if err := wire.CheckUpgrade(r); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	for name, want := range map[string]bool{
		"X-Http-Method-Override": true, "x_http.method-OVERRIDE": true, "X-Original-Url": true,
		"X-Original": false, "X-Rewrite-Urls": false, "Accept": false,
	} {
		if got := wire.IsOverride(name); got != want {
			t.Errorf("IsOverride(%s) = %t", name, got)
		}
	}
	for name, want := range map[string]bool{"X-Caller-Id": true, "x_caller.id": true, "X-Call": false, "Y-Caller-Id": false} {
		if got := wire.FoldedPrefix(name, "x-caller-"); got != want {
			t.Errorf("FoldedPrefix(%s) = %t", name, got)
		}
	}
	h := http.Header{"Connection": {"close, X-Caller-Id", "upgrade"}}
	wire.KeepConnection(h)
	if got := h.Get("Connection"); got != "close" {
		t.Errorf("Connection: %s", got)
	}
}

func TestForms(t *testing.T) {
	onlyPost := func(method string) bool { return method == "POST" }
	for _, test := range []struct {
		name, contentType, body string
		want                    error
	}{
		{"no override", "application/x-www-form-urlencoded", "a=b&method=x", nil},
		{"an override", "application/x-www-form-urlencoded", "a=b&_method=DELETE", wire.ErrOverride},
		{"an override that may be", "application/x-www-form-urlencoded", "a=b&_method=POST", nil},
		{"without a type", "", "_method=PUT", wire.ErrOverride},
		{"a part", "multipart/form-data; boundary=b", "--b\nContent-Disposition: form-data; name=_method\n\nDELETE\n--b--\n", wire.ErrOverride},
		{"JSON", "application/json", "_method=DELETE", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, "POST / HTTP/1.1\nHost: host\n\n")
			r.Header.Set("Content-Type", test.contentType)
			if test.contentType == "" {
				r.Header.Del("Content-Type")
			}
			r.Body = io.NopCloser(iotest.OneByteReader(strings.NewReader(test.body)))
			form := wire.NewForm(r.Body, wire.FormOf(r), onlyPost, wire.ErrOverride)
			text, err := io.ReadAll(form)
			if !errors.Is(err, test.want) || form.Refused() != (test.want != nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if err == nil && string(text) != test.body {
				t.Errorf("handed on %q", text)
			}
		})
	}
}
