package tables

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/caddy-api-keys/gateway/module/policy"
)

// Format is the text of the table: scopes by name, then routes by pattern and
// method, so that two versions of a table differ only where they say something
// else. [Read] leads from the text to the same scopes and routes. It fails
// where a word can't be written, quoted or not.
func (t *Table) Format() ([]byte, error) {
	var w writer
	for _, s := range slices.SortedStableFunc(slices.Values(t.Scopes), func(a, b policy.Scope) int {
		return strings.Compare(a.Name, b.Name)
	}) {
		head := []string{"scope", s.Name}
		if s.Description != "" {
			head = append(head, s.Description)
		}
		block := options(nil, "needs", s.Needs)
		if s.Hidden {
			block = append(block, []string{"hidden"})
		}
		w.directive(head, block)
	}
	if len(t.Scopes) > 0 && len(t.Routes) > 0 {
		w.text.WriteByte('\n')
	}
	t.formatOwner(&w)
	for _, r := range slices.SortedStableFunc(slices.Values(t.Routes), func(a, b policy.Route) int {
		return cmp.Or(strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.Method, b.Method))
	}) {
		block := options(nil, "endpoint", r.Endpoint)
		block = options(block, "accept", r.Accept)
		for _, a := range r.Allow {
			block = append(block, []string{"allow", a})
		}
		if r.Cost != nil {
			block = append(block, []string{"cost", strconv.FormatInt(*r.Cost, 10)})
		}
		w.directive(append([]string{"route", r.Method, r.Pattern}, r.Scopes...), block)
	}
	if err := errors.Join(w.errs...); err != nil {
		return nil, err
	}
	return []byte(w.text.String()), nil
}

// formatOwner writes where requests name owner and app, between scopes and
// routes.
func (t *Table) formatOwner(w *writer) {
	for _, f := range t.OwnerQuery {
		w.directive([]string{"owner_query", f.Owner, f.App}, nil)
	}
	if len(t.OwnerBody) > 0 {
		w.directive(append([]string{"owner_body"}, t.OwnerBody...), nil)
	}
	for _, m := range slices.SortedStableFunc(slices.Values(t.OwnerMessage), func(a, b policy.OwnerMessage) int {
		return strings.Compare(a.Method, b.Method)
	}) {
		w.directive(append([]string{"owner_message", m.Method}, m.Fields...), nil)
	}
	if t.Descriptors != "" {
		w.directive([]string{"descriptors", t.Descriptors}, nil)
	}
	if (len(t.OwnerQuery)+len(t.OwnerBody)+len(t.OwnerMessage) > 0 || t.Descriptors != "") && len(t.Routes) > 0 {
		w.text.WriteByte('\n')
	}
}

func options(block [][]string, option string, words []string) [][]string {
	if len(words) == 0 {
		return block
	}
	return append(block, append([]string{option}, words...))
}

type writer struct {
	text strings.Builder
	errs []error
}

func (w *writer) directive(head []string, block [][]string) {
	w.line(head)
	if len(block) > 0 {
		w.text.WriteString(" {\n")
		for _, words := range block {
			w.text.WriteByte('\t')
			w.line(words)
			w.text.WriteByte('\n')
		}
		w.text.WriteByte('}')
	}
	w.text.WriteByte('\n')
}

func (w *writer) line(words []string) {
	for i, word := range words {
		if i > 0 {
			w.text.WriteByte(' ')
		}
		quoted, err := quote(word)
		if err != nil {
			w.errs = append(w.errs, fmt.Errorf("%s: %w", strings.Join(words[:i], " "), err))
		}
		w.text.WriteString(quoted)
	}
}

// quote writes a word so that both lexers read it back: bare where it can
// stand so. Double quotes have no way to write a backslash in front of a
// quote, back quotes none to write a back quote.
func quote(word string) (string, error) {
	if err := checkText(word); err != nil {
		return "", fmt.Errorf("%q has %w", word, err)
	}
	special := func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("\"`\\#", r) }
	switch {
	case word != "" && !strings.ContainsFunc(word, special) &&
		!strings.HasPrefix(word, "<<") && !strings.HasSuffix(word, "{") && word != "}":
		return word, nil
	case !strings.Contains(word, `\"`) && !strings.HasSuffix(word, `\`):
		return `"` + strings.ReplaceAll(word, `"`, `\"`) + `"`, nil
	case !strings.Contains(word, "`"):
		return "`" + word + "`", nil
	}
	return "", fmt.Errorf("%q has a back quote and a backslash in front of a quote: remove one of them", word)
}
