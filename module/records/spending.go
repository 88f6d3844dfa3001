package records

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// spendings has one record for each quota that was used. Like that of activities, the
// bucket belongs to no format.
var spendings = table[keys.Spending, spendingRecord]{
	name:   "spending",
	bucket: []byte("spendings"),
	key:    func(s keys.Spending) []byte { return slices.Clone(s.Meter[:]) },
	pack: func(s keys.Spending) spendingRecord {
		return spendingRecord{Meter: s.Meter[:], Begin: int32(s.Begin), Used: s.Used}
	},
	unpack: spendingRecord.unpack,
}

type spendingRecord struct {
	Meter []byte `cbor:"1,keyasint"`
	Begin int32  `cbor:"2,keyasint"`
	Used  int64  `cbor:"3,keyasint"`
}

func (r spendingRecord) unpack() (keys.Spending, error) {
	meter, err := unpackDigest(r.Meter)
	if err == nil && r.Used < 0 {
		err = fmt.Errorf("it has used %d", r.Used)
	}
	return keys.Spending{Meter: meter, Begin: keys.Date(r.Begin), Used: r.Used}, err
}

// ApplySpendings writes the usage of quotas, for [keys.Store.Spent].
func ApplySpendings(w Writer, list []keys.Spending) (Written, error) {
	for _, s := range list {
		if err := applySpending(w, s); err != nil {
			return Written{}, err
		}
	}
	return Written{}, nil
}

func applySpending(w Writer, s keys.Spending) error {
	if s.Used == 0 {
		if err := w.Delete(spendings.bucket, s.Meter[:]); err != nil {
			return spendings.failed("deleting", err)
		}
		return nil
	}
	// A damaged record is replaced. Otherwise no later usage could be written.
	was, err := spendings.get(w, s.Meter[:])
	switch {
	case err == nil && was.Begin > s.Begin:
		return nil
	case err != nil && !errors.Is(err, keys.ErrNotFound) && !errors.Is(err, keys.ErrCorrupt):
		return err
	}
	value, err := spendings.encode(s)
	if err == nil {
		err = w.Put(spendings.bucket, spendings.key(s), value)
	}
	if err != nil {
		return spendings.failed("storing", err)
	}
	return nil
}

// spendings raises the usage of quotas to the usage that is known now, so that a
// restore gives nothing back.
func (m *Merge) spendings() error {
	if m.kinship == stranger {
		return nil
	}
	return ofCurrent(m, &spendings, func(now keys.Spending) error {
		was, err := spendings.get(m.from, now.Meter[:])
		if err != nil && !errors.Is(err, keys.ErrNotFound) && !errors.Is(err, keys.ErrCorrupt) {
			return err
		}
		if err == nil && (was.Begin > now.Begin || was.Begin == now.Begin && was.Used >= now.Used) {
			return nil
		}
		w, err := m.update()
		if err != nil {
			return err
		}
		return w.wrote(applySpending(w.w, now))
	})
}
