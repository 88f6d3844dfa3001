package manage

import (
	"iter"
	"strings"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// place is where a list of the keys of all users continues: the users are in order
// of creation, and so are the keys of each.
type place struct{ user, key uint64 }

// owned is a key with its owner, or an owner alone, so that a list of many users
// without keys ends in time.
type owned struct {
	keys.Credential
	owner keys.User
}

func (o *owned) place() place { return place{o.owner.Seq, o.Seq} }

// listAllKeys lists the keys of all users that a search selects. A page ends after
// maxScanned records, because few of them may be selected.
func (r *request) listAllKeys(from keys.Reader, s keySearch) (*Answer, error) {
	if s.state == StandingRevoked {
		return r.listRevoked(from, s)
	}
	answer, now := &Answer{Keys: []Key{}}, r.api.Directory.Now()
	skip, seen, last := s.skip, 0, s.place
	for o, err := range everyKey(from, s.place) {
		if err != nil {
			return nil, err
		}
		is := leftOut
		if o.ID != "" {
			if is, err = r.choose(from, &o.Credential, &s.keyFilter, now); err != nil {
				return nil, err
			}
		}
		switch full := len(answer.Keys) == s.size && is == chosen; {
		case seen == maxScanned && s.skip > 0:
			return nil, errDeepPage()
		case seen == maxScanned, full:
			answer.Next = s.cursors.sealPlace(last)
			return answer, nil
		case is == chosen && skip > 0:
			skip--
		case is == chosen:
			k, err := r.showUsed(from, o.Credential)
			if err != nil {
				return nil, err
			}
			k.OwnerSuspended = o.owner.Suspended
			answer.Keys = append(answer.Keys, k)
		}
		seen++
		last = o.place()
	}
	return answer, nil
}

// everyKey lists each user and then the user's credentials, from after a place.
func everyKey(from keys.Reader, after place) iter.Seq2[owned, error] {
	return func(yield func(owned, error) bool) {
		before := after.user
		if before > 0 {
			before-- // the list may continue within this user
		}
		for u, err := range from.Users(before) {
			begin := uint64(0)
			if u.Seq == after.user {
				begin = after.key
			}
			if !yield(owned{owner: u}, err) || err != nil {
				return
			}
			for c, err := range from.Credentials(u.ID, begin) {
				if !yield(owned{c, u}, err) || err != nil {
					return
				}
			}
		}
	}
}

// sealPlace and openPlace are seal and open for the list of the keys of all users.
func (c *cursors) sealPlace(p place) string {
	user, key := c.of("user"), c.of("key")
	return user.seal(p.user) + "." + key.seal(p.key)
}

func (c *cursors) openPlace(text string) (p place, ok bool) {
	first, second, _ := strings.Cut(text, ".")
	user, key := c.of("user"), c.of("key")
	if p.user, ok = user.open(first); !ok {
		return p, false
	}
	p.key, ok = key.open(second)
	return p, ok
}
