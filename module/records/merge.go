package records

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// LostText says what can't be known of a store that is replaced, and how to
// accept that.
const LostText = "what was revoked since the backup can't be known: " +
	"with --accept-lost-revocations it is restored all the same, and keys that were revoked since then work again until you revoke them"

// ErrUnreadable is returned where the store that is replaced can't be read.
var ErrUnreadable = errors.New("the key store that is to be replaced can't be read, and " + LostText)

// Counts says how much of the backup a restore left out or narrowed, for it
// was taken away since, and how much that came since is gone.
type Counts struct {
	UsersDeleted          int `json:"users_deleted"`
	UsersChanged          int `json:"users_changed"` // suspension, e-mail address, password, second factor
	AppsDeleted           int `json:"apps_deleted"`  // of users who were deleted
	AppsReturned          int `json:"apps_returned"` // deleted since, and there again, without keys or collaborators
	KeysRevoked           int `json:"keys_revoked"`
	KeysNarrowed          int `json:"keys_narrowed"`
	CollaboratorsRemoved  int `json:"collaborators_removed"`
	CollaboratorsNarrowed int `json:"collaborators_narrowed"`
	SessionsEnded         int `json:"sessions_ended"`
	TombstonesAdded       int `json:"tombstones_added"`
	UsersGone             int `json:"users_gone"` // made since the backup
	KeysGone              int `json:"keys_gone"`  // made since the backup
	Unreadable            int `json:"unreadable"` // records of the file before, where that was accepted
}

// Merge takes out of a copy of a backup what was taken away since: deleted
// users with all they had, revoked keys, removed collaborators; and narrows
// what was narrowed since. Whatever is in both stores and differs gets the
// version after both, so that nobody's edit of either is taken for one of
// what is there now.
type Merge struct {
	// Now is the store that is replaced, and nil where it can't be read.
	Now Reader
	// AcceptLost passes over records of Now that can't be read.
	AcceptLost bool

	// BackupAt is when the backup was last written to.
	BackupAt time.Time
	// At is the time of the merge.
	At time.Time
	Counts
	// Notices are what else the operator should know.
	Notices []string

	kinship kinship
	ctx     context.Context
	from    Reader
	next    func() (Writer, error)
}

// Run merges a backup, whose copy is what next returns. It asks for the copy
// again for each record, so that one revision need not have all of them.
func (m *Merge) Run(ctx context.Context, from Reader, next func() (Writer, error)) error {
	m.ctx, m.from, m.next = ctx, from, next
	if err := m.times(); err != nil {
		return err
	}
	for _, step := range []func() error{
		m.revocations, m.retirements, m.emails, m.users, m.apps, m.credentials, m.collaborators, m.gone, m.sequences, m.auditLog,
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

// update returns the copy of the backup, to write the next record to.
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
	// The clock never goes back behind what either file has seen. One that is
	// far ahead of that is for the operator to accept.
	if err := keys.ClockAhead(m.At, last); err != nil {
		m.Notices = append(m.Notices, err.Error())
		m.At = last
	} else if last.After(m.At) {
		m.At = last
	}
	return nil
}

// passOver reports whether the error is of a record of the current file that
// can't be read, where that was accepted.
func (m *Merge) passOver(err error) bool {
	if !m.AcceptLost || !errors.Is(err, keys.ErrCorrupt) {
		return false
	}
	m.Unreadable++
	return true
}

// unreadable is what ends a restore at a record that can't be read.
func unreadable(err error) error {
	if errors.Is(err, keys.ErrCorrupt) {
		return fmt.Errorf("%w (%w)", ErrUnreadable, err)
	}
	return err
}

// current reads a record of the file that is replaced.
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

// currentOf is current for records that are named by users: a stranger's are
// about other people.
func currentOf[R, S any](m *Merge, t *table[R, S], key []byte) (record R, there bool, err error) {
	if m.kinship == stranger {
		return record, false, nil
	}
	return current(m, t, key)
}

// walk reads every record of a table, and asks what to do about those that
// can't be read.
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

// ofCurrent walks a table of the file that is replaced.
func ofCurrent[R, S any](m *Merge, t *table[R, S], each func(R) error) error {
	return walk(m.ctx, m.Now, t, func(err error) error {
		if m.passOver(err) {
			return nil
		}
		return unreadable(err)
	}, each)
}

// ofBackup walks a table of the backup, which was checked.
func ofBackup[R, S any](m *Merge, t *table[R, S], each func(R) error) error {
	return walk(m.ctx, m.from, t, func(err error) error { return err }, each)
}

// later reports whether the current record is the newer of two, or as new.
// What became of the backup always is, whatever the clock said.
func (m *Merge) later(current, backup time.Time, version, backupVersion uint64) bool {
	return m.kinship == descendant || current.After(backup) || current.Equal(backup) && version >= backupVersion
}

// gone counts what was made since the backup: it is not there any more.
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

// sequences goes on counting where either file left off, so that no number is
// given twice: who goes on with a list from before the restore misses nothing.
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
