package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Values of [Answer.Standing]: what a credential is good for.
const (
	StandingActive    = "active"
	StandingDisabled  = "disabled"
	StandingExpired   = "expired"
	StandingSuspended = "suspended" // its user is
	StandingRevoked   = "revoked"
	StandingMistyped  = "mistyped" // of our form, but its checksum is wrong
	StandingUnknown   = "unknown"
)

// Revocation is what the store keeps of a revoked credential.
type Revocation struct {
	KeyID     string    `json:"key_id"`
	RevokedAt time.Time `json:"revoked_at"`
	Reason    string    `json:"reason"`
}

var standings = map[keys.Standing]string{
	keys.Unknown:   StandingUnknown,
	keys.Active:    StandingActive,
	keys.Disabled:  StandingDisabled,
	keys.Suspended: StandingSuspended,
	keys.Expired:   StandingExpired,
}

// Standing returns what the key of a user is good for at a time.
func (k *Key) Standing(suspended bool, now time.Time) string {
	c := keys.Credential{Disabled: k.Disabled}
	if k.ExpiresAt != nil {
		c.ExpiresAt = *k.ExpiresAt
	}
	return standings[c.Standing(suspended, now)]
}

func readCredential(o *object) (credential string) {
	o.text("credential", &credential)
	if credential == "" {
		o.fail(refuse(CodeInvalid, "credential", "it is missing; give the whole text of the credential"))
	}
	return credential
}

// verifyKey answers what the gate would make of a credential. A credential that
// is no good is an answer, and not a failure of the call.
func (r *request) verifyKey(text string) (*Answer, error) {
	if credential.FormOf(text) == credential.Forged {
		return &Answer{Standing: StandingMistyped}, nil
	}
	digest := credential.DigestOf(text)
	answer := &Answer{Standing: StandingUnknown}
	err := r.view(func(from keys.Reader) error {
		switch stone, err := from.Tombstone(digest); {
		case err == nil:
			answer.Standing = StandingRevoked
			answer.Revocation = &Revocation{KeyID: stone.ID, RevokedAt: stone.At.UTC(), Reason: stone.Reason}
			return nil
		case !errors.Is(err, keys.ErrNotFound):
			return err
		}
		c, err := from.Credential(digest)
		if errors.Is(err, keys.ErrNotFound) {
			return nil
		}
		answer.Key = new(showKey(c))
		return err
	})
	if err != nil || answer.Key == nil {
		return answer, err
	}
	// As the gate asks, so that this says what the gate would.
	entry, err := r.api.Directory.Find(r.Context(), digest)
	if err != nil {
		return nil, err
	}
	answer.Standing = standings[r.api.Directory.Standing(entry)]
	return answer, nil
}
