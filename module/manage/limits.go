package manage

import (
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// LimitUse is one set of limits that applies to a key, and how much of each limit is
// used. The fields of a limit that isn't set are absent. In a fleet, RateLeft and Live
// are those of the node that answers, and QuotaUsed includes the allotments that other
// nodes hold.
type LimitUse struct {
	// Of is the level of the limits: key, app or user.
	Of string `json:"of"`
	// Plan is the plan that the limits come from. It is empty for a key's own limits.
	Plan string `json:"plan,omitempty"`

	Rate policy.Rate `json:"rate,omitzero"`
	// RateLeft is how many requests may be made at once now.
	RateLeft *int64       `json:"rate_left,omitempty"`
	Quota    policy.Quota `json:"quota,omitzero"`
	// QuotaUsed is how much of the quota is used. At QuotaEndsAt, the next window
	// begins, in which nothing is used.
	QuotaUsed   *int64     `json:"quota_used,omitempty"`
	QuotaEndsAt *time.Time `json:"quota_ends_at,omitempty"`
	Concurrent  int        `json:"concurrent,omitempty"`
	// Live is how many requests are live.
	Live *int64 `json:"live,omitempty"`
}

// listLimits answers the limits of a key, and how much of each is used.
func (r *request) listLimits() (*Answer, error) {
	var c keys.Credential
	err := r.view(func(from keys.Reader) (err error) {
		c, err = r.findKeyInPath(from)
		return err
	})
	if err != nil {
		return nil, err
	}
	entry, err := r.api.Directory.Find(r.Context(), c.Digest)
	if err != nil {
		return nil, err
	}
	if !entry.Exists() {
		return nil, refuse(CodeNotFound, "key_id", "there is no such key, or it was revoked")
	}
	answer := &Answer{LimitUses: []LimitUse{}}
	for _, use := range r.api.Directory.LimitsOf(entry) {
		answer.LimitUses = append(answer.LimitUses, showLimitUse(use))
	}
	return answer, nil
}

func showLimitUse(use directory.LimitUse) LimitUse {
	shown := LimitUse{Of: use.Of, Plan: use.Plan, Rate: use.Rate, Quota: use.Quota, Concurrent: use.Concurrent}
	if use.Rate != (policy.Rate{}) {
		shown.RateLeft = &use.RateLeft
	}
	if use.Quota != (policy.Quota{}) {
		shown.QuotaUsed, shown.QuotaEndsAt = &use.Used, &use.Ends
	}
	if use.Concurrent != 0 {
		shown.Live = &use.Live
	}
	return shown
}
