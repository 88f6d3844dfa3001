package cmd

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// isTerminal reports whether a command writes to a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progressInterval is how often the progress of a copy is shown.
const progressInterval = 200 * time.Millisecond

// newLine makes the line that shows on a terminal how far a command is, up to a
// size; 0 if the size is not known.
func newLine(out io.Writer, size int64, more ...progressbar.Option) *progressbar.ProgressBar {
	if size <= 0 {
		size = -1
	}
	return progressbar.NewOptions64(size, append([]progressbar.Option{
		progressbar.OptionSetWriter(out),
		progressbar.OptionSetWidth(30),
		progressbar.OptionSetTheme(progressbar.ThemeASCII),
		progressbar.OptionUseANSICodes(true),
		progressbar.OptionClearOnFinish(),
		// Without an interval the line changes only on request, so it never mixes
		// with other output.
		progressbar.OptionSetSpinnerChangeInterval(0),
	}, more...)...)
}

// copied shows on a terminal how far a copy is. It never fails a copy.
type copied struct{ line *progressbar.ProgressBar }

func newCopied(out io.Writer, size int64) copied {
	return copied{newLine(out, size,
		progressbar.OptionSetVisibility(isTerminal(out)), progressbar.OptionShowBytes(true), progressbar.OptionShowCount(), progressbar.OptionThrottle(progressInterval))}
}

func (c copied) Write(data []byte) (int, error) {
	_ = c.line.Add(len(data)) // fails only if the terminal has gone
	return len(data), nil
}

// clear removes the line.
func (c copied) clear() { _ = c.line.Clear() } // fails only if the terminal has gone

// bar shows how far an import is: on a terminal as one changing line, elsewhere
// as a new line from time to time.
type bar struct {
	out      io.Writer
	terminal bool
	doing    string
	size     int64
	line     *progressbar.ProgressBar // on a terminal
	shown    bool
	next     int
}

// barStep is the number of keys between two lines.
const barStep = 100_000

func newBar(out io.Writer) *bar { return &bar{out: out, terminal: isTerminal(out)} }

// begin begins a pass over a file of a size; 0 if the size is not known.
func (b *bar) begin(doing string, size int64) {
	b.doing, b.size, b.next = doing, size, barStep
	if b.terminal {
		b.line = newLine(b.out, size, progressbar.OptionSetDescription(doing))
	}
}

// at shows how many keys are done, and how many bytes.
func (b *bar) at(done int, read int64) {
	text := fmt.Sprintf("%s %d keys", b.doing, done)
	if b.size > 0 {
		read = min(read, b.size)
	}
	switch {
	case b.terminal:
		_ = b.line.Set64(read) // fails only if the terminal has gone
		b.line.Describe(text)
		b.shown = true
	case done >= b.next:
		if b.size > 0 {
			text += fmt.Sprintf(" (%d%%)", read*100/b.size)
		}
		fmt.Fprintln(b.out, text)
		b.next += barStep
	}
}

// clear makes room for other lines.
func (b *bar) clear() {
	if b.shown {
		_ = b.line.Clear() // fails only if the terminal has gone
		b.shown = false
	}
}
