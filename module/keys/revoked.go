package keys

import (
	"encoding/json"
	"time"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// createdFact is the field of the audit log with the creation of a revoked
// credential. The revocation doesn't change it.
const createdFact = "created_at"

// factsOfRevoked returns the facts of a credential that is being revoked. They
// are what is shown of it as long as the audit log is kept.
func factsOfRevoked(c Credential) facts {
	f := factsOfCredential(c)
	f[createdFact] = c.CreatedAt.UTC().Format(time.RFC3339Nano)
	return f
}

// RevokedCredential returns what the audit entry of a revocation shows of the
// credential, and the reason. Entries of older versions show less, and an altered
// entry may show nothing but the IDs.
func (e *AuditEntry) RevokedCredential() (c Credential, reason string) {
	var before struct {
		Type, Description string
		Scopes, Endpoints []string
		Plan              string
		Limits            policy.Limits
		Addresses         []string
		Resources         policy.Values
		Disabled          bool
		CreatedBy         string    `json:"created_by"`
		RotatedFrom       string    `json:"rotated_from"`
		RotatedTo         string    `json:"rotated_to"`
		CreatedAt         time.Time `json:"created_at"`
		ExpiresAt         time.Time `json:"expires_at"`
	}
	var after struct{ Reason string }
	c = Credential{ID: e.KeyID, UserID: e.UserID, AppID: e.AppID, ModifiedAt: e.At, Seq: e.Seq}
	if e.AppID != "" {
		c.Kind = policy.AppKey
	} else {
		c.Kind = policy.PAT
	}
	if json.Unmarshal(e.Before, &before) == nil {
		if kind, err := policy.ParseKind(before.Type); err == nil {
			c.Kind = kind
		}
		c.Description, c.Scopes, c.Endpoints, c.Disabled = before.Description, before.Scopes, before.Endpoints, before.Disabled
		c.Plan, c.Limits, c.Resources = before.Plan, before.Limits, before.Resources
		if list, err := policy.ParseAddresses(before.Addresses); err == nil {
			c.Addresses = list
		}
		c.RotatedFrom, c.RotatedTo = before.RotatedFrom, before.RotatedTo
		c.CreatedBy, c.CreatedAt, c.ExpiresAt = before.CreatedBy, before.CreatedAt, before.ExpiresAt
	}
	if json.Unmarshal(e.After, &after) == nil {
		reason = after.Reason
	}
	return c, reason
}
