package signin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"

	"github.com/caddy-api-keys/gateway/module/turns"
)

// newHash are the parameters of argon2id that OWASP recommends (Password Storage
// Cheat Sheet): 19 MiB of memory, two passes, one lane. Every hash contains
// them, so that they can be raised without making old hashes unreadable.
var newHash = argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// The bounds of a password.
const (
	minPassword = 8    // characters
	maxPassword = 1024 // bytes
)

// Upper limits for the parameters of a stored hash, so that a manipulated hash
// can't exhaust the machine. The most memory that OWASP recommends is 46 MiB.
const (
	mostMemory  = 64 * 1024 // KiB
	mostPasses  = 10
	mostLanes   = 4
	mostSalt    = 64 // bytes
	mostKey     = 64 // bytes
	fewestBytes = 8  // of a salt, argon2's own least
	fewestOfKey = 16
	longestHash = 256 // of the text
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

// decoy is the hash for accounts that don't exist. Checking a password against
// it costs as much as any other check, and no password matches it.
var decoy = phc(&newHash, make([]byte, newHash.SaltLength), make([]byte, newHash.KeyLength))

// HashPassword hashes a password with argon2id, in PHC's form. It waits until a
// hasher is free or ctx is done, or returns [ErrBusy]. For an unacceptable
// password it returns a [PasswordError]. about are texts that others know of the
// user, such as the e-mail address, which make a bad password.
func HashPassword(ctx context.Context, password string, about ...string) (string, error) {
	return hashPassword(ctx, ownTurns, password, about)
}

// HashPassword is [HashPassword] on behalf of an attempt: its account waits for
// its own turn.
func (a *Attempt) HashPassword(ctx context.Context, password string, about ...string) (string, error) {
	return hashPassword(ctx, a.holder, password, about)
}

func hashPassword(ctx context.Context, holder uint64, password string, about []string) (string, error) {
	if err := checkPassword(password, about); err != nil {
		return "", err
	}
	done, err := awaitTurn(ctx, holder)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	defer done()
	return argon2id.CreateHash(password, &newHash)
}

// awaitTurn waits until it is the holder's turn to compute a hash. The hasher is
// free again once done was called.
func awaitTurn(ctx context.Context, holder uint64) (done func(), err error) {
	if err := hashing.Wait(ctx, holder); errors.Is(err, turns.ErrFull) {
		return nil, ErrBusy
	} else if err != nil {
		return nil, err
	}
	hashed.Add(1)
	return hashing.Done, nil
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
	against := decoy
	if hash != "" {
		if _, err := readHash(hash); err != nil {
			return false, err
		}
		against = hash
	}
	done, err := awaitTurn(ctx, holder)
	if err != nil {
		return false, fmt.Errorf("checking a password: %w", err)
	}
	defer done()
	same, err := argon2id.ComparePasswordAndHash(password, against)
	return same && hash != "", err
}

// ErrHash is returned for a hash that can't be parsed. It has no details,
// because nobody may see a hash.
var ErrHash = errors.New("a password's hash is not argon2id's in PHC's form, or asks for more than it may; give the user another password")

// readHash reads the parameters of a hash in PHC's form. argon2id reads several
// ways to write one hash, of which one is right here, and any parameters, of
// which some would exhaust the machine or panic.
func readHash(hash string) (*argon2id.Params, error) {
	if len(hash) > longestHash {
		return nil, ErrHash
	}
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil || !bounded(p) || phc(p, salt, key) != hash {
		return nil, ErrHash
	}
	return p, nil
}

// bounded reports whether a hash asks for what a hash may.
func bounded(p *argon2id.Params) bool {
	lanes := uint32(p.Parallelism)
	return between(lanes, 1, mostLanes) &&
		between(p.Memory, 8*lanes, mostMemory) && // RFC 9106, section 3.1
		between(p.Iterations, 1, mostPasses) &&
		between(p.SaltLength, fewestBytes, mostSalt) &&
		between(p.KeyLength, fewestOfKey, mostKey)
}

func between(n, least, most uint32) bool { return n >= least && n <= most }

// phc writes a hash in PHC's form, as argon2id does.
func phc(p *argon2id.Params, salt, key []byte) string {
	text := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, p.Memory, p.Iterations, p.Parallelism, text.EncodeToString(salt), text.EncodeToString(key))
}

// checkPassword asks for length, and that the password isn't a common one, as NIST
// SP 800-63B (section 5.1.1.2) advises: rules about the characters make passwords
// worse.
func checkPassword(password string, about []string) error {
	switch {
	case !utf8.ValidString(password):
		return &PasswordError{"it is not valid UTF-8"}
	case utf8.RuneCountInString(password) < minPassword:
		return &PasswordError{fmt.Sprintf("fewer than %d characters; use a longer one", minPassword)}
	case len(password) > maxPassword:
		return &PasswordError{fmt.Sprintf("more than %d bytes; use a shorter one", maxPassword)}
	case common(password, about):
		return &PasswordError{"it is among the first that attackers try; use several unrelated words, or let a password manager make one"}
	}
	return nil
}
