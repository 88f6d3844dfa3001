package manage

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxGrace is more time than anyone needs to replace a key.
const maxGrace = 365 * 24 * time.Hour

// rotation describes how a key is replaced.
type rotation struct {
	grace     time.Duration // how long the old key still works
	expiresAt *time.Time    // of the new key; nil keeps that of the old key
}

func readRotation(o *object) (how rotation) {
	how.expiresAt = given(o.time, "expires_at")
	var text string
	if !o.text("grace", &text) || text == "" {
		return how
	}
	var ok bool
	how.grace, ok = parseDuration(text)
	if !ok || how.grace < 0 || how.grace > maxGrace {
		o.fail(refuse(CodeInvalid, "grace", "it has to be a time from 0s to %s, such as 24h", maxGrace))
	}
	return how
}

// endsNow reports whether the old key is revoked at once, for example because it
// leaked.
func endsNow(_ *request, how rotation) (bool, error) { return how.grace == 0, nil }

// rotateKey replaces a key with a new one.
func (r *request) rotateKey(tx *keys.Tx, how rotation) (*Answer, error) {
	old, err := r.findKeyInPath(tx)
	if err != nil {
		return nil, err
	}
	next := old
	if how.expiresAt != nil {
		next.ExpiresAt = *how.expiresAt
	}
	if next.ExpiredAt(tx.Now()) {
		return nil, refuse(CodeInvalid, "expires_at", "the key has expired, and so would its successor: give another expires_at, or create a new key")
	}
	if err := r.delegable("", &next); err != nil {
		return nil, err
	}
	text, id := credential.Mint(r.api.Brand, old.Kind)
	next, err = tx.Rotate(old.ID, keys.Rotation{Digest: credential.DigestOf(text), ID: id, Grace: how.grace, ExpiresAt: how.expiresAt})
	if err != nil {
		return nil, err
	}
	answer := &Answer{Key: new(showKey(next))}
	answer.Key.ID = text
	answer.Status.Details, err = r.warnings(tx, next)
	return answer, err
}
