package manage

import (
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Session is a session in the API's form.
type Session struct {
	ID        string    `json:"id"`
	UserID    string    `json:"user_id"`
	CreatedAt time.Time `json:"created_at"`
	// From is the address of the sign-in, and so is Address.
	From    string `json:"from"`
	Address string `json:"address"`
	// UserAgent is the program that signed in, as it named itself.
	UserAgent string `json:"user_agent,omitempty"`
	// LastUsedAt is the minute of the last use, and LastUsedFrom its address, if
	// it was used.
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
	LastUsedFrom string     `json:"last_used_from,omitempty"`
	// ExpiresAt is the latest end of the session. IdleUntil is its end unless it is
	// used before.
	ExpiresAt time.Time `json:"expires_at"`
	IdleUntil time.Time `json:"idle_until"`
	// Current marks the session of this call.
	Current bool `json:"current"`
}

// longestUserAgent is how much of a program's name a session keeps, in bytes.
const longestUserAgent = 256

// userAgent returns the name that the client gives itself, cut to a bounded length
// and without characters that don't print.
func (r *request) userAgent() string {
	name := r.UserAgent()
	name = strings.ToValidUTF8(name[:min(len(name), longestUserAgent)], "")
	return strings.TrimSpace(strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, name))
}

// over reports whether the session has ended.
func (s *Session) over(now time.Time) bool {
	return !s.ExpiresAt.After(now) || !s.IdleUntil.After(now)
}

// readSession returns a session with its last use.
func (r *request) readSession(from keys.Reader, c keys.Credential) (Session, error) {
	s := Session{
		ID: c.ID, UserID: c.UserID, CreatedAt: c.CreatedAt.UTC(), From: c.Address,
		Address: c.Address, UserAgent: c.UserAgent,
		ExpiresAt: c.ExpiresAt.UTC(), IdleUntil: c.ExpiresAt.UTC(), Current: c.Digest == r.caller.Digest,
	}
	seen := c.CreatedAt
	last, err := r.api.Directory.LastUsed(from, c.Digest)
	switch {
	case err == nil:
		s.LastUsedAt, s.LastUsedFrom = &last.At, last.Address
		if last.At.After(seen) {
			seen = last.At
		}
	case !errors.Is(err, keys.ErrNotFound):
		return s, err
	}
	if end := seen.Add(c.Idle).UTC(); c.Idle > 0 && end.Before(s.IdleUntil) {
		s.IdleUntil = end
	}
	return s, nil
}

// listSessions lists the sessions that have not ended.
func (r *request) listSessions(from keys.Reader, p page) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	shown := map[string]Session{}
	var failed error
	found, next, err := take(from.Sessions(r.user(), p.after), p, seqOfKey, func(c keys.Credential) bool {
		if failed != nil {
			return false
		}
		s, err := r.readSession(from, c)
		failed = err
		shown[c.ID] = s
		return err == nil && !s.over(r.api.Directory.Now())
	})
	sessions := show(found, func(c keys.Credential) Session { return shown[c.ID] })
	return &Answer{Sessions: sessions, Next: next}, errors.Join(err, failed)
}

// readSessionIDs reads the IDs of sessions; nil means no list.
func readSessionIDs(o *object) []string {
	ids, given := list[string](o, "ids", "a list of texts")
	if given && len(ids) == 0 {
		o.fail(refuse(CodeInvalid, "ids", "name at least one, or leave it out to end all sessions except that of this call"))
	}
	return ids
}

// endSessions ends the named sessions of a user, or without a list all of them
// except the one of this call.
func (r *request) endSessions(tx *keys.Tx, ids []string) (*Answer, error) {
	if _, err := r.findUser(tx); err != nil {
		return nil, err
	}
	answer := &Answer{SessionIDs: []string{}}
	if ids == nil {
		ended, err := tx.EndSessions(r.user(), "ended", func(c *keys.Credential) bool { return c.Digest != r.caller.Digest })
		answer.SessionIDs = append(answer.SessionIDs, ended...)
		return answer, err
	}
	var once onceEach
	for i, id := range ids {
		if err := once.add(idField(i), id); err != nil {
			return nil, err
		}
		c, err := tx.CredentialByID(id)
		if errors.Is(err, keys.ErrNotFound) || err == nil && (c.Kind != policy.Session || c.UserID != r.user()) {
			return nil, refuse(CodeNotFound, idField(i), "this user has no such session, or it has ended; none was ended now")
		}
		if err == nil {
			err = tx.Revoke(id, "ended")
		}
		if err != nil {
			return nil, err
		}
		answer.SessionIDs = append(answer.SessionIDs, id)
	}
	return answer, nil
}
