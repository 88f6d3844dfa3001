package records

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// activities have one record for each credential, with all of its days: a
// record for each day would repeat the digest. Its bucket belongs to no format.
// A store has it from the first activity on, so none needs an upgrade.
var activities = table[keys.KeyActivity, activityRecord]{
	name:   "activity",
	bucket: []byte("activity"),
	key:    func(a keys.KeyActivity) []byte { return slices.Clone(a.Digest[:]) },
	pack:   packActivity,
	unpack: activityRecord.unpack,
}

// activityRecord has the causes of all days once. A day refers to them by their
// place.
type activityRecord struct {
	Digest []byte        `cbor:"1,keyasint"`
	Causes []causeRecord `cbor:"2,keyasint,omitempty"`
	Days   []dayRecord   `cbor:"3,keyasint"`
}

type causeRecord struct {
	_         struct{} `cbor:",toarray"`
	Reason    string
	Scopes    string
	Endpoints string
}

type dayRecord struct {
	_       struct{} `cbor:",toarray"`
	Date    int32
	Allowed uint64
	// Refused has a place and a count in turn.
	Refused []uint64
}

func packActivity(a keys.KeyActivity) activityRecord {
	r := activityRecord{Digest: a.Digest[:]}
	causes := a.Causes()
	for _, c := range causes {
		r.Causes = append(r.Causes, causeRecord{Reason: c.Reason, Scopes: c.Scopes, Endpoints: c.Endpoints})
	}
	for _, d := range a.Activity {
		day := dayRecord{Date: int32(d.Date), Allowed: d.Allowed}
		for place, cause := range causes {
			if n := d.Refused[cause]; n > 0 {
				day.Refused = append(day.Refused, uint64(place), n)
			}
		}
		r.Days = append(r.Days, day)
	}
	return r
}

func (r activityRecord) unpack() (keys.KeyActivity, error) {
	digest, err := unpackDigest(r.Digest)
	if err != nil {
		return keys.KeyActivity{}, err
	}
	a := keys.KeyActivity{Digest: digest}
	for _, day := range r.Days {
		if n := len(a.Activity); n > 0 && a.Activity[n-1].Date >= keys.Date(day.Date) {
			return keys.KeyActivity{}, fmt.Errorf("its days are not in order: %s", keys.Date(day.Date))
		}
		d := keys.Day{Date: keys.Date(day.Date), Allowed: day.Allowed}
		if d.Refused, err = day.refused(r.Causes); err != nil {
			return keys.KeyActivity{}, err
		}
		a.Activity = append(a.Activity, d)
	}
	return a, nil
}

// refused returns the refused requests by cause.
func (r dayRecord) refused(causes []causeRecord) (map[keys.Cause]uint64, error) {
	if len(r.Refused) == 0 {
		return nil, nil
	}
	refused := map[keys.Cause]uint64{}
	for pair := range slices.Chunk(r.Refused, 2) {
		if len(pair) < 2 || pair[0] >= uint64(len(causes)) || pair[1] == 0 {
			return nil, errors.New("its refused requests can't be counted")
		}
		c := causes[pair[0]]
		cause := keys.Cause{Reason: c.Reason, Scopes: c.Scopes, Endpoints: c.Endpoints}
		if refused[cause] != 0 {
			return nil, fmt.Errorf("it has the cause %s twice", c.Reason)
		}
		refused[cause] = pair[1]
	}
	return refused, nil
}

// applyActivity adds the activity of a use, and removes what is too old.
func applyActivity(w Writer, use keys.Use) error {
	if len(use.Activity) == 0 && use.Today == 0 {
		return nil
	}
	a, err := activities.get(w, use.Digest[:])
	if err != nil && !errors.Is(err, keys.ErrNotFound) && !errors.Is(err, keys.ErrCorrupt) {
		return err
	}
	// Counts begin again in place of a damaged record. It would otherwise keep
	// every later use from being written.
	a.Digest = use.Digest
	a.Add(use.Activity)
	if use.Today != 0 {
		a.Activity = a.Recent(use.Today)
	}
	if len(a.Activity) == 0 {
		return deleteActivity(w, use.Digest)
	}
	value, err := activities.encode(a)
	if err == nil {
		err = w.Put(activities.bucket, activities.key(a), value)
	}
	if err != nil {
		return activities.failed("storing", err)
	}
	return nil
}

// deleteActivity deletes the activity of a credential, even if it is damaged:
// nothing may keep a credential from being revoked.
func deleteActivity(w Writer, d credential.Digest) error {
	if err := w.Delete(activities.bucket, d[:]); err != nil {
		return activities.failed("deleting", err)
	}
	return nil
}
