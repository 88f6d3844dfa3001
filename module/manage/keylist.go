package manage

import (
	"iter"
	"time"

	"github.com/caddy-api-keys/gateway/module/keys"
)

func (r *request) listKeys(from keys.Reader, s keySearch) (*Answer, error) {
	if _, err := r.findUser(from); err != nil {
		return nil, err
	}
	switch {
	case s.state == StandingRevoked:
		return r.listRevoked(from, s)
	case s.app != "":
		return r.listKeysOf(from, from.AppCredentials(keys.AppRef{OwnerID: r.user(), AppID: s.app}, s.after), s)
	}
	return r.listKeysOf(from, from.Credentials(r.user(), s.after), s)
}

func (r *request) listAppKeys(from keys.Reader, s keySearch) (*Answer, error) {
	if _, err := r.findApp(from); err != nil {
		return nil, err
	}
	if s.state == StandingRevoked {
		return r.listRevoked(from, s)
	}
	return r.listKeysOf(from, from.AppCredentials(r.app(), s.after), s)
}

// listKeysOf lists the keys of a list that a search selects.
func (r *request) listKeysOf(from keys.Reader, list iter.Seq2[keys.Credential, error], s keySearch) (*Answer, error) {
	var found []keys.Credential
	var next string
	var err error
	if s.keyFilter == (keyFilter{app: s.app}) {
		found, next, err = take(list, s.page, seqOfKey, isKey)
	} else {
		now := r.api.Directory.Now()
		found, next, err = scan(list, s.page, seqOfKey, func(c *keys.Credential) (choice, error) {
			return r.choose(from, c, &s.keyFilter, now)
		})
	}
	if err != nil {
		return nil, err
	}
	answer := &Answer{Keys: []Key{}, Next: next}
	for _, c := range found {
		k, err := r.showUsed(from, c)
		if err != nil {
			return nil, err
		}
		answer.Keys = append(answer.Keys, k)
	}
	return answer, nil
}

// choose is the choice of [scan] among living keys.
func (r *request) choose(from keys.Reader, c *keys.Credential, f *keyFilter, now time.Time) (choice, error) {
	if !isKey(*c) {
		return leftOut, nil
	}
	k := showKey(*c)
	if f.unusedFor != 0 {
		var err error
		if k, err = r.showUsed(from, *c); err != nil {
			return leftOut, err
		}
	}
	if !f.covers(&k, now) {
		return leftOut, nil
	}
	return chosen, nil
}

// listRevoked lists the keys that were revoked, in the order of their revocation.
// The audit log has them, so they are listed as long as its entries are kept.
func (r *request) listRevoked(from keys.Reader, s keySearch) (*Answer, error) {
	list := from.AuditEntries
	if s.newest {
		list = from.AuditEntriesBack
	}
	now := r.api.Directory.Now()
	found, next, err := scan(list(r.user(), s.after), s.page, seqOfEntry, func(e *keys.AuditEntry) (choice, error) {
		if e.Action != keys.ActionKeyRevoke {
			return leftOut, nil
		}
		if k := showRevoked(*e); !s.covers(&k, now) {
			return leftOut, nil
		}
		return chosen, nil
	})
	return &Answer{Keys: show(found, showRevoked), Next: next}, err
}

// showRevoked returns a revoked key as its audit entry shows it.
func showRevoked(e keys.AuditEntry) Key {
	c, reason := e.RevokedCredential()
	k := showKey(c)
	at := e.At.UTC()
	k.RevokedAt, k.RevokedBy, k.RevokedReason = &at, e.ActorID, reason
	return k
}

func seqOfKey(c keys.Credential) uint64 { return c.Seq }
