package credential

import (
	"math"
	"strings"
)

// MinBits is the strength below which a text counts as guessable (see [Bits]).
// Guessing this many bits takes the largest guessing machines years. Keys
// usually have 128 bits or more.
const MinBits = 80

// commonWords are words that people often use in credentials. Each counts as
// one character.
var commonWords = []string{
	"password", "passwort", "secret", "changeme", "welcome", "letmein", "qwerty", "apikey", "api-key", "api_key",
	"token", "admin", "login", "master", "default", "example", "sample", "testing", "test", "demo", "foobar",
	"local", "staging", "production", "prod", "mobile", "client", "service", "company", "key", "app", "user",
}

// Bits estimates how much someone would have to guess who knows how the
// credential is made. It counts the characters that can't be predicted from
// those before them, each worth the logarithm of the number of possible
// characters (10 digits, 16 of hexadecimal, 26 letters of a case, 33 marks). A
// character that continues a run (aaa, 123, cba), repeats what stood earlier in
// the text, or is part of a common word is worth nothing.
//
// It is an upper bound that catches texts invented by people. A text that
// passes may still be known to someone.
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

// lowered returns a text in lower case, byte by byte. Other than ASCII it
// changes nothing, because another length would make the positions of text and
// free differ.
func lowered(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// alphabet returns how many characters exist of the kinds that a text has.
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
