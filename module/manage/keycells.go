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

// formula matches the beginning of a formula in a cell. In many languages, spreadsheets
// separate cells by semicolons, so a cell may begin after each.
var formula = regexp.MustCompile(`(^|;"*)([=+\-@\t\r＝＋－＠])`)

// NoFormula keeps a spreadsheet from taking a text, or a part of the text, for a
// formula, because users write texts that others open.
func NoFormula(text string) string { return formula.ReplaceAllString(text, "$1'$2") }
