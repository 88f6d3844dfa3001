package records

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
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
