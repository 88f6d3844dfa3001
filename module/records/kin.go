package records

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// kinship is how the replaced store is related to the backup.
type kinship int

const (
	// stranger is another store with other users. Only its revocations count,
	// because credentials are the same everywhere.
	stranger kinship = iota
	// related is the same store, but not a continuation of the backup: an older
	// copy, or one that another backup was restored to since. It may not know all
	// revocations since the backup.
	related
	// descendant is the continuation of the backup. It knows all revocations since
	// the backup.
	descendant
)

// Reasons why a store is not the descendant of a backup.
var (
	errOldBackup = errors.New("the backup was made by a version that left no mark of it in the key store, " +
		"so it is unknown whether the key store to replace continues the backup")
	errOtherStore = errors.New("the backup was made of another key store than the one to replace: their IDs differ, " +
		"for example because the store was lost and an empty one was made in its place")
	errNoMark = errors.New("the file is not an unchanged backup of \"store backup\" with its mark in the key store: " +
		"it was changed since, or copied by other means, or the store could not be written to")
	errUnknownBackup = errors.New("the key store to replace has no mark of the backup: it is a copy from before the backup, " +
		"or another backup was restored since")
)

// Recognise determines how the replaced store is related to a backup. It returns
// nil for a descendant, which knows all revocations since, and otherwise the reason
// why the store is not a descendant.
func (m *Merge) Recognise(backup Reader) error {
	m.from = backup
	kin, why := m.kin()
	m.kinship = kin
	return why
}

// kin returns how the replaced store is related to the backup, and for a store that
// is not its descendant, why not.
func (m *Merge) kin() (kinship, error) {
	theirs, err := storeID(m.from)
	if err != nil {
		return stranger, err
	}
	ours, err := storeID(m.Now)
	if err != nil {
		return m.unknownKin(err)
	}
	switch {
	case theirs == "":
		if continues, err := m.logHasHead(); err != nil || continues {
			return related, errors.Join(errOldBackup, err)
		}
		return stranger, errOldBackup
	case ours != theirs:
		return stranger, errOtherStore
	}
	own, err := ownMarks(m.from)
	if err != nil {
		return related, err
	}
	if len(own) == 0 {
		return related, errNoMark
	}
	for found, err := range marks.all(m.Now, nil) {
		if err != nil {
			return m.unknownKin(err)
		}
		if own[found.nonce] {
			return descendant, nil
		}
	}
	return related, errUnknownBackup
}

// unknownKin returns the kinship of a store whose ID or marks can't be read.
func (m *Merge) unknownKin(err error) (kinship, error) {
	if errors.Is(err, keys.ErrCorrupt) {
		m.Unreadable++
	}
	return related, err
}
