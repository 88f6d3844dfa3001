package credential

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// The form of a credential of ours:
//
//	<brand><kind>_<id, 12 base62>_<secret, 32 base62><crc, 6 base62>
//
// kind is k, p or s. The CRC-32 (IEEE) is over all before it, so that a
// mistyped or made-up credential is refused without a look-up. With the
// default brand it is 55 bytes, one block of SHA-256.
const (
	idLength     = 12
	secretLength = 32
	crcLength    = 6
	maxBrand     = 10
	tailLength   = 1 + idLength + 1 + secretLength + crcLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// DefaultBrand is the brand of minted credentials unless the configuration sets
// another.
const DefaultBrand = "ca"

var kindLetters = map[policy.Kind]byte{policy.AppKey: 'k', policy.PAT: 'p', policy.Session: 's'}

// Digest is the SHA-256 of a whole credential. Nothing else of the text is
// stored.
type Digest [sha256.Size]byte

// DigestOf hashes the text of a credential.
func DigestOf(credential string) Digest {
	// The text is copied to the stack, because a conversion would allocate.
	var text [512]byte
	if len(credential) <= len(text) {
		return sha256.Sum256(text[:copy(text[:], credential)])
	}
	return sha256.Sum256([]byte(credential))
}

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// CheckBrand returns an error if brand can't begin a credential.
func CheckBrand(brand string) error {
	if !isBrand(brand) {
		return fmt.Errorf("key prefix %q: use 1 to 10 of a-z and 0-9", brand)
	}
	return nil
}

func isBrand(s string) bool {
	return len(s) >= 1 && len(s) <= maxBrand && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// Mint makes a new credential of a kind. It returns the text, to be shown once,
// and the key ID.
func Mint(brand string, kind policy.Kind) (credential, id string) {
	// Rejection keeps every character equally likely: 256 is not a multiple of
	// 62, so bytes from 248 up are thrown away.
	text := make([]byte, 0, idLength+secretLength)
	var random [64]byte
	for len(text) < cap(text) {
		rand.Read(random[:]) //nolint:errcheck // it never fails (crypto/rand, since Go 1.24)
		for _, b := range random {
			if b < 248 && len(text) < cap(text) {
				text = append(text, base62[b%62])
			}
		}
	}
	id = brand + string(kindLetters[kind]) + "_" + string(text[:idLength])
	body := id + "_" + string(text[idLength:])
	return body + checksum(body), id
}

// NewID makes a key ID for a credential that was minted elsewhere.
func NewID(brand string, kind policy.Kind) string {
	_, id := Mint(brand, kind)
	return id
}

// Form is the form of a credential's text.
type Form uint8

// The forms of a text.
const (
	// Foreign is a text that doesn't have our form. It may have been minted
	// elsewhere and imported.
	Foreign Form = iota
	// Genuine is of our form, with the right checksum.
	Genuine
	// Forged is of our form, but its checksum is wrong. It can't have been
	// minted or imported, so it is unknown without a look-up.
	Forged
)

// FormOf returns the form of a text. It doesn't allocate.
func FormOf(text string) Form {
	head := len(text) - tailLength
	if head < 2 || !isHead(text[:head]) {
		return Foreign
	}
	tail := text[head:]
	if tail[0] != '_' || tail[1+idLength] != '_' || !isBase62(tail[1:1+idLength]) || !isBase62(tail[2+idLength:]) {
		return Foreign
	}
	body := len(text) - crcLength
	var sum [crcLength]byte
	putChecksum(&sum, text[:body])
	if text[body:] != string(sum[:]) {
		return Forged
	}
	return Genuine
}

// IsKeyID reports whether a text has the form of a key ID.
func IsKeyID(text string) bool {
	head := len(text) - idLength - 1
	return head >= 2 && isHead(text[:head]) && text[head] == '_' && isBase62(text[head+1:])
}

// isHead reports whether a text of two bytes or more is a brand and a kind.
func isHead(text string) bool {
	last := len(text) - 1
	return isBrand(text[:last]) && strings.IndexByte("kps", text[last]) >= 0
}

// Redact shortens a possible credential to a text that may be shown: the first
// characters of the key ID if the text has our form, otherwise nothing.
func Redact(text string) string {
	if FormOf(text) == Foreign {
		return "…"
	}
	return text[:len(text)-tailLength+4] + "…"
}

func isBase62(s string) bool {
	for i := range len(s) {
		if !inBase62[s[i]] {
			return false
		}
	}
	return true
}

// inBase62 holds true for the characters of base62.
var inBase62 = func() (in [256]bool) {
	for i := range len(base62) {
		in[base62[i]] = true
	}
	return in
}()

func checksum(body string) string {
	var sum [crcLength]byte
	putChecksum(&sum, body)
	return string(sum[:])
}

func putChecksum(sum *[crcLength]byte, body string) {
	crc := crcOf(body)
	for i := crcLength - 1; i >= 0; i-- {
		sum[i] = base62[crc%62]
		crc /= 62
	}
}

// crcOf returns the CRC-32 (IEEE), four bytes at a time. crc32.ChecksumIEEE
// would make the string escape into a copy.
func crcOf(s string) uint32 {
	crc := ^uint32(0)
	for ; len(s) >= 4; s = s[4:] {
		crc ^= uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
		crc = crcTables[3][byte(crc)] ^ crcTables[2][byte(crc>>8)] ^ crcTables[1][byte(crc>>16)] ^ crcTables[0][crc>>24]
	}
	for i := range len(s) {
		crc = crcTables[0][byte(crc)^s[i]] ^ crc>>8
	}
	return ^crc
}

// crcTables are the CRC-32 of each byte followed by none, one, two and three
// zero bytes ("slicing").
var crcTables = func() (tables [4]crc32.Table) {
	tables[0] = *crc32.IEEETable
	for i := range tables[0] {
		for n := 1; n < len(tables); n++ {
			before := tables[n-1][i]
			tables[n][i] = tables[0][byte(before)] ^ before>>8
		}
	}
	return tables
}()
