package keys

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// importPrefix begins the name of an import. It can't begin a key ID, and
// differs from [Operator].
const importPrefix = "(import "

// ImportSource is where the keys of one batch of an import come from.
type ImportSource struct {
	// Digest is the SHA-256 of the file or, if there is no file, of the digests
	// of the keys.
	Digest credential.Digest
	// FirstLine and LastLine are the lines of the file that hold the batch. They
	// are 0 if there is no file.
	FirstLine, LastLine int
}

// Name is the name of the import, which its keys have as their CreatedBy. An
// import that is repeated has the same name.
func (s ImportSource) Name() string {
	return importPrefix + hex.EncodeToString(s.Digest[:8]) + ")"
}

// IsKeyID reports whether the CreatedBy of a record is the key ID of a
// credential, and neither [Operator] nor an import.
func IsKeyID(createdBy string) bool {
	return createdBy != "" && createdBy != Operator && !strings.HasPrefix(createdBy, importPrefix)
}

// batch is what a change has imported. The audit log gets one entry for it.
type batch struct {
	from ImportSource
	name string // of from
	keys int
	// holder is that of the last key. A change that imports deletes nothing.
	holder AppRef
	// first is one of the keys.
	first Credential
	// subject is what all keys are about.
	subject Subject
}

// ImportCredential is like [Tx.CreateCredential] for a credential that was
// minted elsewhere. The credential names the import as its creator, and all
// that a change imports share one audit entry. They come from one source.
func (tx *Tx) ImportCredential(from ImportSource, c Credential) (Credential, error) {
	b := tx.imported
	if b != nil && from != b.from {
		return Credential{}, fmt.Errorf("the keys of one change come from %s and %s", b.from.Name(), from.Name())
	}
	held := b != nil && b.holder == c.holder()
	var name string
	if b != nil {
		name = b.name // which costs less than to make it again
	} else {
		name = from.Name()
	}
	c, err := tx.putNew(c, name, held)
	if err != nil {
		return Credential{}, err
	}
	if b == nil {
		b = &batch{from: from, name: name, first: c, subject: c.about()}
		tx.imported = b
	}
	b.keys++
	b.holder = c.holder()
	b.subject = common(b.subject, c.about())
	return c, nil
}

// common returns what two keys are both about.
func common(a, b Subject) Subject {
	if a == b {
		return a
	}
	both := Subject{}
	if a.UserID == b.UserID {
		both.UserID = a.UserID
		if a.AppID == b.AppID {
			both.AppID = a.AppID
		}
	}
	return both
}

// recordImport adds the audit entry of what the change has imported.
func (tx *Tx) recordImport() error {
	b := tx.imported
	if b == nil {
		return nil
	}
	f := facts{}
	if b.keys == 1 {
		f = factsOfCredential(b.first)
	}
	f["created_by"], f["keys"] = b.from.Name(), b.keys
	if b.from.FirstLine != 0 {
		f["file_sha256"] = hex.EncodeToString(b.from.Digest[:])
		f["first_line"], f["last_line"] = b.from.FirstLine, b.from.LastLine
	}
	return tx.record(ActionKeyImport, b.subject, nil, f)
}
