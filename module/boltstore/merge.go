package boltstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// merge takes out of a copy of the backup what was taken away since: deleted
// users with all they had, revoked keys, removed collaborators; and narrows
// what was narrowed since. Whatever is in both files and differs gets the
// version after both, so that nobody's edit of either is taken for one of
// what is there now.
func (r *restoring) merge(into *batches) error {
	last, err := reader{r.from}.LastWrite()
	if err != nil {
		return err
	}
	r.BackupAt, r.at = last, time.Now()
	if r.now != nil {
		now, err := reader{r.now}.LastWrite()
		if err != nil && !r.passOver(err) {
			return unreadable(err)
		}
		if now.After(last) {
			last = now
		}
	}
	// The clock never goes back behind what either file has seen. One that is
	// far ahead of that is for the operator to accept.
	if err := keys.ClockAhead(r.at, last); err != nil {
		r.Notices = append(r.Notices, err.Error())
		r.at = last
	} else if last.After(r.at) {
		r.at = last
	}
	for _, step := range []func(*batches) error{
		r.revocations, r.retirements, r.emails, r.users, r.apps, r.credentials, r.collaborators, r.gone, r.sequences, r.auditLog,
	} {
		if err := step(into); err != nil {
			return err
		}
	}
	w, err := into.next()
	if err != nil {
		return err
	}
	return keys.RecordRestore(w, r.at, struct {
		BackupAt time.Time `json:"backup_at"`
		Counts
	}{r.BackupAt, r.Counts})
}

// passOver says whether the error is of a record of the current file that
// can't be read, where that was accepted.
func (r *restoring) passOver(err error) bool {
	if !r.acceptLost || !errors.Is(err, keys.ErrCorrupt) {
		return false
	}
	r.Unreadable++
	return true
}

// unreadable is what ends a restore at a record that can't be read.
func unreadable(err error) error {
	if errors.Is(err, keys.ErrCorrupt) {
		return fmt.Errorf("%w (%w)", errNoRead, err)
	}
	return err
}

// current reads a record of the file that is replaced.
func current[R, S any](r *restoring, t *table[R, S], key []byte) (record R, there bool, err error) {
	if r.now == nil {
		return record, false, nil
	}
	record, err = t.get(r.now, key)
	if err == nil {
		return record, true, nil
	}
	if errors.Is(err, keys.ErrNotFound) || r.passOver(err) {
		return record, false, nil
	}
	return record, false, unreadable(err)
}

// currentOf is current for records that are named by users: a stranger's are
// about other people.
func currentOf[R, S any](r *restoring, t *table[R, S], key []byte) (record R, there bool, err error) {
	if r.kinship == stranger {
		return record, false, nil
	}
	return current(r, t, key)
}

// walk reads every record of a transaction, and asks what to do about those
// that can't be read.
func walk[R, S any](ctx context.Context, tx *bolt.Tx, t *table[R, S], broken func(error) error, each func(R) error) error {
	if tx == nil {
		return nil
	}
	return tx.Bucket(t.bucket).ForEach(func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		record, err := t.decode(key, value)
		if err != nil {
			return broken(err)
		}
		return each(record)
	})
}

// ofCurrent walks a table of the file that is replaced.
func ofCurrent[R, S any](r *restoring, t *table[R, S], each func(R) error) error {
	return walk(r.ctx, r.now, t, func(err error) error {
		if r.passOver(err) {
			return nil
		}
		return unreadable(err)
	}, each)
}

// ofBackup walks a table of the backup, which was checked.
func ofBackup[R, S any](r *restoring, t *table[R, S], each func(R) error) error {
	return walk(r.ctx, r.from, t, func(err error) error { return err }, each)
}

// later says whether the current record is the newer of two, or as new.
// What became of the backup always is, whatever the clock said.
func (r *restoring) later(current, backup time.Time, version, backupVersion uint64) bool {
	return r.kinship == descendant || current.After(backup) || current.Equal(backup) && version >= backupVersion
}

func (r *restoring) revocations(into *batches) error {
	return ofCurrent(r, &tombstones, func(t keys.Tombstone) error {
		if r.from.Bucket(tombstones.bucket).Get(t.Digest[:]) != nil {
			return nil
		}
		w, err := into.next()
		if err != nil {
			return err
		}
		r.TombstonesAdded++
		return w.PutTombstone(t)
	})
}

func (r *restoring) retirements(into *batches) error {
	if r.now == nil || r.kinship == stranger {
		return nil
	}
	for id, err := range (reader{r.now}).RetiredUsers() {
		if err != nil {
			return err
		}
		w, err := into.next()
		if err != nil {
			return err
		}
		if err := w.RetireUser(id); err != nil {
			return err
		}
	}
	return nil
}

// deleted says whether a user was, by either file.
func (r *restoring) deleted(user string) bool {
	retired := func(tx *bolt.Tx) bool { return tx.Bucket(retiredBucket).Get([]byte(user)) != nil }
	return retired(r.from) || r.now != nil && r.kinship != stranger && retired(r.now)
}

// beingDeleted reports whether the file that is replaced had not finished
// deleting an app: its keys may still be in either file.
func (r *restoring) beingDeleted(app keys.AppRef) bool {
	return r.now != nil && r.kinship != stranger && r.now.Bucket(deletions.bucket).Get(appKey(app)) != nil
}

func (r *restoring) users(into *batches) error {
	return ofBackup(r, &users, func(u keys.User) error {
		w, err := into.next()
		if err != nil {
			return err
		}
		if r.deleted(u.ID) {
			r.UsersDeleted++
			return w.DeleteUser(u.ID)
		}
		now, there, err := currentOf(r, &users, []byte(u.ID))
		if err != nil || !there || !r.later(now.ModifiedAt, u.ModifiedAt, now.Version, u.Version) {
			return err
		}
		was := u
		// How somebody signs in is what they last chose: an old password may
		// have been given up because it leaked.
		u.Suspended = u.Suspended || now.Suspended
		u.PasswordHash, u.TwoFactor = now.PasswordHash, now.TwoFactor
		if u.Email, err = r.freeEmail(w, now); err != nil {
			return err
		}
		switch {
		case u.Email != was.Email || u.Suspended != was.Suspended || u.PasswordHash != was.PasswordHash || !sameFactor(u.TwoFactor, was.TwoFactor):
			r.UsersChanged++
		case now.Version == u.Version && now.ModifiedAt.Equal(u.ModifiedAt):
			return nil // it is the same
		}
		u.ModifiedAt, u.Version = r.at, max(now.Version, u.Version)+1
		return w.PutUser(u)
	})
}

func sameFactor(a, b keys.TwoFactor) bool {
	return a.Secret == b.Secret && a.Enabled == b.Enabled && a.LastStep == b.LastStep && slices.Equal(a.RecoveryCodes, b.RecoveryCodes)
}

func (r *restoring) apps(into *batches) error {
	return ofBackup(r, &apps, func(a keys.App) error {
		if r.deleted(a.OwnerID) {
			w, err := into.next()
			if err != nil {
				return err
			}
			r.AppsDeleted++
			return w.DeleteApp(a.AppRef)
		}
		if r.beingDeleted(a.AppRef) {
			w, err := into.next()
			if err != nil {
				return err
			}
			r.AppsDeleted++
			return w.DeleteApp(a.AppRef)
		}
		if r.kinship == descendant && r.now.Bucket(apps.bucket).Get(appKey(a.AppRef)) == nil {
			r.AppsReturned++
		}
		return nil
	})
}

func (r *restoring) credentials(into *batches) error {
	return ofBackup(r, &credentials, func(c keys.Credential) error {
		w, err := into.next()
		if err != nil {
			return err
		}
		if c.Kind == policy.Session {
			r.SessionsEnded++
			return w.DeleteCredential(c.Digest)
		}
		switch _, err := w.Tombstone(c.Digest); {
		case err == nil:
			r.KeysRevoked++
			return w.DeleteCredential(c.Digest)
		case !errors.Is(err, keys.ErrNotFound):
			return err
		}
		reason := ""
		switch {
		case r.deleted(c.UserID):
			reason = "user deleted"
		case c.AppID != "" && r.beingDeleted(keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}):
			reason = "app deleted"
		case r.kinship == descendant && r.now.Bucket(credentials.bucket).Get(c.Digest[:]) == nil:
			reason = "not in the store that was replaced"
		}
		if reason != "" {
			r.KeysRevoked++
			r.TombstonesAdded++
			t := keys.Tombstone{Digest: c.Digest, ID: c.ID, UserID: c.UserID, CreatedBy: c.CreatedBy, At: r.at, Reason: reason}
			return errors.Join(w.DeleteCredential(c.Digest), w.PutTombstone(t))
		}
		now, there, err := current(r, &credentials, c.Digest[:])
		if err != nil || !there {
			return err
		}
		if err := r.lastUse(w, c.Digest); err != nil {
			return err
		}
		if !r.later(now.ModifiedAt, c.ModifiedAt, now.Version, c.Version) {
			return nil
		}
		switch {
		case narrow(&c, now):
			r.KeysNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // it is the same
		}
		c.ModifiedAt, c.Version = r.at, max(now.Version, c.Version)+1
		return w.PutCredential(c)
	})
}

// narrow leaves a credential nothing that it doesn't have now.
func narrow(c *keys.Credential, now keys.Credential) bool {
	was := *c
	c.Scopes = sharedScopes(c.Scopes, now.Scopes)
	c.Endpoints = sharedEndpoints(c.Endpoints, now.Endpoints)
	// A list that is left empty grants none, but is shown as if there were no
	// list: a disabled key leaves no doubt.
	c.Disabled = c.Disabled || now.Disabled || c.Endpoints != nil && len(c.Endpoints) == 0
	if !now.ExpiresAt.IsZero() && (c.ExpiresAt.IsZero() || now.ExpiresAt.Before(c.ExpiresAt)) {
		c.ExpiresAt = now.ExpiresAt
	}
	return c.Disabled != was.Disabled || !c.ExpiresAt.Equal(was.ExpiresAt) ||
		!slices.Equal(c.Scopes, was.Scopes) || !sameEndpoints(c.Endpoints, was.Endpoints)
}

func sharedScopes(a, b []string) []string {
	switch {
	case slices.Contains(b, policy.ScopeAll):
		return a
	case slices.Contains(a, policy.ScopeAll):
		return b
	}
	return shared(a, b)
}

// sharedEndpoints is nil, which is all, only where both are: with nothing
// shared it is an empty list, which grants none.
func sharedEndpoints(a, b []string) []string {
	switch {
	case b == nil:
		return a
	case a == nil:
		return b
	}
	return shared(a, b)
}

func sameEndpoints(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }

// shared is never nil.
func shared(a, b []string) []string {
	both := []string{}
	for _, s := range a {
		if slices.Contains(b, s) {
			both = append(both, s)
		}
	}
	return both
}

// lastUse takes over when a credential was last used.
func (r *restoring) lastUse(w *writer, d keys.Digest) error {
	now, there, err := current(r, &usages, d[:])
	if err != nil || !there {
		return err
	}
	was, err := w.LastUsed(d)
	if err == nil && !now.At.After(was.At) {
		return nil
	}
	if err != nil && !errors.Is(err, keys.ErrNotFound) {
		return err
	}
	return w.PutLastUsed(d, now.Usage)
}

func (r *restoring) collaborators(into *batches) error {
	return ofBackup(r, &collaborators, func(c keys.Collaborator) error {
		w, err := into.next()
		if err != nil {
			return err
		}
		now, there, err := currentOf(r, &collaborators, collaboratorKey(c.CollaboratorRef))
		switch {
		case err != nil:
			return err
		case r.deleted(c.OwnerID), r.deleted(c.UserID), r.beingDeleted(c.AppRef), r.kinship == descendant && !there:
			r.CollaboratorsRemoved++
			return w.DeleteCollaborator(c.CollaboratorRef)
		case !there, r.kinship != descendant && now.ModifiedAt.Before(c.ModifiedAt):
			return nil // the versions of an invitation that was taken back begin anew
		}
		scopes, endpoints := sharedScopes(c.Scopes, now.Scopes), sharedEndpoints(c.Endpoints, now.Endpoints)
		switch {
		case endpoints != nil && len(endpoints) == 0: // nothing is left of it
			r.CollaboratorsRemoved++
			return w.DeleteCollaborator(c.CollaboratorRef)
		case !slices.Equal(scopes, c.Scopes) || !sameEndpoints(endpoints, c.Endpoints):
			r.CollaboratorsNarrowed++
		case now.Version == c.Version && now.ModifiedAt.Equal(c.ModifiedAt):
			return nil // it is the same
		}
		c.Scopes, c.Endpoints = scopes, endpoints
		c.ModifiedAt, c.Version = r.at, max(now.Version, c.Version)+1
		return w.PutCollaborator(c)
	})
}

// gone counts what was made since the backup: it is not there any more.
func (r *restoring) gone(*batches) error {
	err := ofCurrent(r, &users, func(u keys.User) error {
		if r.from.Bucket(users.bucket).Get([]byte(u.ID)) == nil {
			r.UsersGone++
		}
		return nil
	})
	if err != nil {
		return err
	}
	return ofCurrent(r, &credentials, func(c keys.Credential) error {
		if c.Kind != policy.Session && r.from.Bucket(credentials.bucket).Get(c.Digest[:]) == nil {
			r.KeysGone++
		}
		return nil
	})
}

// sequences goes on counting where either file left off, so that no number is
// given twice: who goes on with a list from before the restore misses nothing.
func (r *restoring) sequences(into *batches) error {
	if r.now == nil {
		return nil
	}
	w, err := into.next()
	if err != nil {
		return err
	}
	for _, name := range [][]byte{users.bucket, apps.bucket, credentials.bucket, collaborators.bucket} {
		bucket := w.tx.Bucket(name)
		if n := r.now.Bucket(name).Sequence(); n > bucket.Sequence() {
			if err := bucket.SetSequence(n); err != nil {
				return err
			}
		}
	}
	return nil
}
