package portal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"
)

// once holds new secrets, such as keys, between the form that makes one and the
// page that shows it. The page shows the secret once, to the browser that sent the
// form. If the browser has dropped the page because the form was sent twice, the page
// shows the secret again, within [againLife]. Secrets are held in memory, and
// encrypted with the browser's cookie. After a restart of the server the page explains
// that the secret was not kept.
type once struct {
	mu sync.Mutex
	// held are the secrets, the oldest first.
	held []heldSecret
}

// allOnce are the held secrets of the process.
var allOnce once

const (
	// onceLife is how long a secret is held.
	onceLife = time.Minute
	// againLife is how long a secret is held after it was shown.
	againLife = 10 * time.Second
	// maxOnce and maxOnceOfUser bound the memory, in all and for a user.
	maxOnce       = 4096
	maxOnceOfUser = 16
)

// onceCookie is the name of the cookie that the held secrets of a browser are
// encrypted with.
const onceCookie = "__Secure-api-keys-once"

// heldSecret is one secret.
type heldSecret struct {
	who string
	// place identifies the page and the session that may show it.
	place  [sha256.Size]byte
	sealed []byte
	until  time.Time
	shown  bool
}

// holder is the browser that secrets are held for.
type holder struct {
	who, session string
	// cookie is the value of [onceCookie].
	cookie string
}

func (h holder) place(path string) [sha256.Size]byte {
	return [sha256.Size]byte(mac(h.session, "place", path))
}

// cipher encrypts with the cookie and the session.
func (h holder) cipher() cipher.AEAD { return cipherOf(mac(h.cookie, "held secret", h.session)) }

// cipherOf encrypts with a key of 32 bytes.
func cipherOf(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a key of another length
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // only for a block of another size
	}
	return aead
}

func mac(key, purpose, text string) []byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(purpose + "\x00" + text))
	return h.Sum(nil)
}

// hold holds a secret for a page. It replaces an earlier one of the page.
func (o *once) hold(h holder, path string, secret []byte, now time.Time) {
	place := h.place(path)
	sealed := h.cipher().Seal(nil, nil, secret, place[:]) //nolint:gosec // the cipher makes a nonce itself
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(func(s *heldSecret) bool { return s.place == place || !now.Before(s.until) })
	if own := o.indexes(h.who); len(own) >= maxOnceOfUser {
		o.held = slices.Delete(o.held, own[0], own[0]+1)
	}
	if len(o.held) >= maxOnce {
		o.held = slices.Delete(o.held, 0, 1)
	}
	o.held = append(o.held, heldSecret{who: h.who, place: place, sealed: sealed, until: now.Add(onceLife)})
	time.AfterFunc(onceLife, func() { o.forget(time.Now()) })
}

// take returns the secret of a page that hasn't shown it. It leaves the secret
// alone if the cookie is not that of its browser.
func (o *once) take(h holder, path string, now time.Time) ([]byte, bool) {
	place := h.place(path)
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.at(place, now)
	if s == nil || s.shown {
		return nil, false
	}
	secret, err := h.cipher().Open(nil, nil, s.sealed, place[:])
	if err != nil {
		return nil, false
	}
	s.shown = true
	if until := now.Add(againLife); until.Before(s.until) {
		s.until = until
	}
	time.AfterFunc(againLife, func() { o.forget(time.Now()) })
	return secret, true
}

// again lets a page show a secret that it has shown, if the secret is still held.
func (o *once) again(h holder, path string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.at(h.place(path), now); s != nil {
		s.shown = false
	}
}

// at returns the secret of a page, or nil.
func (o *once) at(place [sha256.Size]byte, now time.Time) *heldSecret {
	i := slices.IndexFunc(o.held, func(s heldSecret) bool { return s.place == place && now.Before(s.until) })
	if i < 0 {
		return nil
	}
	return &o.held[i]
}

// forget forgets the secrets whose time has passed.
func (o *once) forget(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(func(s *heldSecret) bool { return !now.Before(s.until) })
}

func (o *once) drop(which func(*heldSecret) bool) {
	o.held = slices.DeleteFunc(o.held, func(s heldSecret) bool { return which(&s) })
}

// indexes returns where the secrets of a user are, the oldest first.
func (o *once) indexes(who string) (own []int) {
	for i := range o.held {
		if o.held[i].who == who {
			own = append(own, i)
		}
	}
	return own
}

// showOnce leads to a page that shows a secret once, by [visit.takeOnce].
func (v *visit) showOnce(path string, secret any) error {
	text, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	h := v.onceHolder()
	if h.cookie == "" {
		random := make([]byte, 32)
		rand.Read(random) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
		h.cookie = base64.RawURLEncoding.EncodeToString(random)
	}
	allOnce.hold(h, path, text, time.Now())
	http.SetCookie(v.w, &http.Cookie{
		Name: onceCookie, Value: h.cookie, Path: v.portal.base, MaxAge: int(onceLife.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	return v.goTo(path, "")
}

// takeOnce reads the secret that is held for this page. It returns false if there
// is none, or none any more.
func (v *visit) takeOnce(secret any) (bool, error) {
	if v.r.Method != http.MethodGet {
		return false, nil // the answer to HEAD shows nothing
	}
	text, ok := allOnce.take(v.onceHolder(), v.path(), time.Now())
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(text, secret)
}

func (v *visit) onceHolder() holder {
	h := holder{who: v.user.ID, session: v.session}
	if c, err := v.r.Cookie(onceCookie); err == nil {
		h.cookie = c.Value
	}
	return h
}
