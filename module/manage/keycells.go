package manage

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Cell returns the value of a [KeyField] for programs, as a cell of CSV.
func Cell(value any) string {
	switch v := value.(type) {
	case []string:
		return strings.Join(v, " ")
	case *time.Time:
		if v == nil || v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	default:
		return fmt.Sprint(v)
	}
}

// NoFormula keeps a spreadsheet from taking a text for a formula, because users
// write texts that others open.
func NoFormula(text string) string {
	if first, size := utf8.DecodeRuneInString(text); size > 0 && strings.ContainsRune("=+-@\t\r＝＋－＠", first) {
		return "'" + text
	}
	return text
}
