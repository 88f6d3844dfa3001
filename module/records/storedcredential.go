package records

import (
	"errors"
	"time"

	"github.com/caddy-api-keys/gateway/module/credential"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/policy"
)

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
