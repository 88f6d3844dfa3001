package manage

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Values of [Answer.Standing], the state of a credential.
const (
	StandingActive    = "active"
	StandingDisabled  = "disabled"
	StandingExpired   = "expired"
	StandingSuspended = "suspended" // the user is suspended
	StandingRevoked   = "revoked"
	StandingMistyped  = "mistyped" // of our form, but with a wrong checksum
	StandingUnknown   = "unknown"
)

// Revocation is the store's record of a revoked credential.
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

func readCredential(o *object) (credential string) {
	o.text("credential", &credential)
	if credential == "" {
		o.fail(refuse(CodeInvalid, "credential", "it is missing; give the whole text of the credential"))
	}
	return credential
}

// verifyKey answers whether the gate would accept a credential. A refusal is an
// answer, not a failure of the call.
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
	// Ask like the gate, so that the answer is the gate's.
	entry, err := r.api.Directory.Find(r.Context(), digest)
	if err != nil {
		return nil, err
	}
	answer.Standing = standings[r.api.Directory.Standing(entry)]
	return answer, nil
}
