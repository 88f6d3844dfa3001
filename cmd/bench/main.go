// Command bench compares the gate with other ways to check keys, on this machine.
// Its README describes what it measures and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// The helpers that this program starts itself as.
const (
	upstreamCommand = "serve-upstream"
	authCommand     = "serve-auth"
)

// The main goroutine stays on the main thread, because the kernel ends a child
// with the thread that started it.
func init() { runtime.LockOSThread() }

func main() {
	if err := run(os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == upstreamCommand:
		return serveUpstream()
	case len(args) == 2 && args[0] == authCommand:
		return serveAuth(args[1])
	}
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	if o.list {
		return writeContenders(os.Stdout, o)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return work(ctx, o)
}

// errInterrupted is returned if a signal ended the run.
var errInterrupted = errors.New("interrupted")

// work does what the options ask for.
func work(ctx context.Context, o options) (err error) {
	b, err := newBench(ctx, o)
	defer func() { err = errors.Join(err, b.close()) }()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return err
	}
	if o.profile != "" {
		return b.writeProfile(o.profile)
	}
	var report report
	for i, c := range o.comparisons {
		b.progress("%d of %d: %v", i+1, len(o.comparisons), c)
		r, err := b.compare(c)
		if ctx.Err() != nil {
			break // what was measured so far is printed
		}
		if err != nil { // the others may do better
			b.progress("  failed: %v", err)
			report.Failed = append(report.Failed, fmt.Sprintf("%v: %v", c, err))
			continue
		}
		b.progress("  processor time %s", ratioText(r.Processor))
		report.Results = append(report.Results, r)
	}
	if err := report.write(os.Stdout, o); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	if len(report.Failed) > 0 {
		return fmt.Errorf("%d of %d comparisons have failed", len(report.Failed), len(o.comparisons))
	}
	return nil
}
