package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
)

// report is what a run has found.
type report struct {
	Go         string    `json:"go"`
	Processors int       `json:"processors"`
	Rounds     int       `json:"rounds"`
	Round      string    `json:"round"`
	Keys       int       `json:"keys"`
	Many       int       `json:"many,omitzero"`
	Results    []*result `json:"results"`
	// Missing and Failed are the comparisons without results, with the reason.
	Missing []string `json:"missing,omitempty"`
	Failed  []string `json:"failed,omitempty"`
}

// write prints the report as the options ask for.
func (r report) write(w io.Writer, o options) error {
	r.Go, r.Processors = runtime.Version(), runtime.NumCPU()
	r.Rounds, r.Round, r.Keys, r.Many, r.Missing = o.rounds, o.round.String(), o.keys, o.many, o.without
	if !o.json {
		return r.writeTables(w)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// writeTables prints tables in Markdown.
func (r report) writeTables(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d rounds of %s, %d keys, %s, %d processors. Each interval contains the median with a probability of %g %% or more.\n\n",
		r.Rounds, r.Round, r.Keys, r.Go, r.Processors, 100*confidence)
	text.WriteString("Processor time per request, of all processes of a contender, in microseconds:\n\n")
	text.WriteString("| left / right | protocol | request | ratio | interval | left | right |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range r.Results {
		fmt.Fprintf(&text, "%s | **%.3f** | %.3f to %.3f | %.1f | %.1f |\n", r.row(), r.Processor.Median, r.Processor.Low, r.Processor.High, r.Left.Processor.Median, r.Right.Processor.Median)
	}
	writeTimes(&text, r.Results)
	text.WriteString("\nResident memory in MiB, and the part of it that isn't in the page cache:\n\n")
	text.WriteString("| left / right | protocol | request | left | beyond cache | right | beyond cache |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range r.Results {
		fmt.Fprintf(&text, "%s | %s | %s | %s | %s |\n", r.row(), mebibytes(r.Left.Memory.Resident), mebibytes(r.Left.Memory.Anonymous), mebibytes(r.Right.Memory.Resident), mebibytes(r.Right.Memory.Anonymous))
	}
	writeReasons(&text, "Not compared", r.Missing)
	writeReasons(&text, "Failed", r.Failed)
	_, err := io.WriteString(w, text.String())
	return err
}

// writeReasons lists comparisons that have no results.
func writeReasons(text *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(text, "\n%s:\n\n", title)
	for _, line := range lines {
		fmt.Fprintf(text, "- %s\n", line)
	}
}

// writeTimes prints the table of times at a fixed rate, if they were measured.
func writeTimes(text *strings.Builder, results []*result) {
	if !slices.ContainsFunc(results, func(r *result) bool { return r.Rate > 0 }) {
		return
	}
	text.WriteString("\nTime of a response at a fixed rate, from when its request was to be sent, in milliseconds:\n\n")
	text.WriteString("| left / right | protocol | request | requests/s | p50 ratio | left | right | p99 ratio | left | right |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(text, "%s | %.0f | %s | %.2f | %.2f | %s | %.2f | %.2f |\n", r.row(), r.Rate,
			ratioText(r.Median), r.Left.Median.Median/1000, r.Right.Median.Median/1000,
			ratioText(r.P99), r.Left.P99.Median/1000, r.Right.P99.Median/1000)
	}
}

// row returns the first cells of a result's row in every table.
func (r *result) row() string {
	return fmt.Sprintf("| %s / %s | %s | %s", r.Left.Name, r.Right.Name, r.Protocol, r.Request)
}

func ratioText(e estimate) string {
	return fmt.Sprintf("%.3f (%.3f to %.3f)", e.Median, e.Low, e.High)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

// writeContenders lists the contenders, and says which are missing.
func writeContenders(w io.Writer, o options) error {
	var text strings.Builder
	for _, c := range contenders {
		fmt.Fprintf(&text, "%-20s %s", c.name, c.about)
		if why := c.missing(scenario{http1, get}, o); why != "" {
			fmt.Fprintf(&text, " (missing: %s)", why)
		}
		text.WriteString("\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
