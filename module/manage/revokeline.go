package manage

import (
	"errors"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// line is a credential, what was made with it, and what was made with that in
// turn. A leaked one would cover its traces by making another that makes a
// third, and by revoking the second: tombstones belong to the line, too.
//
// It is looked at several times while its members are revoked. A member that
// was a tombstone at one look makes nothing afterwards, so that the next look
// begins at those that could, and at those that have collaborators left.
type line struct {
	minter string
	// open are the members at which the next look begins.
	open []string
	// seen has all members known.
	seen map[string]bool
}

// look is what is found of a line at one moment of the store: the members that
// are good, and the collaborators that were added with a member.
type look struct {
	keys          []keys.Credential
	collaborators []keys.Collaborator
	open          []string
	new           map[string]bool
}

// look finds the members and collaborators that the line still has.
func (l *line) look(from keys.Reader, user string) (at look, err error) {
	at.new = map[string]bool{}
	queue := slices.Clone(l.open)
	found := func(id string) {
		if !l.seen[id] && !at.new[id] {
			at.new[id] = true
			queue = append(queue, id)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		id := queue[0]
		c, err := from.CredentialByID(id)
		if err != nil && !errors.Is(err, keys.ErrNotFound) {
			return at, err
		}
		open := err == nil
		if open && id != l.minter {
			at.keys = append(at.keys, c)
		}
		for c, err := range from.CredentialsMade(user, id, 0) {
			if err != nil {
				return at, err
			}
			found(c.ID)
		}
		for stone, err := range from.TombstonesMade(user, id) {
			if err != nil {
				return at, err
			}
			found(stone.ID)
		}
		for c, err := range from.CollaboratorsAdded(user, id, 0) {
			if err != nil {
				return at, err
			}
			at.collaborators = append(at.collaborators, c)
			open = true
		}
		if open {
			at.open = append(at.open, id)
		}
	}
	return at, nil
}

// was notes what a look found, once its transaction is over.
func (l *line) was(at look) {
	if l == nil {
		return
	}
	l.open = at.open
	for id := range at.new {
		l.seen[id] = true
	}
}
