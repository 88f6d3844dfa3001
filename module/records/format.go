package records

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Format is the current format. The meta bucket of a store has its format.
const Format = 5

const formatName = "caddy-api-keys "

// ErrNoStore is returned for a revision that doesn't belong to a key store.
var ErrNoStore = errors.New("it is not a key store")

// FormatOf returns the format of a key store, which may be newer than [Format]. It
// returns [ErrNoStore] if there is no store.
func FormatOf(r Reader) (int, error) {
	number, ours := strings.CutPrefix(string(r.Get(metaBucket, formatKey)), formatName)
	if !ours {
		return 0, ErrNoStore
	}
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("its format %q is not a number", number)
	}
	return version, nil
}

// Buckets returns the names of all buckets that a store of a format has.
func Buckets(format int) [][]byte {
	switch format {
	case 1:
		return slices.Clone(firstBuckets)
	case 2:
		return slices.Clone(secondBuckets)
	}
	return slices.Clone(buckets)
}

// Initialize makes a key store in an empty revision that has all buckets.
func Initialize(w Writer) error {
	if err := identify(w); err != nil {
		return err
	}
	return writeFormat(w)
}

func writeFormat(w Writer) error {
	return w.Put(metaBucket, formatKey, fmt.Append(nil, formatName, Format))
}
