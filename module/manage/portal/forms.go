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

// forms makes and takes one-time tokens. A form comes back with the token it
// was made with, once: one that is sent again, by the browser or by somebody
// who has kept it, does nothing. Tokens are bound to the session, so that none
// serves in another's form.
type forms struct {
	mu   sync.Mutex
	used map[[nonceSize]byte]time.Time
	// cleared is when old ones were last taken out.
	cleared time.Time
}

// allForms are those of the process: a form that was used stays so when the
// configuration is loaded again, because the session that it is bound to lives
// on.
var allForms forms

const (
	nonceSize = 16
	// formLife is how long a page may stand open before its form is sent.
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

// take reports whether a token is one of the session's that has not been used,
// and uses it, if it is to be.
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

// clear forgets those that are too old to be taken anyway.
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
