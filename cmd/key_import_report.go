package cmd

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/caddy-api-keys/gateway/cmd/migrate"
	"github.com/caddy-api-keys/gateway/module/manage"
)

// report prints the outcome of an import by line, as the import proceeds, and the
// sums at the end.
type report struct {
	*call `json:"-"`
	first bool
	// sources are the places where clients send their keys, according to the
	// file.
	sources *migrate.Sources
	// applied is true if the counted keys were imported and not only checked.
	applied bool

	// keys are the new IDs so far, in JSON.
	keys []byte

	Read     int `json:"read"`
	Imported int `json:"imported"`
	Existing int `json:"existing"`
	Revoked  int `json:"revoked"`
	Refused  int `json:"refused"`
	Warnings int `json:"warnings"`
}

// reported is a problem with a line, in JSON.
type reported struct {
	Line    int    `json:"line"`
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
	Warning bool   `json:"warning,omitempty"`
}

// renamed is the new ID of a key, in JSON.
type renamed struct {
	Line    int    `json:"line"`
	Name    string `json:"name,omitempty"`
	UserID  string `json:"user_id"`
	KeyID   string `json:"key_id"`
	Outcome string `json:"outcome"`
}

func (r *report) begin() {
	r.first = true
	if r.json {
		fmt.Fprint(r.OutOrStdout(), "{\n  \"report\": [")
	}
}

// add reports on one key that was checked.
func (r *report) add(e *entry) {
	if e.problem != nil && e.problem.Warning {
		r.Warnings++
		r.say(e.problem, true)
		return
	}
	r.Read++
	warning := e.element != nil
	if warning {
		r.count(e.outcome)
	} else {
		r.Refused++
	}
	p := e.problem
	if p == nil {
		return
	}
	if warning {
		r.Warnings++
	}
	r.say(p, warning)
}

// say prints a problem.
func (r *report) say(p *migrate.Problem, warning bool) {
	if !r.json {
		switch {
		case p.Warning:
			fmt.Fprintf(r.OutOrStdout(), "line %d: warning: %s: %s\n", p.Line, p.Field, p.Reason)
		case warning:
			fmt.Fprintf(r.OutOrStdout(), "line %d: warning: %s\n", p.Line, p.Reason)
		default:
			fmt.Fprintln(r.OutOrStdout(), p)
		}
		return
	}
	text, err := json.Marshal(reported{p.Line, p.Field, p.Reason, warning})
	if err != nil {
		panic(err) // it is texts and numbers
	}
	before := ",\n    "
	if r.first {
		before, r.first = "\n    ", false
	}
	fmt.Fprintf(r.OutOrStdout(), "%s%s", before, text)
}

// became counts a key that was imported or existed already, and prints its new
// ID next to its name in the file.
func (r *report) became(e *entry, one manage.Imported) {
	r.count(one.Outcome)
	r.renamed(r.OutOrStdout(), e, one)
}

// renamed prints the new ID of a key next to its name in the file. In JSON it is
// printed at the end.
func (r *report) renamed(out io.Writer, e *entry, one manage.Imported) {
	if one.KeyID == "" {
		return
	}
	if !r.json {
		name := e.name
		if name == "" {
			name = "of " + e.user
		}
		fmt.Fprintf(out, "line %d: %s is %s (%s)\n", e.line, name, one.KeyID, one.Outcome)
		return
	}
	text, err := json.Marshal(renamed{e.line, e.name, e.user, one.KeyID, one.Outcome})
	if err != nil {
		panic(err) // it is texts and numbers
	}
	if len(r.keys) > 0 {
		r.keys = append(r.keys, ',')
	}
	r.keys = append(append(r.keys, "\n    "...), text...)
}

// count counts an outcome.
func (r *report) count(outcome string) {
	switch outcome {
	case manage.BecameImported:
		r.Imported++
	case manage.BecameExisting:
		r.Existing++
	case manage.BecameRevoked:
		r.Revoked++
	}
}

// undo subtracts the outcomes of a checked batch, because the import counts them
// again.
func (r *report) undo(batch []entry) {
	for _, e := range batch {
		switch {
		case e.element == nil:
		case e.outcome == manage.BecameImported:
			r.Imported--
		case e.outcome == manage.BecameExisting:
			r.Existing--
		case e.outcome == manage.BecameRevoked:
			r.Revoked--
		}
	}
}

// done returns how many keys are, or would be, in the store or revoked.
func (r *report) done() int { return r.Imported + r.Existing + r.Revoked }

// again resets the counts between the check and the import.
func (r *report) again() { r.Imported, r.Existing, r.Revoked, r.applied = 0, 0, 0, true }

// end prints the sums.
func (r *report) end() error {
	if r.json {
		before := "\n  ]"
		if r.first {
			before = "]"
		}
		text, err := json.MarshalIndent(struct {
			DryRun bool     `json:"dry_run"`
			Lines  []string `json:"credential_lines"`
			Notes  []string `json:"credential_notes"`
			*report
		}{!r.applied, append([]string{}, r.sources.Lines()...), append([]string{}, r.sources.Notes...), r}, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(r.OutOrStdout(), "%s,\n  \"keys\": [%s],%s\n", before, r.keys, text[1:])
		return err
	}
	did := "to import"
	if r.applied {
		did = "imported"
	}
	_, err := fmt.Fprintf(r.OutOrStdout(), "%s read: %d %s, %d there already, %d revoked here before, %d that can't be imported; %s.\n",
		counted(r.Read, "key"), r.Imported, did, r.Existing, r.Revoked, r.Refused, counted(r.Warnings, "warning"))
	if err == nil && r.done() > 0 {
		r.places()
	}
	return err
}

// places prints the lines that a site needs to read keys where the old gateway's
// clients send them.
func (r *report) places() {
	out := r.OutOrStdout()
	if lines := r.sources.Lines(); len(lines) > 0 {
		fmt.Fprintln(out, "Clients can go on sending these keys as before once the site's api_keys block has:")
		for _, line := range lines {
			fmt.Fprintf(out, "\t%s\n", line)
		}
	}
	for _, note := range r.sources.Notes {
		fmt.Fprintf(out, "Note: %s.\n", note)
	}
}
