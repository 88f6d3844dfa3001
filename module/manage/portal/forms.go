package portal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

// forms makes and checks the one-time tokens of forms. A form that is sent a second
// time, by the browser or from a copy, does nothing. Tokens are bound to the
// session, so that none works in another session's form.
type forms struct {
	mu   sync.Mutex
	used map[[nonceSize]byte]time.Time
	// cleared is when old tokens were last removed.
	cleared time.Time
}

// allForms are the forms of the process. A used token stays used when the
// configuration is loaded again, because its session lives on.
var allForms forms

const (
	nonceSize = 16
	// formLife is how long a page may be open before its form is sent.
	formLife = 2 * time.Hour
)

// make makes a token for a form of a session.
func (f *forms) make(session string) string {
	token := make([]byte, nonceSize, nonceSize+8+sha256.Size)
	rand.Read(token) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	token = binary.BigEndian.AppendUint64(token, uint64(time.Now().Unix()))
	return base64.RawURLEncoding.EncodeToString(append(token, sealed(session, token)...))
}

func sealed(session string, token []byte) []byte {
	h := hmac.New(sha256.New, []byte(session))
	h.Write(token)
	return h.Sum(nil)
}

// take reports whether a token belongs to the session and is unused. If use is
// true, it marks the token as used.
func (f *forms) take(session, text string, use bool) bool {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) != nonceSize+8+sha256.Size {
		return false
	}
	body := token[:nonceSize+8]
	if !hmac.Equal(token[nonceSize+8:], sealed(session, body)) {
		return false
	}
	now, made := time.Now(), time.Unix(int64(binary.BigEndian.Uint64(body[nonceSize:])), 0)
	if now.Sub(made) > formLife {
		return false
	}
	nonce := [nonceSize]byte(body[:nonceSize])
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, used := f.used[nonce]; used {
		return false
	}
	if use {
		f.clear(now)
		f.used[nonce] = made
	}
	return true
}

// spent reports whether a token was used already.
func (f *forms) spent(text string) bool {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) < nonceSize {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, used := f.used[[nonceSize]byte(token[:nonceSize])]
	return used
}

// clear forgets tokens that have expired anyway.
func (f *forms) clear(now time.Time) {
	if f.used == nil {
		f.used = map[[nonceSize]byte]time.Time{}
	}
	if now.Sub(f.cleared) < time.Minute {
		return
	}
	f.cleared = now
	for nonce, made := range f.used {
		if now.Sub(made) > formLife {
			delete(f.used, nonce)
		}
	}
}
