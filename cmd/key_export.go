package cmd

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-api-keys/gateway/module/manage"
)

func exportCommand() *cobra.Command {
	cmd := command("export [--user USER [--app APP]]", "Exports all keys, without their secrets", 0, 0, exportKeys, func(f *pflag.FlagSet) {
		f.String("user", "", "Export only the keys of this user")
		f.String("app", "", "Export only the keys of this app of the user")
		f.String("format", "jsonl", "Form of the output: jsonl, with one object of the API a line, or csv")
	})
	cmd.Long = `
Writes the details of all keys, one key a line, ordered by user and creation.
The output holds neither keys nor their digests: it can be searched, counted and
compared, but not imported again. "store backup" copies everything.

In csv, an apostrophe precedes a description that a spreadsheet would take for a
formula.`
	return cmd
}

// exported writes keys one by one.
type exported interface {
	write(raw json.RawMessage) error
	end() error
}

func exportKeys(c *call) error {
	user, app := c.flag("user"), c.flag("app")
	if app != "" && user == "" {
		return usagef("--app names an app of a user: give --user too")
	}
	out := bufio.NewWriterSize(c.OutOrStdout(), 64<<10)
	var to exported
	switch format := c.flag("format"); {
	case format == "jsonl":
		to = jsonLines{out}
	case format == "csv" && !c.json:
		to = newCSVLines(out)
	default:
		return usagef("--format takes jsonl or csv, and -o json only works with jsonl")
	}
	err := c.exportUsers(user, app, to)
	return errors.Join(err, to.end(), out.Flush())
}

// exportUsers exports the keys of one user, or of all users one after the other.
func (c *call) exportUsers(user, app string, to exported) error {
	if user != "" {
		return c.exportUser(user, app, to)
	}
	return c.pages([]string{"users"}, func(_ []byte, answer *manage.Answer) error {
		for _, u := range answer.Users {
			err := c.exportUser(u.ID, "", to)
			if r, ok := errors.AsType[refusedError](err); ok && r.Code == manage.CodeNotFound {
				continue // deleted since it was listed
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *call) exportUser(user, app string, to exported) error {
	path := []string{"users", user, "keys"}
	if app != "" {
		path = []string{"users", user, "apps", app, "keys"}
	}
	return c.pages(path, func(text []byte, _ *manage.Answer) error {
		var page struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		for _, raw := range page.Keys {
			if err := to.write(raw); err != nil {
				return err
			}
		}
		return nil
	})
}

// pages gets a whole list page by page, and holds only one page in memory.
func (c *call) pages(path []string, each func(text []byte, answer *manage.Answer) error) error {
	query := url.Values{"per_page": {pageSize}}
	for {
		text, answer, err := c.ask("GET", path, query, nil)
		if err != nil {
			return err
		}
		if err := each(text, answer); err != nil {
			return err
		}
		if answer.Next == "" {
			return nil
		}
		query.Set("after", answer.Next)
	}
}

// jsonLines writes the API's own objects, one a line.
type jsonLines struct{ out io.Writer }

func (l jsonLines) write(raw json.RawMessage) error {
	// The API writes objects without line ends.
	_, err := l.out.Write(append(slices.Clip(raw), '\n'))
	return err
}

func (jsonLines) end() error { return nil }

// csvLines writes rows of CSV.
type csvLines struct{ w *csv.Writer }

func newCSVLines(out io.Writer) csvLines {
	l := csvLines{csv.NewWriter(out)}
	columns := make([]string, 0, len(manage.KeyFields))
	for _, f := range manage.KeyFields {
		columns = append(columns, f.Name)
	}
	_ = l.w.Write(columns) // end returns the error
	return l
}

func (l csvLines) write(raw json.RawMessage) error {
	var k manage.Key
	if err := json.Unmarshal(raw, &k); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	cells := make([]string, 0, len(manage.KeyFields))
	for _, f := range manage.KeyFields {
		cell := manage.Cell(f.Value(&k))
		if f.Free {
			cell = manage.NoFormula(cell)
		}
		cells = append(cells, cell)
	}
	return l.w.Write(cells)
}

func (l csvLines) end() error {
	l.w.Flush()
	return l.w.Error()
}
