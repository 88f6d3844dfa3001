package records

import (
	"fmt"

	"github.com/caddy-api-keys/gateway/module/keys"
)

// Entry is an entry of a bucket.
type Entry struct{ Bucket, Key, Value []byte }

// CredentialBuckets returns the buckets that [EncodeCredential] makes entries of:
// that of the credentials, and their indexes.
func CredentialBuckets() [][]byte {
	names := [][]byte{credentials.bucket}
	for _, by := range credentials.indexes {
		names = append(names, by.bucket)
	}
	return names
}

// HasDeletions reports whether a store has an unfinished deletion.
func HasDeletions(r Reader) bool {
	first, _ := r.Seek(deletions.bucket, nil)
	return first != nil
}

// EncodeCredential returns the entries of a credential, the record first. Its
// Seq is given. [Load] writes what goes with them.
func EncodeCredential(c keys.Credential) ([]Entry, error) {
	key := credentials.key(c)
	value, err := credentials.encode(c)
	if err != nil {
		return nil, credentials.failed("storing", err)
	}
	entries := []Entry{{credentials.bucket, key, value}}
	for _, by := range credentials.indexes {
		if at := by.key(c); at != nil {
			entries = append(entries, Entry{by.bucket, at, key})
		}
	}
	return entries, nil
}

// DecodeCredential is the reverse of [EncodeCredential] for the record.
func DecodeCredential(key, value []byte) (keys.Credential, error) {
	return credentials.decode(key, value)
}

// Counted returns the user whose keys a credential is counted among, or "" for a
// session.
func Counted(c keys.Credential) string {
	if credentials.count(c) == nil {
		return ""
	}
	return c.UserID
}

// LastCredential returns the Seq of the newest credential.
func LastCredential(r Reader) (uint64, error) { return readSequence(r, credentials.bucket) }

// Load writes what goes with credentials whose entries are written as they are:
// the Seq of the last one, and how many keys each user has got.
func Load(w Writer, last uint64, added map[string]uint64) error {
	if err := writeSequence(w, credentials.bucket, last); err != nil {
		return fmt.Errorf("storing the order of credentials: %w", err)
	}
	for user, n := range added {
		before, err := readCount(w, keyCount(user))
		if err == nil {
			err = writeCount(w, keyCount(user), before+n)
		}
		if err != nil {
			return fmt.Errorf("storing the count of a user's keys: %w", err)
		}
	}
	return nil
}
