package differential

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-api-keys/gateway/module/gatetest/corpus"
)

// The differential fuzzers send what they make up to a running Caddy, whose
// gate stands in front of two upstreams that have nothing of ours: net/http's
// server with its router, and Node's with URL and URLSearchParams. What the
// gate allows has to be the same request to its next reader (judge).
//
// A name in braces is a value, as in testdata/attacks, whose cases are seeds.

// longest is what a fuzzer may send, in bytes: no rule begins beyond.
const longest = 8 << 10

func (d *differential) try(t *testing.T, text, suffix string) {
	if len(text) > longest {
		return
	}
	raw := []byte(d.secrets.Replace(text))
	var first *exchange
	for _, e := range d.upstreams {
		x := d.send(t, e, e.name+suffix, slices.Clone(raw))
		if err := d.judge(x, raw); err != nil {
			t.Fatalf("%s: %v\nsent was %q", e.name, err, raw)
		}
		if first == nil {
			first = x
		} else if len(first.allowed) != len(x.allowed) {
			t.Fatalf("%d requests are allowed to %s, and %d to %s\nsent was %q", len(first.allowed), first.site, len(x.allowed), x.site, raw)
		}
	}
}

// presenting are the headers by which a caller shows up.
var presenting = []string{
	"Authorization: Key {key}\r\n",
	"Authorization: Bearer {pat}\r\n",
	"X-Clarifai-Session-Token: {session}\r\n",
	"X-Api-Key: {other}\r\n",
	"",
}

// FuzzTarget makes up methods and targets.
func FuzzTarget(f *testing.F) {
	for _, s := range corpusSteps(f) {
		if s.Kind == "request" {
			method, target, _ := strings.Cut(s.Text, " ")
			f.Add(method, corpusText(f, target), uint8(0))
		}
	}
	for i, target := range []string{
		"/v2/users/me/apps/shop/inputs", "/v2/users/alice/apps/%61/inputs", "/v2/users/bob/apps/farm/inputs", "/v2/users/bob/things",
		"/v2/things?user_app_id.user_id=bob&user_app_id.app_id=farm", "/v2/things?user_app_id.use\xe8r_id=bob&user_app_id.app_id=farm",
		"/v2/things?user_app_id[userId]=alice&user_app_id.user_id=me",
		"/v2/files/a%2fb", "/v2/colons/a:b", "/v2/models/m/outputs:cancel", "/v2/inputs/st%C3%A4tus", "/public/?a=%&b=%zz&=+", "/public/%F0%9F%98%80",
		"/public/\"<>^`{|}", "/public/!$&'()*+,=@~", "/public/%21%24%26%27%28%29%2A%2B%2C%3D%40", "/public/x?\xff\"'{}", "/public/[x]?[x]",
	} {
		for who := range presenting {
			f.Add([]string{"GET", "HEAD", "OPTIONS"}[i%3], target, uint8(who))
		}
	}
	d := newDifferential(f)
	f.Fuzz(func(t *testing.T, method, target string, who uint8) {
		d.try(t, method+" "+target+" HTTP/1.1\r\nHost: {host}\r\n"+presenting[int(who)%len(presenting)]+"\r\n", "")
	})
}

// headerStarts are what the headers that are made up belong to.
var headerStarts = []struct{ start, body string }{
	{"GET /public/x HTTP/1.1\r\n", ""},
	{"POST /public/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nAuthorization: Key {key}\r\n", "hello"},
	{"GET /open/x?api_key={key} HTTP/1.1\r\nHost: {host}\r\n", ""},
	{"POST /pkg.Service/Delete HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key {key}\r\n", ""},
	{"PUT /v2/things HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nX-Api-Key: {key}\r\n", "5\r\nhello\r\n0\r\n\r\n"},
}

// FuzzHeaders makes up header blocks.
func FuzzHeaders(f *testing.F) {
	for i, s := range corpusSteps(f) {
		if s.Kind == "request" && len(s.Lines) > 0 {
			block := corpusText(f, strings.Join(s.Lines, `\r\n`))
			f.Add(uint8(1+i%4), block)
			f.Add(uint8(0), "Host: {host}\r\n"+block)
		}
	}
	for i := range headerStarts {
		for _, block := range []string{
			"A: 1\r\nB: 2\r\na: 3", "A: 1\r\n folded", "A: 1\r\n \t\r\nB:\r\n 2", "A : 1", "A:\t1 \t", "A: \xff\x80", ": x", "A:", "Accept: a\r\nACCEPT: b, c",
			"Connection: close, x-caller-user-id, content-type, te, \"q\"\r\nTE: trailers\r\nKeep-Alive: 1",
			"Content-Type: application/grpc+proto", "Content-Type: Application/GRPC", "Content-Type: application/grpcx", "Content-Type:",
			"Host: a\r\nHost: b", "Host: [::1%25x]:1", "Host: xn--bcher-kva.example", "Expect: 100-continue", "Expect: x", "Cookie: a=b; c", "Cookie: a\r\nCookie: b",
			"X.Caller.User.Id: forged\r\nX_CALLER_USER_ID: forged\r\nX-Caller-: x", "Authorization: Basic eDp5", "Authorization: key\t{key}",
			"X-Forwarded-For: 1, 2\r\nForwarded: for=1\r\nX-Real-Ip: x\r\nVia: 1.1 a", "Upgrade: websocket\r\nConnection: upgrade", "A: 1\nB: 2", "A: 1\rB: 2",
		} {
			f.Add(uint8(i), "Host: {host}\r\n"+block)
		}
	}
	d := newDifferential(f)
	f.Fuzz(func(t *testing.T, which uint8, block string) {
		s := headerStarts[int(which)%len(headerStarts)]
		d.try(t, s.start+block+"\r\n\r\n"+s.body, "")
	})
}

// FuzzFraming makes up all that is sent over a connection.
func FuzzFraming(f *testing.F) {
	for _, s := range corpusSteps(f) {
		switch {
		case s.Kind == "bytes":
			f.Add(corpusText(f, strings.Join(s.Lines, "")))
		case s.Kind == "request" && (s.HasBody || s.Trailers != nil):
			var b strings.Builder
			if _, err := (&corpus.Writer{Values: corpusValues()}).Request(&b, s); err != nil {
				f.Fatal(err)
			}
			f.Add(b.String())
		}
	}
	const head = "POST /public/x HTTP/1.1\r\nHost: {host}\r\nAuthorization: Key {key}\r\n"
	const hidden = "GET /admin HTTP/1.1\r\nHost: a\r\nX-Caller-User-Id: forged\r\n\r\n"
	for _, rest := range []string{
		"Content-Length: 5\r\n\r\nhello" + head + "Content-Length: 0\r\n\r\n" + head + "\r\n",
		"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5, 5\r\n\r\nhello", "Content-Length: +5\r\n\r\nhello", "Content-Length: 0x5\r\n\r\nhello",
		"Content-Length: 50\r\n\r\nhello", "Content-Length: 05\r\n\r\nhello",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + head + "\r\n",
		"Transfer-Encoding: chunked\r\n\r\n5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", "Transfer-Encoding: chunked\r\n\r\n05 \r\nhello\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Caller-User-Id: forged\r\n\r\n",
		"Transfer-Encoding: chunked\r\nContent-Length: {smuggled}\r\n\r\n0\r\n\r\n" + hidden, "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + hidden,
		"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + hidden, "Transfer-Encoding: identity\r\nContent-Length: {smuggled}\r\n\r\n" + hidden,
		"Content-Length: {smuggled}\r\n\r\n" + hidden + head + "\r\n", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + head + "\r\n",
		"Connection: close\r\n\r\n" + hidden, "\r\n\r\n\r\n" + head + "\r\n",
	} {
		f.Add(head + rest)
		f.Add(strings.Replace(head+rest, "POST", "GET", 1))
		f.Add(strings.Replace(head+rest, "HTTP/1.1", "HTTP/1.0", 1))
	}
	d := newDifferential(f)
	f.Fuzz(func(t *testing.T, text string) { d.try(t, text, "") })
}

// FuzzBody makes up bodies, at a gate that looks into them for owner and app.
func FuzzBody(f *testing.F) {
	for _, s := range corpusSteps(f) {
		if s.Kind == "request" && s.HasBody {
			f.Add(corpusText(f, s.Body), "application/json", uint8(0))
			f.Add(corpusText(f, s.Body), "", uint8(1))
		}
	}
	for who := range presenting {
		for _, body := range []string{
			"", "{}", "null", "[]", `"x"`, `{"user_app_id":{"user_id":"bob","app_id":"farm"}}`, `{"User_App_Id":{"USER_ID":"bob"}}`, `{"userAppId":{"userId":"bob"}}`,
			`{"user_app_id":{"user_id":"me"},"a":[1e9,-0.0,true,null]}`, `{"user_app_id":null,"user_app_id":{"user_id":"bob"}}`, `[{"user_app_id":[{"user_id":["bob"]}]}]`,
			`{"__proto__":{"user_app_id":{"user_id":"bob"}}}`, `{"user_app_id.user_id":"bob"}`, `{"user_app_id":{"user_\u0131d":"bob","u\u017fer_id":"bob"}}`,
			`{"user_app_id":{"user_id":"\ud800","app_id":"\u0000"}}`, `{"a":1} {"user_app_id":{"user_id":"bob"}}`, "user_app_id.user_id=bob&a", `{"a":"&user_app_id.user_id=bob&"}`,
		} {
			f.Add(body, "application/x-www-form-urlencoded", uint8(who))
			f.Add(body, "application/json; charset=utf-8", uint8(who))
		}
	}
	d := newDifferential(f)
	f.Fuzz(func(t *testing.T, body, contentType string, who uint8) {
		body = d.secrets.Replace(body)
		d.try(t, fmt.Sprintf("PUT /v2/things HTTP/1.1\r\nHost: {host}\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s",
			contentType, presenting[int(who)%len(presenting)], len(body), body), inBody)
	})
}

// corpusSteps returns what the corpus sends in requests or bytes.
func corpusSteps(f *testing.F) (steps []*corpus.Step) {
	for _, a := range corpus.Read(f).Cases {
		for _, s := range a.Steps {
			if s.Kind == "request" || s.Kind == "bytes" {
				steps = append(steps, s)
			}
		}
	}
	return steps
}

// corpusValues leave names in braces as they are, so that seeds don't depend on
// what credentials a test has made.
func corpusValues() map[string]string {
	values := map[string]string{"once": "{key}", "later": "{other}"}
	for _, name := range []string{"host", "key", "other", "pat", "limited", "session", "expired", "disabled", "smuggled"} {
		values[name] = "{" + name + "}"
	}
	return values
}

func corpusText(f *testing.F, text string) string {
	text, err := corpus.Unescape(text, corpusValues())
	if err != nil {
		f.Fatal(err)
	}
	return text
}
