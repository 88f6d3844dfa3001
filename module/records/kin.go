package records

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// kinship is how the store that is replaced is related to the backup.
type kinship int

const (
	// stranger is another store. All that counts of it is what it says of
	// credentials, which are the same everywhere: its users are other people.
	stranger kinship = iota
	// related is the same store, but not what became of the backup: an older
	// copy, or one that another backup was restored to since. It may not know
	// all that was revoked since the backup.
	related
	// descendant is what became of the backup. It knows all that was revoked
	// since.
	descendant
)

// What keeps a store from being the descendant of a backup.
var (
	errOldBackup = errors.New("the backup was made by a version that left no mark of it in the key store, " +
		"so it can't be known whether the key store that is to be replaced is what became of it")
	errOtherStore = errors.New("the key store that is to be replaced is not the one that the backup was made of: their IDs differ, " +
		"as they do where the store was lost and an empty one was made in its place")
	errNoMark = errors.New("the file is not a backup as \"store backup\" leaves it, with its mark in the key store: " +
		"it was changed since, or copied by other means, or the store could not be written to")
	errUnknownBackup = errors.New("the key store that is to be replaced has no mark of the backup: it is a copy from before the backup, " +
		"or another backup was restored since")
)

// Recognise finds out how the store that is replaced is related to a backup. It
// returns why it is not what became of the backup, or nil if it is: then it
// tells what was revoked since.
func (m *Merge) Recognise(backup Reader) error {
	m.from = backup
	kin, why := m.kin()
	m.kinship = kin
	return why
}

// kin returns how the store that is replaced is related to the backup, and
// unless it is its descendant, why not.
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
		if goesOn, err := m.logHasHead(); err != nil || goesOn {
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

// unknownKin is the kinship of a store whose ID or marks can't be read.
func (m *Merge) unknownKin(err error) (kinship, error) {
	if errors.Is(err, keys.ErrCorrupt) {
		m.Unreadable++
	}
	return related, err
}
