package portal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// forms makes and checks the one-time tokens of forms, and remembers how the forms
// ended. A form that is sent a second time, by the browser or from a copy, does
// nothing more. Tokens are bound to the session, so that none works in another
// session's form.
type forms struct {
	mu   sync.Mutex
	sent map[formID]*submission
	// ofUser has the remembered forms of each user, the oldest first.
	ofUser map[string][]formID
	// cleared is when old submissions were last removed.
	cleared time.Time
}

// allForms are the forms of the process. A used token stays used when the
// configuration is loaded again, because its session lives on.
var allForms forms

const (
	nonceSize = 16
	// formLife is how long a page may be open before its form is sent.
	formLife = 2 * time.Hour
	// maxFormsOfUser and maxEnding bound the memory that a user can take: how many
	// forms are remembered, and how many bytes each ending may have.
	maxFormsOfUser = 256
	maxEnding      = 8 << 10
)

// formID identifies a form.
type formID [nonceSize]byte

// submission is the first time that a form was sent.
type submission struct {
	// content is the digest of what was sent.
	content [sha256.Size]byte
	until   time.Time
	// done is closed once the form is handled. The other fields are final then.
	done chan struct{}
	// free is true if nothing was done, so the form can be sent again.
	free bool
	// ending is the encrypted [ending].
	ending []byte
	// failure is why it is unknown whether the change was made.
	failure error
}

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

// check returns the form of a token, and whether the token belongs to the session
// and has not expired.
func (f *forms) check(session, text string) (formID, bool) {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(token) != nonceSize+8+sha256.Size {
		return formID{}, false
	}
	body := token[:nonceSize+8]
	made := time.Unix(int64(binary.BigEndian.Uint64(body[nonceSize:])), 0)
	if !hmac.Equal(token[nonceSize+8:], sealed(session, body)) || time.Since(made) > formLife {
		return formID{}, false
	}
	return formID(body[:nonceSize]), true
}

// unused reports whether a token belongs to the session and its form was not sent.
func (f *forms) unused(session, text string) bool {
	id, ok := f.check(session, text)
	return ok && !f.has(id)
}

// spent reports whether the form of a token was sent already.
func (f *forms) spent(text string) bool {
	token, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(token) >= nonceSize && f.has(formID(token[:nonceSize]))
}

func (f *forms) has(id formID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent[id] != nil
}

// begin notes that a form was sent. It returns the first submission, and whether
// this is the first. The first one must be ended.
func (f *forms) begin(id formID, content [sha256.Size]byte, life time.Duration) (*submission, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sent[id]; s != nil {
		return s, false
	}
	now := time.Now()
	f.clear(now)
	s := &submission{content: content, until: now.Add(life), done: make(chan struct{})}
	f.sent[id] = s
	return s, true
}

// end ends the first submission of a form. The submission is remembered for its user,
// unless it has no life or did nothing.
func (f *forms) end(id formID, s *submission, user string) {
	defer close(s.done)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sent[id] != s {
		return
	}
	if s.free || !time.Now().Before(s.until) {
		delete(f.sent, id)
		return
	}
	own := append(f.ofUser[user], id)
	if len(own) > maxFormsOfUser {
		delete(f.sent, own[0])
		own = own[1:]
	}
	f.ofUser[user] = own
}

// clear forgets submissions of tokens that have expired anyway.
func (f *forms) clear(now time.Time) {
	if f.sent == nil {
		f.sent, f.ofUser = map[formID]*submission{}, map[string][]formID{}
	}
	if now.Sub(f.cleared) < time.Minute {
		return
	}
	f.cleared = now
	for id, s := range f.sent {
		if now.After(s.until) {
			delete(f.sent, id)
		}
	}
	for user, own := range f.ofUser {
		own = slices.DeleteFunc(own, func(id formID) bool { return f.sent[id] == nil })
		if f.ofUser[user] = own; len(own) == 0 {
			delete(f.ofUser, user)
		}
	}
}
