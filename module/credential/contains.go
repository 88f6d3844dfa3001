package credential

import "strings"

// Contains reports whether a text contains a credential of our form with the
// right checksum. It doesn't allocate, and reads little of a text without an
// underscore.
func Contains(text string) bool {
	for i := 2; ; i++ {
		next := strings.IndexByte(text[min(i, len(text)):], '_')
		if next < 0 {
			return false
		}
		i += next
		if containsAt(text, i) {
			return true
		}
	}
}

// containsAt reports whether the underscore at i is the first of a credential.
func containsAt(text string, i int) bool {
	end := i + tailLength
	if end > len(text) || text[i+1+idLength] != '_' || strings.IndexByte("kps", text[i-1]) < 0 ||
		!isBase62(text[i+1:i+1+idLength]) || !isBase62(text[i+2+idLength:end]) {
		return false
	}
	// The beginning of the brand can't be seen, but the checksum covers it.
	for head := i - 2; head >= 0 && head >= i-1-maxBrand && isBrand(text[head:head+1]); head-- {
		if FormOf(text[head:end]) == Genuine {
			return true
		}
	}
	return false
}
