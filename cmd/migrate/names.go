package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxID is the length of the longest user ID, in bytes.
const maxID = 48

// userID turns a name in a file into a user ID. A name that isn't an ID gets - for
// its other characters, and the beginning of its SHA-256 at its end, so that two
// names such as a.b and a-b never become one user.
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

// oldName returns the name of a key in a file: its owner, and its ID if it has
// one.
func oldName(owner, id string) string {
	if id == "" {
		return owner
	}
	return owner + ", key " + id
}
