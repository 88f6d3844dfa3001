package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/caddy-api-keys/gateway/module/turns"
)

// The parameters of argon2id that OWASP recommends (Password Storage Cheat
// Sheet): 19 MiB of memory, two passes, one lane. Every hash contains them, so
// that they can be raised without making old hashes unreadable.
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

// Upper limits for the parameters of a stored hash, so that a manipulated hash
// can't exhaust the machine. The most memory that OWASP recommends is 46 MiB.
const (
	mostMemory   = 64 * 1024 // KiB
	mostPasses   = 10
	mostLanes    = 4
	mostSalt     = 64 // bytes
	mostKey      = 64 // bytes
	fewestBytes  = 8  // of a salt, argon2's own least
	fewestOfKey  = 16
	longestField = 10 // digits of a number
)

// maxHashers is how many hashes are computed at a time. Each takes its memory
// and a core, and the gate keeps the other half of the cores. maxWaiting is how
// many may wait for their turn; together they wait for a second or two.
var (
	maxHashers = max(1, runtime.GOMAXPROCS(0)/2)
	maxWaiting = 32 * maxHashers

	hashing = turns.New(maxHashers, maxWaiting)
	hashed  atomic.Uint64
)

// ErrBusy is returned when so many passwords are being hashed that one more
// would have to wait too long. Try again in a second.
var ErrBusy = errors.New("too many passwords are being checked at this moment")

// PasswordError is the reason why a password is not acceptable. It doesn't
// repeat the password.
type PasswordError struct{ Reason string }

// Error returns the reason.
func (e *PasswordError) Error() string { return "password: " + e.Reason }

// ownTurns is the holder of hashes outside an attempt to sign in, such as
// passwords that the operator sets.
const ownTurns = 0

// Hashed returns how many passwords were hashed since the process began.
func Hashed() uint64 { return hashed.Load() }

// argonHash is the parsed hash of a password.
type argonHash struct {
	memory, passes uint32
	lanes          uint8
	salt, key      []byte
}

// decoy is the hash for accounts that don't exist. Checking a password against
// it costs as much as any other check, and no password matches it.
var decoy = argonHash{
	memory: argonMemory, passes: argonPasses, lanes: argonLanes,
	salt: make([]byte, argonSalt), key: make([]byte, argonKey),
}

// HashPassword hashes a password with argon2id, in PHC's form. It waits until a
// hasher is free or ctx is done, or returns [ErrBusy]. For an unacceptable
// password it returns a [PasswordError].
func HashPassword(ctx context.Context, password string) (string, error) {
	return hashPassword(ctx, ownTurns, password)
}

// HashPassword is [HashPassword] on behalf of an attempt: its account waits for
// its own turn.
func (a *Attempt) HashPassword(ctx context.Context, password string) (string, error) {
	return hashPassword(ctx, a.holder, password)
}

func hashPassword(ctx context.Context, holder uint64, password string) (string, error) {
	if err := checkPassword(password); err != nil {
		return "", err
	}
	h := decoy
	h.salt = make([]byte, argonSalt)
	rand.Read(h.salt) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
	key, err := h.derive(ctx, holder, password)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	h.key = key
	return h.String(), nil
}

// CheckPassword reports whether a hash made by [HashPassword] is that of the
// password. Without a hash, such as for an unknown user, it takes as long and
// returns false. It waits as HashPassword does. If the hash can't be parsed,
// the error wraps [ErrHash].
func CheckPassword(ctx context.Context, hash, password string) (bool, error) {
	return checkHash(ctx, ownTurns, hash, password)
}

// CheckPassword is [CheckPassword] on behalf of an attempt: its account waits
// for its own turn.
func (a *Attempt) CheckPassword(ctx context.Context, hash, password string) (bool, error) {
	return checkHash(ctx, a.holder, hash, password)
}

func checkHash(ctx context.Context, holder uint64, hash, password string) (bool, error) {
	h := decoy
	if hash != "" {
		var err error
		if h, err = parseHash(hash); err != nil {
			return false, err
		}
	}
	key, err := h.derive(ctx, holder, password)
	if err != nil {
		return false, fmt.Errorf("checking a password: %w", err)
	}
	same := subtle.ConstantTimeCompare(key, h.key) == 1
	return same && hash != "", nil
}

// derive computes the key when it is the holder's turn.
func (h *argonHash) derive(ctx context.Context, holder uint64, password string) ([]byte, error) {
	if err := hashing.Wait(ctx, holder); errors.Is(err, turns.ErrFull) {
		return nil, ErrBusy
	} else if err != nil {
		return nil, err
	}
	defer hashing.Done()
	hashed.Add(1)
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.key))), nil
}

// String returns the hash in PHC's form.
func (h *argonHash) String() string {
	text := base64.RawStdEncoding
	return fmt.Sprintf(phcForm, argon2.Version, h.memory, h.passes, h.lanes, text.EncodeToString(h.salt), text.EncodeToString(h.key))
}

// ErrHash is returned for a hash that can't be parsed. It has no details,
// because nobody may see a hash.
var ErrHash = errors.New("a password's hash is not argon2id's in PHC's form, or asks for more than it may; give the user another password")

// parseHash reads PHC's form, in which there is one way to write a hash.
func parseHash(hash string) (argonHash, error) {
	var h argonHash
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, ErrHash
	}
	numbers := strings.Split(parts[3], ",")
	if len(numbers) != 3 {
		return h, ErrHash
	}
	lanes, ok1 := parameter(numbers[2], "p=", 1, mostLanes)
	memory, ok2 := parameter(numbers[0], "m=", 8*max(lanes, 1), mostMemory) // RFC 9106, section 3.1
	passes, ok3 := parameter(numbers[1], "t=", 1, mostPasses)
	salt, ok4 := binaryField(parts[4], fewestBytes, mostSalt)
	key, ok5 := binaryField(parts[5], fewestOfKey, mostKey)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return h, ErrHash
	}
	return argonHash{memory: memory, passes: passes, lanes: uint8(lanes), salt: salt, key: key}, nil
}

func parameter(text, name string, least, most uint32) (uint32, bool) {
	digits, ok := strings.CutPrefix(text, name)
	if !ok || len(digits) > longestField {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	value := uint32(n)
	return value, err == nil && value >= least && value <= most && strconv.FormatUint(n, 10) == digits
}

func binaryField(text string, fewest, most int) ([]byte, bool) {
	if len(text) > base64.RawStdEncoding.EncodedLen(most) {
		return nil, false
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	// The decoder skips line breaks.
	return b, err == nil && len(b) >= fewest && base64.RawStdEncoding.EncodeToString(b) == text
}

// checkPassword asks for length alone, as NIST SP 800-63B (section 5.1.1.2)
// advises: rules about the characters make passwords worse.
func checkPassword(password string) error {
	switch {
	case !utf8.ValidString(password):
		return &PasswordError{"it is not valid UTF-8"}
	case utf8.RuneCountInString(password) < minPassword:
		return &PasswordError{fmt.Sprintf("fewer than %d characters; use a longer one", minPassword)}
	case len(password) > maxPassword:
		return &PasswordError{fmt.Sprintf("more than %d bytes; use a shorter one", maxPassword)}
	}
	return nil
}
