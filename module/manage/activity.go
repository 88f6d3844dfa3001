package manage

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Activity counts the requests that presented a key in the last days, which are at
// most [keys.ActivityDays]. Days are in UTC. A request counts at most half a minute
// after it was made. A server that is killed loses the counts of that time.
type Activity struct {
	KeyID string `json:"key_id"`
	// From and To are the first and the last day, such as 2026-11-29.
	From string `json:"from"`
	To   string `json:"to"`
	// Allowed and Refused are the numbers of requests on all days. A request that
	// was forwarded and refused while it was served is both.
	Allowed uint64 `json:"allowed"`
	Refused uint64 `json:"refused"`
	// Days has every day, the oldest first.
	Days []ActivityDay `json:"days"`
	// Refusals are the refused requests of all days, the most frequent first.
	Refusals []RefusedRequests `json:"refusals"`
}

// ActivityDay is what became of the requests of one day.
type ActivityDay struct {
	Date     string            `json:"date"`
	Allowed  uint64            `json:"allowed"`
	Refused  uint64            `json:"refused"`
	Refusals []RefusedRequests `json:"refusals"`
}

// RefusedRequests counts requests that were refused for one reason.
type RefusedRequests struct {
	// Reason is the reason of the decision, such as scopes or expired.
	Reason string `json:"reason"`
	// MissingScopes and MissingEndpoints are what the key lacked.
	MissingScopes    []string `json:"missing_scopes,omitempty"`
	MissingEndpoints []string `json:"missing_endpoints,omitempty"`
	// Other is true if these requests lacked various scopes or endpoints, which
	// are too many to be told apart.
	Other bool   `json:"other,omitempty"`
	Count uint64 `json:"count"`
	// LastDate is the day of the last of them.
	LastDate string `json:"last_date"`
}

// readDays reads the number of days from the query.
func (r *request) readDays(days *int) error {
	*days = keys.ActivityDays
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(CodeInvalid, "", "the query can't be read; it may have days")
	}
	if !query.Has("days") {
		return nil
	}
	*days, err = strconv.Atoi(query.Get("days"))
	if err != nil || *days < 1 || *days > keys.ActivityDays || len(query["days"]) > 1 {
		return refuse(CodeInvalid, "days", "it has to be one number from 1 to %d", keys.ActivityDays)
	}
	return nil
}

// getActivity answers what a key was used for in the last days.
func (r *request) getActivity(from keys.Reader, days int) (*Answer, error) {
	c, err := r.findKeyInPath(from)
	if err != nil {
		return nil, err
	}
	counted, err := from.Activity(c.Digest)
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return nil, err
	}
	return &Answer{Activity: showActivity(c.ID, counted, keys.DateOf(r.api.Directory.Now()), days)}, nil
}

func showActivity(id string, counted keys.Activity, today keys.Date, days int) *Activity {
	first := today - keys.Date(days) + 1
	shown := &Activity{KeyID: id, From: first.String(), To: today.String(), Days: make([]ActivityDay, days)}
	for i := range shown.Days {
		shown.Days[i] = ActivityDay{Date: (first + keys.Date(i)).String(), Refusals: []RefusedRequests{}}
	}
	var all keys.Activity
	last := map[keys.Cause]keys.Date{}
	for _, d := range counted {
		if d.Date < first || d.Date > today {
			continue
		}
		day := &shown.Days[d.Date-first]
		day.Allowed, day.Refused, day.Refusals = d.Allowed, d.AllRefused(), showRefusals(d, func(keys.Cause) keys.Date { return d.Date })
		for cause := range d.Refused {
			last[cause] = d.Date
		}
		d.Date = today
		all.Add(keys.Activity{d})
	}
	total := keys.Day{}
	if len(all) > 0 {
		total = all[0]
	}
	shown.Allowed, shown.Refused = total.Allowed, total.AllRefused()
	shown.Refusals = showRefusals(total, func(c keys.Cause) keys.Date { return last[c] })
	return shown
}

// showRefusals lists the refused requests of a day, the most frequent first.
func showRefusals(d keys.Day, last func(keys.Cause) keys.Date) []RefusedRequests {
	shown := []RefusedRequests{}
	for _, cause := range (keys.Activity{d}).Causes() {
		r := RefusedRequests{Reason: cause.Reason, Count: d.Refused[cause], LastDate: last(cause).String()}
		if r.Other = cause.Scopes == keys.OtherLack; !r.Other {
			r.MissingScopes, r.MissingEndpoints = namesIn(cause.Scopes), namesIn(cause.Endpoints)
		}
		shown = append(shown, r)
	}
	slices.SortStableFunc(shown, func(a, b RefusedRequests) int { return cmp.Compare(b.Count, a.Count) })
	return shown
}

// namesIn returns the names in a list that spaces separate, and nil for none.
func namesIn(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Fields(list)
}
