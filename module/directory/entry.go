package directory

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

// Entry is the result of one load of a digest: a credential, a collaborator, or
// nothing. It is shared by all its readers and never changes, except for the
// time of the last use and the tally. It identifies the caller and holds no decision about a
// request.
type Entry struct {
	digest credential.Digest
	// generation is the digest's generation before the load began.
	generation uint64
	// groups are the user and the app that the entry depends on.
	groups   [maxGroups]group
	standing keys.Standing // apart from expiry, which [Directory.Standing] looks at
	expires  int64         // Unix nanoseconds, 0 is never
	// idle is how long a session lives after seen, in nanoseconds; 0 means
	// without limit. seen is when the credential was last used, to the minute,
	// in Unix nanoseconds.
	idle   int64
	seen   atomic.Int64
	caller policy.Caller
	// bounds are the limits that apply to the credential's requests.
	bounds []bound
	// unbounded is why the limits are not known, or nil.
	unbounded error
	// tally counts the requests that present the key. It is nil unless the
	// entry is that of a key.
	tally *tally
}

// Suppose returns an entry that is not in a store: a valid credential held by
// the caller. It is used to explain a decision.
func Suppose(caller policy.Caller) *Entry {
	return &Entry{standing: keys.Active, caller: caller}
}

// Caller returns the holder of the credential. For a collaborator, only its
// Grant has a meaning.
func (e *Entry) Caller() *policy.Caller { return &e.caller }

// Grant returns what the credential or the collaborator's record permits.
func (e *Entry) Grant() *policy.Grant { return &e.caller.Grant }

// Limited reports whether requests with the credential are charged.
func (e *Entry) Limited() bool { return len(e.bounds) > 0 || e.unbounded != nil }

// Unbounded returns why the limits of the credential's requests are not known, or nil.
func (e *Entry) Unbounded() error { return e.unbounded }

// Exists reports whether the load found a record. It found none where e is nil.
func (e *Entry) Exists() bool { return e != nil && e.standing != keys.Unknown }

// Expiry returns when the credential expires; zero means never.
func (e *Entry) Expiry() time.Time {
	if e.expires == 0 {
		return time.Time{}
	}
	return time.Unix(0, e.expires)
}

// Ends returns when the credential ends unless it is changed or used: when it
// expires, or when its session has been idle too long. Zero is never.
func (e *Entry) Ends() time.Time {
	ends := e.expires
	if e.idle != 0 {
		if idle := e.seen.Load() + e.idle; ends == 0 || idle < ends {
			ends = idle
		}
	}
	if ends == 0 {
		return time.Time{}
	}
	return time.Unix(0, ends)
}

// cost returns approximately how many bytes the entry takes, for the budget of
// the cache.
func (e *Entry) cost() int64 {
	const fixed = 400 // the struct, the tally, the cache's own item and its list of keys
	c := &e.caller
	size := fixed + len(c.UserID) + len(c.KeyID) + len(c.AppID) + c.Grant.Size()
	size += len(c.Addresses) * int(unsafe.Sizeof(netip.Prefix{}))
	size += len(e.bounds) * int(unsafe.Sizeof(bound{})+unsafe.Sizeof(meter{}))
	for name, values := range c.Resources {
		const item = 64 // of the map
		size += item + len(name)
		for _, v := range values {
			size += int(unsafe.Sizeof(v)) + len(v)
		}
	}
	return int64(size)
}

// loadCredential reads everything that a decision needs to know about a
// credential.
func (d *Directory) loadCredential(r keys.Reader, digest credential.Digest) (*Entry, error) {
	// The tombstone counts even if there is also a record.
	if _, err := r.Tombstone(digest); err == nil {
		return &Entry{}, nil
	} else if !errors.Is(err, keys.ErrNotFound) {
		return nil, err
	}
	c, err := r.Credential(digest)
	if errors.Is(err, keys.ErrNotFound) {
		return &Entry{}, nil
	}
	if err != nil {
		return nil, err
	}
	if gone, err := keys.Deleted(r, keys.AppRef{OwnerID: c.UserID, AppID: c.AppID}); err != nil {
		return nil, err
	} else if gone {
		return &Entry{}, nil
	}
	u, err := r.User(c.UserID)
	if err != nil {
		// Not even "not found" is an answer here: a credential without its
		// user is a damaged store.
		return nil, errors.Join(keys.ErrCorrupt, err)
	}
	e := &Entry{
		standing: c.Standing(u.Suspended, time.Time{}),
		caller: policy.Caller{
			Kind:   c.Kind,
			UserID: c.UserID,
			KeyID:  c.ID,
			AppID:  c.AppID,
			Grant:  policy.NewGrant(c.Scopes, c.Endpoints),
		},
	}
	if err := d.bind(r, e, &c, &u); err != nil {
		return nil, err
	}
	if c.Kind == policy.Session {
		e.caller.Grant = policy.Everything()
	} else {
		e.tally = d.activity.tallyOf(digest)
	}
	if !c.ExpiresAt.IsZero() {
		e.expires = c.ExpiresAt.UnixNano()
	}
	return e, d.loadUsage(r, e, &c)
}

func loadCollaborator(r keys.Reader, ref keys.CollaboratorRef) (*Entry, error) {
	c, err := r.Collaborator(ref)
	if errors.Is(err, keys.ErrNotFound) {
		return &Entry{}, nil
	}
	if err != nil {
		return nil, err
	}
	if gone, err := keys.Deleted(r, ref.AppRef); err != nil || gone {
		return &Entry{}, err
	}
	return &Entry{
		standing: keys.Active,
		caller:   policy.Caller{Grant: policy.NewGrant(c.Scopes, c.Endpoints)},
	}, nil
}
