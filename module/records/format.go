package records

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Format is the format that is written here. It stands in the meta bucket.
const Format = 3

const formatName = "caddy-api-keys "

// ErrNoStore is returned for a revision that is not a key store's.
var ErrNoStore = errors.New("it is not a key store")

// FormatOf returns the format of a key store, which may be newer than [Format].
// It returns [ErrNoStore] if there is none.
func FormatOf(r Reader) (int, error) {
	number, ours := strings.CutPrefix(string(r.Get(metaBucket, formatKey)), formatName)
	if !ours {
		return 0, ErrNoStore
	}
	version, err := strconv.Atoi(number)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("its format is %q", number)
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

// Initialize makes a key store of an empty revision, whose buckets are there.
func Initialize(w Writer) error {
	if err := identify(w); err != nil {
		return err
	}
	return writeFormat(w)
}

func writeFormat(w Writer) error {
	return w.Put(metaBucket, formatKey, fmt.Append(nil, formatName, Format))
}
