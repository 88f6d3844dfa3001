package records

import (
	"crypto/rand"
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// storeIDKey is the key of the meta bucket for the ID of the store. A new store
// gets an ID, and its backups keep it.
var storeIDKey = []byte("store_id")

type storeIDRecord struct {
	ID []byte `cbor:"1,keyasint"`
}

// nonceSize is the size of a store ID and of a mark, in bytes. It is large enough
// that no two are the same.
const nonceSize = 16

func nonce() (n [nonceSize]byte) {
	_, _ = rand.Read(n[:]) // never fails
	return n
}

// identify gives a store an ID.
func identify(w Writer) error {
	id := nonce()
	value, err := seal(storeIDRecord{ID: id[:]})
	if err != nil {
		return fmt.Errorf("storing the ID of the store: %w", err)
	}
	return w.Put(metaBucket, storeIDKey, value)
}

// storeID returns the ID of a store, or "" for one of format 1.
func storeID(r Reader) (string, error) {
	value := r.Get(metaBucket, storeIDKey)
	if value == nil {
		if format, err := FormatOf(r); err == nil && format == 1 {
			return "", nil
		}
	}
	var stored storeIDRecord
	err := unseal(value, &stored)
	if err == nil && len(stored.ID) != nonceSize {
		err = fmt.Errorf("it has %d bytes", len(stored.ID))
	}
	if err != nil {
		return "", fmt.Errorf("%w: the ID of the store: %w", keys.ErrCorrupt, err)
	}
	return string(stored.ID), nil
}
