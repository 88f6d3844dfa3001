package manage

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Session is a session as the API shows one.
type Session struct {
	ID        string    `json:"id"` // the public id
	UserID    string    `json:"user_id"`
	CreatedAt time.Time `json:"created_at"`
	// From is the address that it was begun from.
	From string `json:"from"`
	// LastUsedAt is when it was last used, to the minute, and LastUsedFrom the
	// address, where it ever was.
	LastUsedAt   *time.Time `json:"last_used_at,omitempty"`
	LastUsedFrom string     `json:"last_used_from,omitempty"`
	// ExpiresAt is when it ends at the latest; IdleUntil when it does unless
	// it is used before.
	ExpiresAt time.Time `json:"expires_at"`
	IdleUntil time.Time `json:"idle_until"`
	// Current says that it is the one of this call.
	Current bool `json:"current"`
}

// over says that the session is no good any more.
func (s *Session) over(now time.Time) bool {
	return !s.ExpiresAt.After(now) || !s.IdleUntil.After(now)
}

// readSession shows a session, with when it was last used.
func (r *request) readSession(from keys.Reader, c keys.Credential) (Session, error) {
	s := Session{
		ID: c.ID, UserID: c.UserID, CreatedAt: c.CreatedAt.UTC(), From: c.Address,
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

// listSessions lists those that are good.
func (r *request) listSessions() (*Answer, error) {
	p, err := r.listing()
	if err != nil {
		return nil, err
	}
	answer := &Answer{}
	err = r.view(func(from keys.Reader) error {
		if _, err := r.findUser(from); err != nil {
			return err
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
		answer.Sessions, answer.Next = show(found, func(c keys.Credential) Session { return shown[c.ID] }), next
		return errors.Join(err, failed)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// endSessions ends a user's sessions: those that are named, or where none is,
// all but the one of this call.
func (r *request) endSessions() (*Answer, error) {
	ids, err := r.sessionIDs()
	if err != nil {
		return nil, err
	}
	answer := &Answer{}
	err = r.withdraw(func(tx *keys.Tx) (err error) {
		answer.SessionIDs = []string{}
		if _, err := r.findUser(tx); err != nil {
			return err
		}
		if ids == nil {
			ended, err := tx.EndSessions(r.user(), "ended", func(c *keys.Credential) bool { return c.Digest != r.caller.Digest })
			answer.SessionIDs = append(answer.SessionIDs, ended...)
			return err
		}
		var once onceEach
		for i, id := range ids {
			field := fmt.Sprintf("ids[%d]", i)
			if err := once.add(field, id); err != nil {
				return err
			}
			c, err := tx.CredentialByID(id)
			if errors.Is(err, keys.ErrNotFound) || err == nil && (c.Kind != policy.Session || c.UserID != r.user()) {
				return refuse(CodeNotFound, field, "this user has no such session, or it has ended; none was ended now")
			}
			if err == nil {
				err = tx.Revoke(id, "ended")
			}
			if err != nil {
				return err
			}
			answer.SessionIDs = append(answer.SessionIDs, id)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// sessionIDs reads the ids of sessions; nil is no list.
func (r *request) sessionIDs() ([]string, error) {
	o, err := r.optionalBody()
	if err != nil {
		return nil, err
	}
	ids, given := list[string](o, "ids", "a list of texts")
	if given && len(ids) == 0 {
		o.fail(refuse(CodeInvalid, "ids", "name at least one, or leave it out to end all but the session of this call"))
	}
	return ids, o.end()
}
