package wire

import (
	"net/http"

	"golang.org/x/net/http/httpguts"
)

// DropUpgrade removes an Upgrade that is not allowed, and HTTP2-Settings, which
// only an upgrade to h2c needs. The request goes on as ordinary HTTP/1.1 (RFC
// 9110, section 7.8): Java's client and curl --http2 ask for h2c by default.
// Without the header no upstream can open a tunnel, behind which nobody decides
// about requests: proxies compare the protocol of a 101 with the one that was
// asked for.
//
// HTTP/1.0 can't be upgraded. Later versions have no Upgrade, and CheckFraming
// refuses one there.
func DropUpgrade(r *http.Request, websocket bool) {
	delete(r.Header, "Http2-Settings")
	asked := r.Header["Upgrade"]
	if len(asked) == 0 || r.ProtoMajor != 1 {
		return
	}
	if websocket && r.ProtoMinor > 0 && len(asked) == 1 && EqualFold(asked[0], "websocket") {
		return
	}
	delete(r.Header, "Upgrade")
}

// CheckUpgrade refuses an upgrade to websocket that is not one to every reader
// (RFC 6455, section 4.1). DropUpgrade left no other.
func CheckUpgrade(r *http.Request) error {
	if len(r.Header["Upgrade"]) == 0 {
		return nil
	}
	if r.Method != http.MethodGet || !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") || r.ContentLength != 0 {
		return ErrUpgrade
	}
	return nil
}
