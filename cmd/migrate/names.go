package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxID is the longest id of a user, in bytes.
const maxID = 48

// userID is the id of a user for somebody whom the file calls name: the name
// itself, if it can be an id. Otherwise what can't be in one becomes -, and the
// beginning of the name's SHA-256 follows, so that no two names are one user:
// a.b and a-b aren't.
func userID(name string) string {
	id := strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '-'
	}, name)
	if name == "" || id == name && len(id) <= maxID && id != "me" {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "-" + hex.EncodeToString(sum[:6])
	return id[:min(len(id), maxID-len(tail))] + tail
}

// oldName is what a file calls a key: by its owner, and by its id where it has
// one.
func oldName(owner, id string) string {
	if id == "" {
		return owner
	}
	return owner + ", key " + id
}
