package manage

import (
	"errors"
	"slices"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// line is a credential with its descendants: the credentials made with it, and
// those made with these in turn. A thief could hide a descendant by making a second
// credential, making a third one with that, and revoking the second. So tombstones
// belong to the line, too.
//
// A line is searched several times while its members are revoked. A tombstone
// makes nothing any more, so the next search begins at the members that were alive
// or had collaborators.
type line struct {
	minter string
	// open are the members at which the next search begins.
	open []string
	// seen has all known members.
	seen map[string]bool
}

// look is the result of one search of a line, in one revision of the store: the
// living members, and the collaborators that members added.
type look struct {
	keys          []keys.Credential
	collaborators []keys.Collaborator
	open          []string
	new           map[string]bool
}

// look finds the living members and the collaborators of the line.
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

// was records the result of a search after its transaction.
func (l *line) was(at look) {
	if l == nil {
		return
	}
	l.open = at.open
	for id := range at.new {
		l.seen[id] = true
	}
}
