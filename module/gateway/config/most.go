package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Most is how many of something there may be: a number, or off. 0 is the
// default.
type Most int

// noBound is off.
const noBound Most = -1

// ParseMost reads a number of at least 1, or off.
func ParseMost(text string) (Most, error) {
	if text == "off" {
		return noBound, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a number of at least 1; write one, or off", text)
	}
	return Most(n), nil
}

// MarshalJSON writes a number, or "off".
func (m Most) MarshalJSON() ([]byte, error) {
	if m == noBound {
		return []byte(`"off"`), nil
	}
	return json.Marshal(int(m))
}

// UnmarshalJSON reads what MarshalJSON writes.
func (m *Most) UnmarshalJSON(text []byte) (err error) {
	*m, err = ParseMost(string(bytes.Trim(text, `"`)))
	return err
}

// Valid reports whether it is a number, off or the default.
func (m Most) Valid() bool { return m >= noBound }

// Or returns the number, 0 for no bound, and otherwise for the default.
func (m Most) Or(otherwise int) int {
	switch m {
	case 0:
		return otherwise
	case noBound:
		return 0
	}
	return int(m)
}
