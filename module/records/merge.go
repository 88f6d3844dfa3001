package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// LostText explains lost revocations, and how to accept them.
const LostText = "the revocations since the backup are unknown: " +
	"to restore it nevertheless, give --accept-lost-revocations; then keys that were revoked since work until you revoke them again"

// ErrUnreadable is returned if the replaced store can't be read.
var ErrUnreadable = errors.New("the key store to replace can't be read, and " + LostText)

// Counts counts the records of the backup that a restore left out or narrowed
// because of later changes, and the later records that are gone.
type Counts struct {
	UsersDeleted          int `json:"users_deleted"`
	UsersChanged          int `json:"users_changed"` // suspension, e-mail address, password, second factor
	AppsDeleted           int `json:"apps_deleted"`  // of deleted users
	AppsReturned          int `json:"apps_returned"` // deleted since; they exist again without keys or collaborators
	KeysRevoked           int `json:"keys_revoked"`
	KeysNarrowed          int `json:"keys_narrowed"`
	CollaboratorsRemoved  int `json:"collaborators_removed"`
	CollaboratorsNarrowed int `json:"collaborators_narrowed"`
	SessionsEnded         int `json:"sessions_ended"`
	TombstonesAdded       int `json:"tombstones_added"`
	UsersGone             int `json:"users_gone"` // made since the backup
	KeysGone              int `json:"keys_gone"`  // made since the backup
	Unreadable            int `json:"unreadable"` // accepted unreadable records of the replaced file
}

// Merge applies later restrictions to a copy of a backup. It removes deleted users
// with everything they owned, revoked keys and removed collaborators, and narrows
// what was narrowed since. A record that differs between the stores gets the version
// after both, so that a change based on either version is refused.
type Merge struct {
	// Now is the replaced store, or nil if it can't be read.
	Now Reader
	// AcceptLost skips unreadable records of Now.
	AcceptLost bool

	// BackupAt is when the backup was last written to.
	BackupAt time.Time
	// At is the time of the merge.
	At time.Time
	Counts
	// Notices are further messages for the operator.
	Notices []string

	kinship kinship
	ctx     context.Context
	from    Reader
	next    func() (Writer, error)
}

// Run merges a backup into the copy that next returns. It calls next for each
// record, so that one revision need not have all changes.
func (m *Merge) Run(ctx context.Context, from Reader, next func() (Writer, error)) error {
	m.ctx, m.from, m.next = ctx, from, next
	if err := m.times(); err != nil {
		return err
	}
	for _, step := range []func() error{
		m.revocations, m.retirements, m.emails, m.users, m.apps, m.credentials, m.collaborators, m.spendings, m.gone, m.sequences, m.auditLog,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	w, err := m.next()
	if err != nil {
		return err
	}
	_, err = Apply(w, keys.MinWrites, func(w keys.Writer) error {
		return keys.RecordRestore(w, m.At, struct {
			BackupAt time.Time `json:"backup_at"`
			Counts
		}{m.BackupAt, m.Counts})
	})
	return err
}

// update returns the copy of the backup for writing the next record.
func (m *Merge) update() (*update, error) {
	w, err := m.next()
	if err != nil {
		return nil, err
	}
	return newUpdate(w), nil
}

// times sets the time of the merge.
func (m *Merge) times() error {
	last, err := NewView(m.from).LastWrite()
	if err != nil {
		return err
	}
	m.BackupAt, m.At = last, time.Now()
	if m.Now != nil {
		now, err := NewView(m.Now).LastWrite()
		if err != nil && !m.passOver(err) {
			return unreadable(err)
		}
		if now.After(last) {
			last = now
		}
	}
	// The time never goes back behind the last write of either file. If the clock is
	// far ahead of that, the operator has to accept it.
	if err := keys.ClockAhead(m.At, last); err != nil {
		m.Notices = append(m.Notices, err.Error())
		m.At = last
	} else if last.After(m.At) {
		m.At = last
	}
	return nil
}

// passOver reports whether to skip an unreadable record of the replaced file,
// because the operator accepted that. It counts the record.
func (m *Merge) passOver(err error) bool {
	if !m.AcceptLost || !errors.Is(err, keys.ErrCorrupt) {
		return false
	}
	m.Unreadable++
	return true
}

// unreadable returns the error that ends a restore at an unreadable record.
func unreadable(err error) error {
	if errors.Is(err, keys.ErrCorrupt) {
		return fmt.Errorf("%w (%w)", ErrUnreadable, err)
	}
	return err
}

// current reads a record of the replaced file.
func current[R, S any](m *Merge, t *table[R, S], key []byte) (record R, there bool, err error) {
	if m.Now == nil {
		return record, false, nil
	}
	record, err = t.get(m.Now, key)
	if err == nil {
		return record, true, nil
	}
	if errors.Is(err, keys.ErrNotFound) || m.passOver(err) {
		return record, false, nil
	}
	return record, false, unreadable(err)
}

// currentOf is current for records with user IDs as keys. It ignores those of a
// stranger, which concern other people.
func currentOf[R, S any](m *Merge, t *table[R, S], key []byte) (record R, there bool, err error) {
	if m.kinship == stranger {
		return record, false, nil
	}
	return current(m, t, key)
}

// walk reads every record of a table. It calls broken for unreadable records.
func walk[R, S any](ctx context.Context, r Reader, t *table[R, S], broken func(error) error, each func(R) error) error {
	if r == nil {
		return nil
	}
	for key, value := range entries(r, t.bucket, nil) {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, err := t.decode(key, value)
		if err == nil {
			err = each(record)
		} else {
			err = broken(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ofCurrent walks a table of the replaced file.
func ofCurrent[R, S any](m *Merge, t *table[R, S], each func(R) error) error {
	return walk(m.ctx, m.Now, t, func(err error) error {
		if m.passOver(err) {
			return nil
		}
		return unreadable(err)
	}, each)
}

// ofBackup walks a table of the backup, which was checked before.
func ofBackup[R, S any](m *Merge, t *table[R, S], each func(R) error) error {
	return walk(m.ctx, m.from, t, func(err error) error { return err }, each)
}

// later reports whether the current record is at least as new as the backup's. For
// a descendant it always is, whatever the clock said.
func (m *Merge) later(current, backup time.Time, version, backupVersion uint64) bool {
	return m.kinship == descendant || current.After(backup) || current.Equal(backup) && version >= backupVersion
}

// gone counts the users and keys that were made since the backup and are lost.
func (m *Merge) gone() error {
	err := ofCurrent(m, &users, func(u keys.User) error {
		if !has(m.from, users.bucket, []byte(u.ID)) {
			m.UsersGone++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ofCurrent(m, &credentials, func(c keys.Credential) error {
		if c.Kind != policy.Session && !has(m.from, credentials.bucket, c.Digest[:]) {
			m.KeysGone++
		}
		return nil
	})
}

// sequences continues the numbers of both files, so that no number is given twice
// and a client that continues a list from before the restore misses nothing.
func (m *Merge) sequences() error {
	if m.Now == nil {
		return nil
	}
	w, err := m.next()
	if err != nil {
		return err
	}
	for _, name := range [][]byte{users.bucket, apps.bucket, credentials.bucket, collaborators.bucket, revisionKey} {
		now, err := readSequence(m.Now, name)
		if err != nil && !m.passOver(err) {
			return unreadable(err)
		}
		if last, err := readSequence(w, name); err != nil {
			return err
		} else if now <= last {
			continue
		}
		if err := writeSequence(w, name, now); err != nil {
			return err
		}
	}
	return nil
}
