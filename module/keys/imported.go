package keys

import (
	"math"
	"strings"
)

// The length of a credential that was minted elsewhere, in bytes. The gate
// looks at none that is longer.
const (
	minImported = 16
	maxImported = 512
)

// CheckImported refuses the text of a credential that can't be imported: what
// no client could present, and what has our form but not its checksum, which
// the gate refuses without a look-up.
func CheckImported(text string) error {
	const field = "credential"
	switch {
	case len(text) < minImported || len(text) > maxImported:
		return invalid(field, "it has %d bytes; those of %d to %d can be imported: give its holder a new key", len(text), minImported, maxImported)
	case strings.ContainsFunc(text, func(c rune) bool { return c < 0x21 || c > 0x7e || c == ',' }):
		return invalid(field, "it has a space, a comma, or a character that is no visible ASCII, which can't be sent as a credential: give its holder a new key")
	case FormOf(text) == Forged:
		return invalid(field, "it has the form of keys of this program, but its checksum is wrong: it was mistyped or cut off")
	}
	return nil
}

// MinBits is the strength below which [Bits] counts as guessable. It takes the
// largest of guessing machines years; keys are as a rule of 128 bits and more.
const MinBits = 80

// commonWords are those that people make credentials of. Each counts as one
// character.
var commonWords = []string{
	"password", "passwort", "secret", "changeme", "welcome", "letmein", "qwerty", "apikey", "api-key", "api_key",
	"token", "admin", "login", "master", "default", "example", "sample", "testing", "test", "demo", "foobar",
	"local", "staging", "production", "prod", "mobile", "client", "service", "company", "key", "app", "user",
}

// Bits estimates how much somebody would have to guess who knows what the
// credential is made of: the number of characters that can't be told from those
// before them, each worth the logarithm of how many there are to choose from
// (10 digits, 16 of hexadecimal, 26 letters of a case, 33 marks). A character
// that continues a run (aaa, 123, cba), repeats what stood earlier in the text,
// or is part of a common word is worth nothing.
//
// It is an upper bound that catches what a person has thought of; a text that
// passes may still be known to somebody.
func Bits(text string) float64 {
	free := make([]bool, len(text)) // by character, whether it can't be told
	for i := range free {
		free[i] = true
	}
	lower := lowered(text)
	for _, word := range commonWords {
		for at := 0; ; {
			i := strings.Index(lower[at:], word)
			if i < 0 {
				break
			}
			at += i + len(word)
			for j := at - len(word) + 1; j < at; j++ {
				free[j] = false
			}
		}
	}
	for i := 2; i < len(lower); i++ {
		if step := int(lower[i]) - int(lower[i-1]); step >= -1 && step <= 1 && int(lower[i-1])-int(lower[i-2]) == step {
			free[i] = false
		}
		// What stood earlier: the four that end here.
		if i >= 4 && strings.Contains(lower[:i], lower[i-3:i+1]) {
			free[i] = false
		}
	}
	n := 0
	for _, f := range free {
		if f {
			n++
		}
	}
	return float64(n) * math.Log2(float64(alphabet(text)))
}

// lowered is a text in small letters, byte by byte: what isn't ASCII stays, for
// another length would make the places of text and free differ.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// alphabet is how many characters there are of the sorts that a text has.
func alphabet(text string) int {
	const digits, hex, letters, marks = 10, 16, 26, 33
	var digit, lower, upper, beyondF, mark bool
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9':
			digit = true
		case c >= 'a' && c <= 'z':
			lower = true
			beyondF = beyondF || c > 'f'
		case c >= 'A' && c <= 'Z':
			upper = true
			beyondF = beyondF || c > 'F'
		default:
			// The hyphens of a UUID and the like are nothing to guess.
			mark = mark || c != '-' && c != '_' && c != '.'
		}
	}
	if !beyondF && !mark && (lower != upper) {
		return hex
	}
	n := 0
	for _, sort := range []struct {
		there bool
		size  int
	}{{digit, digits}, {lower, letters}, {upper, letters}, {mark, marks}} {
		if sort.there {
			n += sort.size
		}
	}
	return max(n, 2)
}
