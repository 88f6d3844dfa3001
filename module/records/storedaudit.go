package records

import (
	"errors"

	"github.com/caddy-api-keys/gateway/module/keys"
)

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
