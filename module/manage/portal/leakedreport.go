package portal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// leakReport is what was revoked with leaked credentials. It is read from the
// API, so that the page can be loaded again.
type leakReport struct {
	// Keys are the leaked keys, and Made the keys made with one of the leaked
	// credentials, or with one that they made.
	Keys, Made []manage.Key
	// Sessions is how many of the leaked credentials were sessions, and have ended.
	Sessions int
	// Removed are the collaborators that were added with one of them.
	Removed []removedCollaborator
}

type removedCollaborator struct{ AppID, UserID string }

func (v *visit) reportLeaked() error {
	query := v.r.URL.Query()
	ids, sessions := idsIn(query["key"]), idsIn(query["session"])
	var revoked keyList
	if err := v.read(v.portal.call, &revoked, mine("keys")+"?state=revoked&order=newest&", maxRevoked, func(*manage.Key) bool { return true }); err != nil {
		return err
	}
	report := leakReport{}
	line := map[string]bool{}
	for _, id := range slices.Concat(ids, sessions) {
		line[id] = true
	}
	// What was made later was revoked in any order, so look until nothing is new.
	for more := true; more; {
		more = false
		for _, k := range revoked.Keys {
			if line[k.CreatedBy] && !line[k.KeyID] {
				line[k.KeyID], more = true, true
			}
		}
	}
	for _, k := range revoked.Keys {
		switch {
		case slices.Contains(ids, k.KeyID):
			report.Keys = append(report.Keys, k)
		case line[k.KeyID]:
			report.Made = append(report.Made, k)
		}
	}
	if err := v.readRemoved(&report, line); err != nil {
		return err
	}
	ended, err := v.latest("session.end")
	if err != nil {
		return err
	}
	for _, e := range ended {
		if slices.Contains(sessions, e.KeyID) {
			report.Sessions++
		}
	}
	v.section = "keys"
	return v.show(http.StatusOK, "leakedreport", "What was revoked", report)
}

// readRemoved adds the collaborators that credentials of a line had added, and
// that were removed lately.
func (v *visit) readRemoved(report *leakReport, line map[string]bool) error {
	removed, err := v.latest("collaborator.remove")
	for _, e := range removed {
		var before struct {
			CreatedBy string `json:"created_by"`
		}
		if json.Unmarshal(e.Before, &before) == nil && line[before.CreatedBy] {
			report.Removed = append(report.Removed, removedCollaborator{e.AppID, e.CollaboratorID})
		}
	}
	return err
}

// latest returns the latest audit entries of an action.
func (v *visit) latest(action string) ([]manage.AuditEntry, error) {
	query := url.Values{"action": {action}, "order": {"newest"}, "per_page": {"1000"}}
	a, err := v.get(mine("audit") + "?" + query.Encode())
	if err != nil {
		return nil, err
	}
	return a.Entries, nil
}
