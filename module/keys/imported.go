package keys

import (
	"strings"

	"github.com/caddy-api-keys/gateway/module/credential"
)

// The length of a credential that was minted elsewhere, in bytes. The gate
// ignores longer ones.
const (
	minImported = 16
	maxImported = 512
)

// CheckImported returns an error if the text can't be imported as a credential.
// No client could present it, or it has our form but a wrong checksum, which
// the gate refuses without a look-up.
func CheckImported(text string) error {
	const field = "credential"
	switch {
	case len(text) < minImported || len(text) > maxImported:
		return invalid(field, "it has %d bytes; those of %d to %d can be imported: give its holder a new key", len(text), minImported, maxImported)
	case strings.ContainsFunc(text, func(c rune) bool { return c < 0x21 || c > 0x7e || c == ',' }):
		return invalid(field, "it has a space, a comma, or a character that isn't visible ASCII, which can't be sent as a credential: give its holder a new key")
	case credential.FormOf(text) == credential.Forged:
		return invalid(field, "it has the form of keys of this program, but its checksum is wrong: it was mistyped or cut off")
	}
	return nil
}
