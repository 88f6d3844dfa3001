package manage

import (
	"fmt"
	"regexp"
	"strings"
	"time"
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

// formula matches where a cell begins a formula. In many languages spreadsheets
// separate cells by semicolons, and take a cell to begin after one.
var formula = regexp.MustCompile(`(^|;"*)([=+\-@\t\r＝＋－＠])`)

// NoFormula keeps a spreadsheet from taking a text, or a part of it, for a formula,
// because users write texts that others open.
func NoFormula(text string) string { return formula.ReplaceAllString(text, "$1'$2") }
