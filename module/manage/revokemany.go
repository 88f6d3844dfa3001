package manage

import (
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// maxRevokedIDs bounds the ids in an answer. All are revoked, however many.
const maxRevokedIDs = 10_000

// revocation says which of a user's keys are to be revoked: those that all of
// it applies to.
type revocation struct {
	appID         string
	createdBefore time.Time
	mintedBy      string
	all           bool
	// credentials are named one by one, and then stand alone.
	credentials []string
}

// readRevocation refuses a request that says nothing. All of a user's keys are
// too much for what may be a mistake, so that has to be said.
func readRevocation(o *object) (revocation, error) {
	var v revocation
	o.text("app_id", &v.appID)
	o.time("created_before", &v.createdBefore)
	o.text("minted_by", &v.mintedBy)
	o.flag("all", &v.all)
	named := o.texts("credentials", &v.credentials)
	some := v.appID != "" || !v.createdBefore.IsZero() || v.mintedBy != ""
	switch {
	case o.err != nil:
	case named && (some || v.all):
		o.fail(refuse(CodeInvalid, o.field("credentials"), "they stand alone: leave out the rest, or send it in another request"))
	case named && len(v.credentials) == 0:
		o.fail(refuse(CodeInvalid, o.field("credentials"), "name at least one"))
	case named:
	case !some && !v.all:
		o.fail(refuse(CodeInvalid, "", `say which keys: app_id, created_before, minted_by, credentials, or "all":true for every key of the user`))
	case some && v.all:
		o.fail(refuse(CodeInvalid, o.field("all"), "it stands alone: leave it out, or what would limit it"))
	}
	return v, o.end()
}

// revokeMany revokes those of a user's keys that a request describes, and with
// minted_by the collaborators that were added with them. They are looked for
// outside of the write transaction, and revoked some at a time, so that nobody
// waits for all of them; what was made meanwhile with one of them is found by
// looking again. Where it fails on the way, those revoked so far stay revoked.
// The credential of the call comes last where it is one of them. Sessions are
// no keys, and stay.
func (r *request) revokeMany() (*Answer, error) {
	o, err := r.body()
	if err != nil {
		return nil, err
	}
	which, err := readRevocation(o)
	if err != nil {
		return nil, err
	}
	if which.credentials != nil {
		return r.revokeListed(which.credentials)
	}
	if r.user() == "" {
		return nil, refuse(CodeInvalid, "", "only credentials can be revoked whosever they are; name the user in the path: /v2/users/USER/keys/revoke")
	}
	var done found
	for range maxLooks {
		next, err := r.lookFor(which)
		if err != nil {
			return nil, err
		}
		if next.empty() {
			break
		}
		own, err := r.revokeFound(next, "revoked with others")
		if err != nil {
			return nil, err
		}
		done.keys = append(done.keys, next.keys...)
		done.collaborators = append(done.collaborators, next.collaborators...)
		if own {
			break // a revoked credential makes no more changes
		}
	}
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
	return answer, nil
}

// maxLooks is how often what is to be revoked is looked for. Whoever makes
// keys with a credential that goes on working could keep it up for good.
const maxLooks = 16

// revokedAtOnce is how many keys one transaction revokes of many.
const revokedAtOnce = 100

// found is what a look found: keys and collaborators that are to go.
type found struct {
	keys          []keys.Credential
	collaborators []keys.Collaborator
}

func (f *found) empty() bool { return len(f.keys)+len(f.collaborators) == 0 }

// lookFor finds what a request describes.
func (r *request) lookFor(which revocation) (f found, err error) {
	walk := func() error {
		return r.view(func(from keys.Reader) error {
			f, err = r.describe(from, which)
			return err
		})
	}
	if which.mintedBy != "" || r.caller.Operator {
		return f, walk() // by an index
	}
	return f, r.api.Directory.Walk(r.Context(), r.caller.UserID, walk)
}

func (r *request) describe(from keys.Reader, which revocation) (f found, err error) {
	if _, err := r.findUser(from); err != nil {
		return f, err
	}
	if err := r.stillThere(from); err != nil {
		return f, err
	}
	list := from.Credentials(r.user(), 0)
	if which.appID != "" {
		app := keys.AppRef{OwnerID: r.user(), AppID: which.appID}
		_, err := from.App(app)
		if errors.Is(err, keys.ErrNotFound) {
			return f, refuse(CodeNotFound, "app_id", "this user has no such app")
		}
		if err != nil {
			return f, err
		}
		list = from.AppCredentials(app, 0)
	}
	if which.mintedBy != "" {
		minter, err := r.publicID(from, which.mintedBy)
		if err != nil {
			return f, err
		}
		all, err := madeWith(from, r.user(), minter)
		if err != nil {
			return f, err
		}
		for _, c := range all.collaborators {
			if which.covers(c.AppID, c.CreatedAt) {
				f.collaborators = append(f.collaborators, c)
			}
		}
		list = each(all.keys)
	}
	for c, err := range list {
		if err != nil {
			return f, err
		}
		if isKey(c) && which.covers(c.AppID, c.CreatedAt) {
			f.keys = append(f.keys, c)
		}
	}
	return f, nil
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

// revokeFound revokes what was found, if it is still there, some at a time. It
// reports whether the credential of the call was among it.
func (r *request) revokeFound(f found, reason string) (own bool, err error) {
	for batch := range slices.Chunk(f.collaborators, revokedAtOnce) {
		err := r.withdraw(func(tx *keys.Tx) error {
			for _, c := range batch {
				if err := tx.Uninvite(c.CollaboratorRef); err != nil && !errors.Is(err, keys.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	isOwn := func(c keys.Credential) bool { return !r.caller.Operator && c.Digest == r.caller.Digest }
	list := slices.DeleteFunc(slices.Clone(f.keys), isOwn)
	if i := slices.IndexFunc(f.keys, isOwn); i >= 0 {
		list, own = append(list, f.keys[i]), true
	}
	for batch := range slices.Chunk(list, revokedAtOnce) {
		err := r.withdraw(func(tx *keys.Tx) error {
			for _, c := range batch {
				if err := tx.Revoke(c.ID, reason); err != nil && !errors.Is(err, keys.ErrNotFound) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	return own, nil
}

// publicID is the public id of a credential that a body names by that or by
// its whole text. It may be revoked, and a session; another user's is not
// known.
func (r *request) publicID(from keys.Reader, named string) (string, error) {
	digest := keys.DigestOf(named)
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
	if !keys.IsPublicID(named) {
		return "", refuse(CodeInvalid, "minted_by", "it is neither the public id of a key, which looks like cap_0123456789AB, nor the whole text of one that is known here")
	}
	return named, nil
}

// madeWith finds what a credential made, and what that made in turn: a leaked
// one would cover its traces by making another that makes a third, and by
// revoking the second. Tombstones tell of those too.
func madeWith(from keys.Reader, user, minter string) (f found, err error) {
	seen := map[string]bool{minter: true}
	line := []string{minter}
	for ; len(line) > 0; line = line[1:] {
		for c, err := range from.CredentialsMade(user, line[0], 0) {
			if err != nil {
				return f, err
			}
			if !seen[c.ID] {
				seen[c.ID] = true
				f.keys = append(f.keys, c)
				line = append(line, c.ID)
			}
		}
		for stone, err := range from.TombstonesMade(user, line[0]) {
			if err != nil {
				return f, err
			}
			if !seen[stone.ID] {
				seen[stone.ID] = true
				line = append(line, stone.ID)
			}
		}
		for c, err := range from.CollaboratorsAdded(user, line[0], 0) {
			if err != nil {
				return f, err
			}
			f.collaborators = append(f.collaborators, c)
		}
	}
	return f, nil
}
