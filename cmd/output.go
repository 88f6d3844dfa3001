package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/caddy-api-keys/gateway/module/manage"
)

// say prints what was done: the API's own answer for -o json, or else a sentence.
func (c *call) say(answer []byte, format string, args ...any) error {
	if c.json {
		return c.printJSON(answer)
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), format+"\n", args...)
	return err
}

func (c *call) printJSON(answer []byte) error {
	var b bytes.Buffer
	if err := json.Indent(&b, answer, "", "  "); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(c.OutOrStdout())
	return err
}

// printValue prints a value that is not an answer of the API.
func (c *call) printValue(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return c.printJSON(text)
}

// pageSize is how many elements of a list one request asks for. Only one page is
// held in memory.
const pageSize = "1000"

// table prints a whole list page by page: rows under a header, or one JSON object
// with the elements as the API gave them. name is the list's name in the answer.
func (c *call) table(path []string, name, header string, rows func(*manage.Answer) []string) error {
	return c.tableOf(path, url.Values{}, name, header, rows)
}

// tableOf is table for a list that query limits.
func (c *call) tableOf(path []string, query url.Values, name, header string, rows func(*manage.Answer) []string) error {
	out := c.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if !c.json {
		fmt.Fprintln(w, header)
	}
	before := fmt.Sprintf("{\n  %q: [", name)
	query.Set("per_page", pageSize)
	for {
		text, answer, err := c.ask("GET", path, query, nil)
		if err != nil {
			return err
		}
		if c.json {
			if before, err = c.elements(text, name, before); err != nil {
				return err
			}
		}
		for _, row := range rows(answer) {
			if !c.json {
				fmt.Fprintln(w, row)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if answer.Next == "" {
			break
		}
		query.Set("after", answer.Next)
	}
	if c.json {
		if strings.HasSuffix(before, "[") {
			fmt.Fprint(out, before)
		}
		fmt.Fprintln(out, "\n  ]\n}")
	}
	return nil
}

// elements prints the elements of one page, and returns the text that has to
// precede the next element.
func (c *call) elements(page []byte, name, before string) (string, error) {
	var fields map[string]json.RawMessage
	var list []json.RawMessage
	err := json.Unmarshal(page, &fields)
	if err == nil {
		err = json.Unmarshal(fields[name], &list)
	}
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	for _, element := range list {
		var b bytes.Buffer
		b.WriteString(before + "\n    ")
		if err := json.Indent(&b, element, "    ", "  "); err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if _, err := b.WriteTo(c.OutOrStdout()); err != nil {
			return "", err
		}
		before = ","
	}
	return before, nil
}

// row returns one line of a table.
func row(cells ...string) string {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	return strings.Join(cells, "\t")
}

// details prints the details of one record, one a line.
func (c *call) details(lines ...[2]string) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	return w.Flush()
}

// when formats a time with its distance from UTC, because the output is read
// elsewhere too.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 -07:00") }

// whenever formats a time that may be missing, as never.
func whenever(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return when(*t)
}

// counted returns a number with a noun; one is its singular.
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
