package gateway

import (
	"context"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-api-keys/gateway/module/gateway/wire"
	"github.com/caddy-api-keys/gateway/module/manage/portal"
)

// stripCredential removes the credential from a request before it is forwarded,
// unless the site forwards it.
func (s *Site) stripCredential(r *http.Request) {
	if s.forwardCredential {
		return
	}
	var target *url.URL
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		target = sent.URL
	}
	s.sources.Strip(r, target)
}

// dropPortalCookie removes the cookie in which the portal keeps a session.
// Browsers send it to every port of a host, so the gate of any site sees it. It
// is ours alone: no upstream gets it, in no mode and with no option.
func dropPortalCookie(h http.Header) {
	for _, line := range h["Cookie"] {
		if wire.NamesCookie(line, portal.Cookie) {
			wire.KeepCookies(h, func(pair string) bool { return !wire.NamesCookie(pair, portal.Cookie) })
			return
		}
	}
}

// sentCookies is the key of the Cookie lines that the portal's cookie was
// dropped from, for another portal further on.
type sentCookies struct{}

// withoutPortalCookie is a request to hand on behind a portal.
func withoutPortalCookie(r *http.Request) *http.Request {
	sent := r.Header["Cookie"]
	dropPortalCookie(r.Header)
	if now := r.Header["Cookie"]; len(now) > 0 && len(sent) > 0 && &now[0] == &sent[0] || len(sent) == 0 {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), sentCookies{}, sent))
}

// restoreCookies undoes withoutPortalCookie.
func restoreCookies(r *http.Request) {
	if sent, ok := r.Context().Value(sentCookies{}).([]string); ok {
		r.Header["Cookie"] = sent
	}
}
