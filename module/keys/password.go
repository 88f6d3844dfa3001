package keys

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The parameters of argon2id that OWASP recommends (Password Storage Cheat
// Sheet): 19 MiB of memory, two passes, one lane. They stand in every hash, so
// that they can be raised without making the old ones unreadable.
const (
	argonMemory = 19 * 1024 // KiB
	argonPasses = 2
	argonLanes  = 1
	argonSalt   = 16 // bytes
	argonKey    = 32 // bytes
	minPassword = 8  // characters
	maxPassword = 1024
	phcForm     = "$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s"
)

// hashing bounds how many hashes are worked out at a time: each takes its
// memory and a core, so more of them at once would only starve the requests
// that the gate serves meanwhile.
var hashing = make(chan struct{}, runtime.GOMAXPROCS(0))

// HashPassword hashes a password with argon2id, in PHC's form. It waits where
// others are hashing, until ctx is done. A password that can't be one is
// refused with an [InvalidError], which doesn't repeat it.
func HashPassword(ctx context.Context, password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	select {
	case hashing <- struct{}{}:
		defer func() { <-hashing }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	salt := make([]byte, argonSalt)
	rand.Read(salt) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	key := argon2.IDKey([]byte(password), salt, argonPasses, argonMemory, argonLanes, argonKey)
	text := base64.RawStdEncoding
	return fmt.Sprintf(phcForm, argon2.Version, argonMemory, argonPasses, argonLanes,
		text.EncodeToString(salt), text.EncodeToString(key)), nil
}

// checkPassword asks for length alone, as NIST SP 800-63B (section 5.1.1.2)
// advises: rules about the characters make passwords worse.
func checkPassword(password string) error {
	switch {
	case !utf8.ValidString(password):
		return invalid("password", "it is not valid UTF-8")
	case utf8.RuneCountInString(password) < minPassword:
		return invalid("password", "fewer than %d characters; use a longer one", minPassword)
	case len(password) > maxPassword:
		return invalid("password", "more than %d bytes; use a shorter one", maxPassword)
	}
	return nil
}
