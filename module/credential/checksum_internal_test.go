package credential

import (
	"hash/crc32"
	"strings"
	"testing"
)

func TestChecksumIsCRC32(t *testing.T) {
	text := strings.Repeat("cak_0aZ~\x00é", 10)
	for end := range len(text) {
		if got, want := crcOf(text[:end]), crc32.ChecksumIEEE([]byte(text[:end])); got != want {
			t.Errorf("%d bytes: %08x, want %08x", end, got, want)
		}
	}
}
