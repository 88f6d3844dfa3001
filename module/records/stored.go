package records

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
	"github.com/caddy-api-keys/gateway/module/signin"
)

// The numbers of the fields are part of the file's format. The number of a removed
// field is never used again.

type userRecord struct {
	ID        string `cbor:"1,keyasint"`
	Name      string `cbor:"2,keyasint,omitempty"`
	Email     string `cbor:"3,keyasint,omitempty"`
	Suspended bool   `cbor:"4,keyasint,omitempty"`
	Created   *stamp `cbor:"5,keyasint,omitempty"`
	Modified  *stamp `cbor:"6,keyasint,omitempty"`
	Seq       uint64 `cbor:"7,keyasint"`
	Password  string `cbor:"8,keyasint,omitempty"` // hashed
	Version   uint64 `cbor:"9,keyasint,omitempty"`

	TOTPSecret    string   `cbor:"10,keyasint,omitempty"`
	TOTPEnabled   bool     `cbor:"11,keyasint,omitempty"`
	TOTPLastStep  uint64   `cbor:"12,keyasint,omitempty"`
	RecoveryCodes [][]byte `cbor:"13,keyasint,omitempty"` // digests

	Operator bool `cbor:"14,keyasint,omitempty"`

	Reset      []byte `cbor:"15,keyasint,omitempty"` // digest
	ResetUntil *stamp `cbor:"16,keyasint,omitempty"`

	Plan string `cbor:"17,keyasint,omitempty"`
}

func packUser(u keys.User) userRecord {
	r := userRecord{
		ID: u.ID, Name: u.Name, Email: u.Email, Suspended: u.Suspended,
		Created: packTime(u.CreatedAt), Modified: packTime(u.ModifiedAt), Seq: u.Seq,
		Password: u.PasswordHash, Version: u.Version,
		TOTPSecret: u.TwoFactor.Secret, TOTPEnabled: u.TwoFactor.Enabled, TOTPLastStep: u.TwoFactor.LastStep,
		RecoveryCodes: packDigests(u.TwoFactor.RecoveryCodes), Operator: u.Operator, Plan: u.Plan,
		ResetUntil: packTime(u.Reset.Until),
	}
	if r.ResetUntil != nil {
		r.Reset = u.Reset.Digest[:]
	}
	return r
}

func (r userRecord) unpack() (keys.User, error) {
	created, err1 := r.Created.time()
	modified, err2 := r.Modified.time()
	codes, err3 := unpackDigests(r.RecoveryCodes)
	until, err4 := r.ResetUntil.time()
	var reset keys.PasswordReset
	var err5 error
	if r.Reset != nil || r.ResetUntil != nil {
		reset.Until = until
		reset.Digest, err5 = unpackDigest(r.Reset)
	}
	return keys.User{
		ID: r.ID, Name: r.Name, Email: r.Email, Suspended: r.Suspended, Operator: r.Operator, Plan: r.Plan,
		CreatedAt: created, ModifiedAt: modified, Version: r.Version, Seq: r.Seq, PasswordHash: r.Password,
		TwoFactor: signin.TwoFactor{
			Secret: r.TOTPSecret, Enabled: r.TOTPEnabled, LastStep: r.TOTPLastStep, RecoveryCodes: codes,
		},
		Reset: reset,
	}, errors.Join(err1, err2, err3, err4, err5)
}

type appRecord struct {
	Owner    string `cbor:"1,keyasint"`
	ID       string `cbor:"2,keyasint"`
	Name     string `cbor:"3,keyasint,omitempty"`
	Created  *stamp `cbor:"4,keyasint,omitempty"`
	Modified *stamp `cbor:"5,keyasint,omitempty"`
	Seq      uint64 `cbor:"6,keyasint"`
	Version  uint64 `cbor:"7,keyasint,omitempty"`
	Plan     string `cbor:"8,keyasint,omitempty"`
}

func packApp(a keys.App) appRecord {
	return appRecord{
		Owner: a.OwnerID, ID: a.AppID, Name: a.Name, Plan: a.Plan,
		Created: packTime(a.CreatedAt), Modified: packTime(a.ModifiedAt), Version: a.Version, Seq: a.Seq,
	}
}

func (r appRecord) unpack() (keys.App, error) {
	created, err1 := r.Created.time()
	modified, err2 := r.Modified.time()
	return keys.App{
		AppRef: keys.AppRef{OwnerID: r.Owner, AppID: r.ID}, Name: r.Name, Plan: r.Plan,
		CreatedAt: created, ModifiedAt: modified, Version: r.Version, Seq: r.Seq,
	}, errors.Join(err1, err2)
}

type credentialRecord struct {
	Digest       []byte   `cbor:"1,keyasint"`
	ID           string   `cbor:"2,keyasint"`
	Kind         string   `cbor:"3,keyasint"` // its name, because its number may change
	User         string   `cbor:"4,keyasint"`
	App          string   `cbor:"5,keyasint,omitempty"`
	Description  string   `cbor:"6,keyasint,omitempty"`
	Scopes       []string `cbor:"7,keyasint,omitempty"`
	AllEndpoints bool     `cbor:"8,keyasint,omitempty"`
	Endpoints    []string `cbor:"9,keyasint,omitempty"`
	Disabled     bool     `cbor:"10,keyasint,omitempty"`
	Created      *stamp   `cbor:"11,keyasint,omitempty"`
	Modified     *stamp   `cbor:"12,keyasint,omitempty"`
	CreatedBy    string   `cbor:"13,keyasint,omitempty"`
	Expires      *stamp   `cbor:"14,keyasint,omitempty"`
	Seq          uint64   `cbor:"15,keyasint"`
	Version      uint64   `cbor:"16,keyasint,omitempty"`
	Idle         int64    `cbor:"17,keyasint,omitempty"` // nanoseconds
	Address      string   `cbor:"18,keyasint,omitempty"`
	RotatedFrom  string   `cbor:"19,keyasint,omitempty"`
	RotatedTo    string   `cbor:"20,keyasint,omitempty"`
	UserAgent    string   `cbor:"21,keyasint,omitempty"`

	Plan       string              `cbor:"22,keyasint,omitempty"`
	Rate       string              `cbor:"23,keyasint,omitempty"` // as text
	Quota      string              `cbor:"24,keyasint,omitempty"` // as text
	Concurrent int                 `cbor:"25,keyasint,omitempty"`
	Addresses  *[]string           `cbor:"26,keyasint,omitempty"`
	Resources  map[string][]string `cbor:"27,keyasint,omitempty"`
	Origin     []byte              `cbor:"28,keyasint,omitempty"`
}

func packCredential(c keys.Credential) credentialRecord {
	r := credentialRecord{
		Digest: c.Digest[:], ID: c.ID, Kind: c.Kind.String(), User: c.UserID, App: c.AppID,
		Description: c.Description, Scopes: c.Scopes, AllEndpoints: c.Endpoints == nil, Endpoints: c.Endpoints,
		Disabled: c.Disabled, Created: packTime(c.CreatedAt), Modified: packTime(c.ModifiedAt),
		CreatedBy: c.CreatedBy, Expires: packTime(c.ExpiresAt), Version: c.Version, Seq: c.Seq,
		Idle: int64(c.Idle), Address: c.Address, RotatedFrom: c.RotatedFrom, RotatedTo: c.RotatedTo,
		UserAgent: c.UserAgent, Plan: c.Plan,
		Rate: c.Limits.Rate.String(), Quota: c.Limits.Quota.String(), Concurrent: c.Limits.Concurrent,
		Resources: c.Resources,
	}
	// An empty list permits no address, and no list permits any.
	if c.Addresses != nil {
		r.Addresses = new(c.Addresses.Texts())
	}
	if c.Origin != (credential.Digest{}) {
		r.Origin = c.Origin[:]
	}
	return r
}

func (r credentialRecord) unpack() (keys.Credential, error) {
	digest, err1 := unpackDigest(r.Digest)
	kind, err2 := policy.ParseKind(r.Kind)
	endpoints, err3 := unpackEndpoints(r.AllEndpoints, r.Endpoints)
	created, err4 := r.Created.time()
	modified, err5 := r.Modified.time()
	expires, err6 := r.Expires.time()
	limits, err7 := r.limits()
	var addresses policy.Addresses
	var err8 error
	if r.Addresses != nil {
		addresses, err8 = policy.ParseAddresses(*r.Addresses)
	}
	var origin credential.Digest
	var err9 error
	if r.Origin != nil {
		origin, err9 = unpackDigest(r.Origin)
	}
	return keys.Credential{
		Digest: digest, ID: r.ID, Kind: kind, UserID: r.User, AppID: r.App,
		Description: r.Description, Scopes: r.Scopes, Endpoints: endpoints,
		Disabled: r.Disabled, CreatedAt: created, ModifiedAt: modified,
		CreatedBy: r.CreatedBy, ExpiresAt: expires, Version: r.Version, Seq: r.Seq,
		Idle: time.Duration(r.Idle), Address: r.Address, RotatedFrom: r.RotatedFrom, RotatedTo: r.RotatedTo,
		UserAgent: r.UserAgent, Plan: r.Plan, Limits: limits, Addresses: addresses, Resources: r.Resources, Origin: origin,
	}, errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9)
}

func (r credentialRecord) limits() (l policy.Limits, err error) {
	l.Concurrent = r.Concurrent
	if r.Rate != "" {
		if l.Rate, err = policy.ParseRate(r.Rate); err != nil {
			return l, err
		}
	}
	if r.Quota != "" {
		if l.Quota, err = policy.ParseQuota(r.Quota); err != nil {
			return l, err
		}
	}
	return l, l.Check()
}

type collaboratorRecord struct {
	Owner        string   `cbor:"1,keyasint"`
	App          string   `cbor:"2,keyasint"`
	User         string   `cbor:"3,keyasint"`
	Scopes       []string `cbor:"4,keyasint,omitempty"`
	AllEndpoints bool     `cbor:"5,keyasint,omitempty"`
	Endpoints    []string `cbor:"6,keyasint,omitempty"`
	Created      *stamp   `cbor:"7,keyasint,omitempty"`
	Modified     *stamp   `cbor:"8,keyasint,omitempty"`
	Seq          uint64   `cbor:"9,keyasint"`
	Version      uint64   `cbor:"10,keyasint,omitempty"`
	CreatedBy    string   `cbor:"11,keyasint,omitempty"`
}

func packCollaborator(c keys.Collaborator) collaboratorRecord {
	return collaboratorRecord{
		Owner: c.OwnerID, App: c.AppID, User: c.UserID,
		Scopes: c.Scopes, AllEndpoints: c.Endpoints == nil, Endpoints: c.Endpoints,
		Created: packTime(c.CreatedAt), Modified: packTime(c.ModifiedAt), Version: c.Version, Seq: c.Seq,
		CreatedBy: c.CreatedBy,
	}
}

func (r collaboratorRecord) unpack() (keys.Collaborator, error) {
	endpoints, err1 := unpackEndpoints(r.AllEndpoints, r.Endpoints)
	created, err2 := r.Created.time()
	modified, err3 := r.Modified.time()
	return keys.Collaborator{
		CollaboratorRef: keys.CollaboratorRef{AppRef: keys.AppRef{OwnerID: r.Owner, AppID: r.App}, UserID: r.User},
		Scopes:          r.Scopes, Endpoints: endpoints,
		CreatedAt: created, ModifiedAt: modified, Version: r.Version, Seq: r.Seq, CreatedBy: r.CreatedBy,
	}, errors.Join(err1, err2, err3)
}

type deletionRecord struct {
	Owner     string `cbor:"1,keyasint"`
	App       string `cbor:"2,keyasint,omitempty"`
	At        *stamp `cbor:"3,keyasint,omitempty"`
	Actor     string `cbor:"4,keyasint,omitempty"`
	ActorUser string `cbor:"5,keyasint,omitempty"`
	Address   string `cbor:"6,keyasint,omitempty"`
}

func packDeletion(d keys.Deletion) deletionRecord {
	return deletionRecord{
		Owner: d.OwnerID, App: d.AppID, At: packTime(d.At),
		Actor: d.By.ID, ActorUser: d.By.UserID, Address: d.By.Address,
	}
}

func (r deletionRecord) unpack() (keys.Deletion, error) {
	at, err := r.At.time()
	return keys.Deletion{
		AppRef: keys.AppRef{OwnerID: r.Owner, AppID: r.App}, At: at,
		By: keys.Actor{ID: r.Actor, UserID: r.ActorUser, Address: r.Address},
	}, err
}

type tombstoneRecord struct {
	Digest []byte `cbor:"1,keyasint"`
	ID     string `cbor:"2,keyasint,omitempty"`
	At     *stamp `cbor:"3,keyasint,omitempty"`
	Reason string `cbor:"4,keyasint,omitempty"`
	User   string `cbor:"5,keyasint,omitempty"`
	By     string `cbor:"6,keyasint,omitempty"`
}

func packTombstone(t keys.Tombstone) tombstoneRecord {
	return tombstoneRecord{Digest: t.Digest[:], ID: t.ID, User: t.UserID, By: t.CreatedBy, At: packTime(t.At), Reason: t.Reason}
}

func (r tombstoneRecord) unpack() (keys.Tombstone, error) {
	digest, err1 := unpackDigest(r.Digest)
	at, err2 := r.At.time()
	return keys.Tombstone{Digest: digest, ID: r.ID, UserID: r.User, CreatedBy: r.By, At: at, Reason: r.Reason}, errors.Join(err1, err2)
}

type auditRecord struct {
	Seq          uint64 `cbor:"1,keyasint"`
	At           *stamp `cbor:"2,keyasint"`
	Actor        string `cbor:"3,keyasint,omitempty"`
	ActorUser    string `cbor:"4,keyasint,omitempty"`
	Address      string `cbor:"5,keyasint,omitempty"`
	Action       string `cbor:"6,keyasint"`
	User         string `cbor:"7,keyasint,omitempty"`
	App          string `cbor:"8,keyasint,omitempty"`
	Key          string `cbor:"9,keyasint,omitempty"`
	Collaborator string `cbor:"10,keyasint,omitempty"`
	Before       []byte `cbor:"11,keyasint,omitempty"`
	After        []byte `cbor:"12,keyasint,omitempty"`
	Previous     []byte `cbor:"13,keyasint"`
	Hash         []byte `cbor:"14,keyasint"`
}

func packAuditEntry(e keys.AuditEntry) auditRecord {
	return auditRecord{
		Seq: e.Seq, At: packTime(e.At), Actor: e.ActorID, ActorUser: e.ActorUserID, Address: e.Address,
		Action: e.Action, User: e.UserID, App: e.AppID, Key: e.KeyID, Collaborator: e.CollaboratorID,
		Before: e.Before, After: e.After, Previous: e.Previous[:], Hash: e.Hash[:],
	}
}

func (r auditRecord) unpack() (keys.AuditEntry, error) {
	at, err1 := r.At.time()
	previous, err2 := unpackDigest(r.Previous)
	hash, err3 := unpackDigest(r.Hash)
	return keys.AuditEntry{
		Seq: r.Seq, At: at, ActorID: r.Actor, ActorUserID: r.ActorUser, Address: r.Address, Action: r.Action,
		Subject: keys.Subject{UserID: r.User, AppID: r.App, KeyID: r.Key, CollaboratorID: r.Collaborator},
		Before:  r.Before, After: r.After, Previous: previous, Hash: hash,
	}, errors.Join(err1, err2, err3)
}

type auditHeadRecord struct {
	First  uint64 `cbor:"1,keyasint"`
	Anchor []byte `cbor:"2,keyasint"`
	Last   uint64 `cbor:"3,keyasint"`
	Hash   []byte `cbor:"4,keyasint"`
}

func packAuditHead(h keys.AuditHead) auditHeadRecord {
	return auditHeadRecord{First: h.First, Anchor: h.Anchor[:], Last: h.Last, Hash: h.Hash[:]}
}

func (r auditHeadRecord) unpack() (keys.AuditHead, error) {
	anchor, err1 := unpackDigest(r.Anchor)
	hash, err2 := unpackDigest(r.Hash)
	return keys.AuditHead{First: r.First, Anchor: anchor, Last: r.Last, Hash: hash}, errors.Join(err1, err2)
}

// usageRecord contains the digest, because every record contains its own key.
type usageRecord struct {
	Digest  []byte `cbor:"1,keyasint"`
	At      *stamp `cbor:"2,keyasint"`
	Address string `cbor:"3,keyasint,omitempty"`
}

// usage is the last use of a credential.
type usage struct {
	keys.Usage
	digest credential.Digest
}

func packUsage(u usage) usageRecord {
	return usageRecord{Digest: u.digest[:], At: packTime(u.At), Address: u.Address}
}

func (r usageRecord) unpack() (usage, error) {
	digest, err1 := unpackDigest(r.Digest)
	at, err2 := r.At.time()
	return usage{keys.Usage{At: at, Address: r.Address}, digest}, errors.Join(err1, err2)
}

func packDigests(list []credential.Digest) [][]byte {
	var stored [][]byte
	for _, d := range list {
		stored = append(stored, d[:])
	}
	return stored
}

func unpackDigests(stored [][]byte) ([]credential.Digest, error) {
	var list []credential.Digest
	for _, s := range stored {
		d, err := unpackDigest(s)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

func unpackDigest(stored []byte) (d credential.Digest, err error) {
	if copy(d[:], stored) != len(stored) || len(stored) != len(d) {
		return d, errors.New("its digest has the wrong length")
	}
	return d, nil
}

// unpackEndpoints returns nil, which means all endpoints, only if the record says
// all. A missing list grants none.
func unpackEndpoints(all bool, stored []string) ([]string, error) {
	switch {
	case all && len(stored) > 0:
		return nil, errors.New("it has a list of endpoints, and all of them")
	case all:
		return nil, nil
	case stored == nil:
		return []string{}, nil
	}
	return stored, nil
}
