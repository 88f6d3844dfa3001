package manage

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxRevokedIDs limits the IDs in an answer, not the revoked keys.
const maxRevokedIDs = 10_000

// revocation selects the keys of a user to revoke: those that match all fields.
type revocation struct {
	appID         string
	createdBefore time.Time
	mintedBy      string
	all           bool
	// credentials lists credentials; it excludes the other fields.
	credentials []string
	// dryRun revokes nothing.
	dryRun bool
}

// readRevocation reads a request to revoke many keys. It refuses an empty request,
// which may be a mistake: revoking all keys of a user requires all.
func readRevocation(o *object) (v revocation) {
	o.text("app_id", &v.appID)
	o.time("created_before", &v.createdBefore)
	o.text("minted_by", &v.mintedBy)
	o.flag("all", &v.all)
	o.flag("dry_run", &v.dryRun)
	named := o.texts("credentials", &v.credentials)
	some := v.appID != "" || !v.createdBefore.IsZero() || v.mintedBy != ""
	switch {
	case named && (some || v.all):
		o.fail(refuse(CodeInvalid, o.field("credentials"), "no other field can be given with them: leave out the rest, or send it in another request"))
	case named && len(v.credentials) == 0:
		o.fail(refuse(CodeInvalid, o.field("credentials"), "name at least one"))
	case named:
	case !some && !v.all:
		o.fail(refuse(CodeInvalid, "", `select keys by app_id, created_before, minted_by or credentials, or with "all":true for every key of the user`))
	case some && v.all:
		o.fail(refuse(CodeInvalid, o.field("all"), "it revokes every key: leave out either all or the fields that limit it"))
	}
	return v
}

// revokeMany revokes the keys of a user that a request selects, and with minted_by
// the collaborators that were added with them. It searches outside the write
// transaction, and revokes a few at a time, so that other changes don't wait long.
// The last search runs in the transaction that revokes its results, so no key made
// in the meantime is left when the answer is sent. After a failure, the keys revoked
// so far stay revoked. The caller's own credential comes last. Sessions are not
// keys, and stay.
func (r *request) revokeMany(which revocation) (*Answer, error) {
	if which.credentials != nil {
		return r.revokeListed(which.credentials, which.dryRun)
	}
	if r.user() == "" {
		return nil, refuse(CodeInvalid, "", "only credentials can be revoked for every user at once; name the user in the path: /v2/users/USER/keys/revoke")
	}
	if which.dryRun {
		return r.wouldRevoke(&search{revocation: which})
	}
	done, err := r.revokeAll(&search{revocation: which})
	if err != nil {
		return nil, err
	}
	return answerFound(done), nil
}

// answerFound is the answer about revoked keys and removed collaborators.
func answerFound(done found) *Answer {
	slices.SortFunc(done.keys, func(a, b keys.Credential) int { return cmp.Compare(a.Seq, b.Seq) })
	answer := &Answer{Count: new(int)}
	for _, c := range done.keys {
		if *answer.Count++; *answer.Count <= maxRevokedIDs {
			answer.KeyIDs = append(answer.KeyIDs, c.ID)
		}
	}
	if n := len(done.collaborators); n > 0 {
		answer.RemovedCollaborators = show(done.collaborators[:min(n, maxRevokedIDs)], showCollaborator)
	}
	return answer
}

// revokeAll revokes what a search finds until it finds nothing more. It ends
// because each transaction revokes more than another change can make before the
// next.
func (r *request) revokeAll(s *search) (done found, err error) {
	for {
		past := s.isPast(r.api.Directory.Now())
		next, err := r.lookFor(s)
		if err != nil {
			return done, err
		}
		switch {
		case next.size() == 0:
			return done, nil // no key that could make others is left
		case past:
			return next, r.revokeFound(next, revokedWithOthers)
		case next.size() > r.revokedAtOnce():
			next.keys = slices.DeleteFunc(next.keys, r.isOwn)
			err = r.revokeFound(next, revokedWithOthers)
			done.add(next)
		default:
			var last bool
			next, last, err = r.revokeRest(s)
			done.add(next)
			if err == nil && last {
				return done, nil
			}
		}
		if err != nil {
			return done, err
		}
	}
}

const revokedWithOthers = "revoked with others"

// maxRevokedAtOnce is how many of many keys one transaction revokes. It is small
// because other changes wait for the transaction.
const maxRevokedAtOnce = 100

// revokedAtOnce returns how many keys one transaction revokes.
func (r *request) revokedAtOnce() int {
	return min(maxRevokedAtOnce, r.api.Directory.MaxWrites()/keys.WritesToRemove)
}

// found are the keys and collaborators that a search found.
type found struct {
	keys          []keys.Credential
	collaborators []keys.Collaborator
}

func (f *found) size() int { return len(f.keys) + len(f.collaborators) }

func (f *found) add(more found) {
	f.keys = append(f.keys, more.keys...)
	f.collaborators = append(f.collaborators, more.collaborators...)
}

// search finds the keys that a revocation selects, as often as needed.
type search struct {
	revocation
	// line is the line of minted_by. It is nil before the first search.
	line *line
}

// isPast reports whether no key made from now on can match.
func (s *search) isPast(now time.Time) bool {
	return !s.createdBefore.IsZero() && s.createdBefore.Before(now)
}

// lookFor runs a search in a transaction of its own.
func (r *request) lookFor(s *search) (f found, err error) {
	walk := func() error {
		var at look
		err := r.view(func(from keys.Reader) error {
			f, at, err = r.describe(from, s)
			return err
		})
		s.line.was(at)
		return err
	}
	switch d := r.api.Directory; {
	case r.caller.Operator:
		return f, walk()
	case s.mintedBy != "":
		return f, d.LookUp(r.Context(), r.caller.UserID, walk)
	default:
		return f, d.Walk(r.Context(), r.caller.UserID, walk)
	}
}

// revokeRest searches again and revokes the results in the same transaction, so
// that no key can be made in between. last is false if there were too many for one
// transaction and it revoked only some.
func (r *request) revokeRest(s *search) (f found, last bool, err error) {
	var at look
	err = r.withdraw(func(tx *keys.Tx) error {
		var err error
		if f, at, err = r.describe(tx, s); err != nil {
			return err
		}
		most := r.revokedAtOnce()
		if last = f.size() <= most; !last {
			f.keys = slices.DeleteFunc(f.keys, r.isOwn)
			f.collaborators = f.collaborators[:min(len(f.collaborators), most)]
			f.keys = f.keys[:min(len(f.keys), most-len(f.collaborators))]
		}
		return r.revokeIn(tx, f, revokedWithOthers)
	})
	if err != nil {
		return found{}, false, err
	}
	s.line.was(at)
	return f, last, nil
}

// describe finds the keys that a search selects, in one revision of the store.
func (r *request) describe(from keys.Reader, s *search) (f found, at look, err error) {
	if _, err := r.findUser(from); err != nil {
		return f, at, err
	}
	if err := r.stillThere(from); err != nil {
		return f, at, err
	}
	list := from.Credentials(r.user(), 0)
	if s.appID != "" {
		app := keys.AppRef{OwnerID: r.user(), AppID: s.appID}
		_, err := from.App(app)
		if errors.Is(err, keys.ErrNotFound) {
			return f, at, refuse(CodeNotFound, "app_id", "this user has no such app")
		}
		if err != nil {
			return f, at, err
		}
		list = from.AppCredentials(app, 0)
	}
	if s.mintedBy != "" {
		if s.line == nil {
			minter, err := r.minterID(from, s.mintedBy)
			if err != nil {
				return f, at, err
			}
			s.line = &line{minter: minter, open: []string{minter}, seen: map[string]bool{minter: true}}
		}
		at, err = s.line.look(from, r.user())
		if err != nil {
			return f, at, err
		}
		for _, c := range at.collaborators {
			if s.covers(c.AppID, c.CreatedAt) {
				f.collaborators = append(f.collaborators, c)
			}
		}
		list = each(at.keys)
	}
	for c, err := range list {
		if err != nil {
			return f, at, err
		}
		if isKey(c) && s.covers(c.AppID, c.CreatedAt) {
			f.keys = append(f.keys, c)
		}
	}
	return f, at, nil
}

func (v *revocation) covers(appID string, created time.Time) bool {
	return (v.appID == "" || appID == v.appID) && (v.createdBefore.IsZero() || created.Before(v.createdBefore))
}

// each makes a list of a slice.
func each[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// revokeFound revokes found keys that still exist, a few at a time and the caller's
// own credential last.
func (r *request) revokeFound(f found, reason string) error {
	list := slices.DeleteFunc(slices.Clone(f.keys), r.isOwn)
	if i := slices.IndexFunc(f.keys, r.isOwn); i >= 0 {
		list = append(list, f.keys[i])
	}
	most := r.revokedAtOnce()
	parts := make([]found, 0, 2+f.size()/most)
	for batch := range slices.Chunk(f.collaborators, most) {
		parts = append(parts, found{collaborators: batch})
	}
	for batch := range slices.Chunk(list, most) {
		parts = append(parts, found{keys: batch})
	}
	for _, part := range parts {
		err := r.withdraw(func(tx *keys.Tx) error { return r.revokeIn(tx, part, reason) })
		if err != nil {
			return err
		}
	}
	return nil
}

// isOwn reports whether c is the caller's own credential.
func (r *request) isOwn(c keys.Credential) bool {
	return !r.caller.Operator && c.Digest == r.caller.Digest
}

// revokeIn revokes found keys that still exist.
func (r *request) revokeIn(tx *keys.Tx, f found, reason string) error {
	for _, c := range f.collaborators {
		if err := tx.RemoveCollaborator(c.CollaboratorRef); err != nil && !errors.Is(err, keys.ErrNotFound) {
			return err
		}
	}
	for _, c := range f.keys {
		if err := tx.Revoke(c.ID, reason); err != nil && !errors.Is(err, keys.ErrNotFound) {
			return err
		}
	}
	return nil
}

// minterID returns the key ID of a credential that a body names by its key ID or by
// its whole text. The credential may be revoked, or a session. Another user's
// credential counts as unknown.
func (r *request) minterID(from keys.Reader, named string) (string, error) {
	digest := credential.DigestOf(named)
	c, err := from.Credential(digest)
	if err == nil && r.mayKnow(c.UserID) {
		return c.ID, nil
	}
	stone, err2 := from.Tombstone(digest)
	if err2 == nil && r.mayKnow(stone.UserID) {
		return stone.ID, nil
	}
	for _, err := range []error{err, err2} {
		if err != nil && !errors.Is(err, keys.ErrNotFound) {
			return "", err
		}
	}
	if !credential.IsKeyID(named) {
		return "", refuse(CodeInvalid, "minted_by", "it is neither a key ID, which looks like cap_0123456789AB, nor the whole text of a known credential")
	}
	return named, nil
}
