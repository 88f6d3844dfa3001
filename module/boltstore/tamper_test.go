package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"github.com/fxamacker/cbor/v2"
	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Functions that change a file behind the back of a store.

// change writes records, and passes over what the directory would also change.
func change(tx *bolt.Tx, fn func(keys.Writer) error) error {
	_, err := records.Apply(newRevision(tx), maxWrites, fn)
	return err
}

// sealed is a value as records are stored: CBOR and its CRC-32C.
func sealed(stored any) []byte {
	body, err := cbor.Marshal(stored)
	if err != nil {
		panic(err)
	}
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

// place is the key of the seq-th record under a prefix.
func place(prefix string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(prefix), seq)
}

// deleteUnder deletes all keys of a bucket that begin with prefix.
func deleteUnder(tx *bolt.Tx, bucket, prefix string) error {
	b := tx.Bucket([]byte(bucket))
	c := b.Cursor()
	for k, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(k, []byte(prefix)); k, _ = c.Seek([]byte(prefix)) {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
