package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
)

// report is what -json prints.
type report struct {
	Go         string    `json:"go"`
	Processors int       `json:"processors"`
	Rounds     int       `json:"rounds"`
	Round      string    `json:"round"`
	Keys       int       `json:"keys"`
	Results    []*result `json:"results"`
	// Missing are the comparisons that weren't run, with the reason.
	Missing []string `json:"missing,omitempty"`
}

func writeJSON(w io.Writer, o options, results []*result) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(report{
		Go: runtime.Version(), Processors: runtime.NumCPU(), Rounds: o.rounds, Round: o.round.String(), Keys: o.keys,
		Results: results, Missing: o.without,
	})
}

// writeTables prints the results as tables in Markdown.
func writeTables(w io.Writer, o options, results []*result) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%d rounds of %v, %d keys, %s, %d processors. Each interval contains the median with a probability of %g %% or more.\n\n",
		o.rounds, o.round, o.keys, runtime.Version(), runtime.NumCPU(), 100*confidence)
	text.WriteString("Processor time per request, of all processes of a contender, in microseconds:\n\n")
	text.WriteString("| left / right | protocol | request | ratio | interval | left | right |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&text, "%s | **%.3f** | %.3f to %.3f | %.1f | %.1f |\n", r.row(), r.Processor.Median, r.Processor.Low, r.Processor.High, r.Left.Processor.Median, r.Right.Processor.Median)
	}
	if o.latency {
		writeTimes(&text, results)
	}
	text.WriteString("\nResident memory in MiB, and the part of it that isn't in the page cache:\n\n")
	text.WriteString("| left / right | protocol | request | left | beyond cache | right | beyond cache |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		fmt.Fprintf(&text, "%s | %s | %s | %s | %s |\n", r.row(), mebibytes(r.Left.Memory.Resident), mebibytes(r.Left.Memory.Anonymous), mebibytes(r.Right.Memory.Resident), mebibytes(r.Right.Memory.Anonymous))
	}
	if len(o.without) > 0 {
		text.WriteString("\nNot compared:\n\n")
		for _, line := range o.without {
			fmt.Fprintf(&text, "- %s\n", line)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// writeTimes prints the table of times at a fixed rate.
func writeTimes(text *strings.Builder, results []*result) {
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
func writeContenders(w io.Writer) error {
	var text strings.Builder
	for _, c := range contenders {
		fmt.Fprintf(&text, "%-20s %s", c.name, c.about)
		if why := c.missing(scenario{http1, get}); why != "" {
			fmt.Fprintf(&text, " (missing: %s)", why)
		}
		text.WriteString("\n")
	}
	_, err := io.WriteString(w, text.String())
	return err
}
