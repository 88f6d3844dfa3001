package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-api-keys/gateway/module/authz"
	"github.com/caddy-api-keys/gateway/module/directory"
)

// takeLimits takes the cost of an allowed request from the limits of its credential,
// unless it has done so already, and tells the client what is left. If the limits
// have changed since, the request is charged again, by the new limits.
func (q *question) takeLimits(w http.ResponseWriter, r *http.Request, v *verdict) authz.Outcome {
	if q.charge.Of(v.Credential) {
		return v.Outcome
	}
	if q.charge.Made() {
		q.charge.Undo()
	}
	if !v.Credential.Limited() {
		return v.Outcome
	}
	exceeded, err := q.lease.Charge(r.Context(), &q.charge, v.Credential, q.Rule.Costs())
	if err != nil {
		return authz.Outcome{Reason: authz.StoreUnavailable, Err: err}
	}
	if exceeded.Kind == 0 {
		q.tellLimits(w.Header(), v.Credential)
		return v.Outcome
	}
	if !q.decider.shadow {
		q.tellLimits(w.Header(), v.Credential)
	}
	return exceeds(&exceeded)
}

// release ends the charge of the request, if there is one.
func (q *question) release() {
	if q.charge.Made() {
		q.charge.Release()
	}
}

// exceeds returns the outcome of a request that exceeds a limit.
func exceeds(e *directory.Exceeded) authz.Outcome {
	o := authz.Outcome{Reason: authz.Rate, After: e.After}
	switch e.Kind {
	case directory.QuotaLimit:
		o.Reason, o.Limit = authz.Quota, "the quota of "+e.Limit
	case directory.ConcurrentLimit:
		o.Limit = "the limit of " + e.Limit + " on concurrent requests"
	default:
		o.Limit = "the rate of " + e.Limit
	}
	o.Limit += " of the " + e.Of
	if e.Plan != "" {
		o.Limit += " (plan " + e.Plan + ")"
	}
	return o
}

// The RateLimit headers (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4),
// in their canonical form.
const (
	headerPolicy = "Ratelimit-Policy"
	headerLeft   = "Ratelimit"
)

// tellLimits sets the headers for the rate with the least left and the quota with the
// least left.
func (q *question) tellLimits(h http.Header, credential *directory.Entry) {
	rate, quota := q.lease.Budgets(credential)
	var policyText, leftText [128]byte
	policies, left := policyText[:0], leftText[:0]
	for _, b := range [...]struct {
		name string
		*directory.Budget
	}{{"rate", &rate}, {"quota", &quota}} {
		if b.Most > 0 {
			policies = appendItem(policies, b.name, ";q=", b.Most, ";w=", b.Window)
			left = appendItem(left, b.name, ";r=", b.Left, ";t=", b.Reset)
		}
	}
	if len(policies) > 0 {
		q.left = [...]string{string(policies), string(left)}
		h[headerPolicy], h[headerLeft] = q.left[0:1:1], q.left[1:2:2]
	}
}

// appendItem appends an item with parameters to a list (RFC 9651, section 3.1).
func appendItem(list []byte, name, count string, n int64, time string, d time.Duration) []byte {
	if len(list) > 0 {
		list = append(list, ", "...)
	}
	list = append(append(append(list, '"'), name...), '"')
	list = strconv.AppendInt(append(list, count...), n, 10)
	return strconv.AppendInt(append(list, time...), seconds(d), 10)
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
