package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// bench is a run of the comparison: what all contenders share, and the processes
// that have to end with it. Its methods are called by the main goroutine.
type bench struct {
	ctx     context.Context
	options options
	// folder has everything that the run writes.
	folder string
	// caddy and stock are binaries.
	caddy, stock string
	certificate  certificate
	// upstream is the address of the upstream.
	upstream string
	// few is the store that gates get copies of, and many that of the contender
	// many, nil if it doesn't take part.
	few, many *keyStore
	processes []*process
	folders   int
}

// newBench builds and starts what all contenders need. It has to be closed, even
// if it returns an error.
func newBench(ctx context.Context, o options) (*bench, error) {
	b := &bench{ctx: ctx, options: o}
	var err error
	if b.folder, err = os.MkdirTemp("", "bench"); err != nil {
		return b, fmt.Errorf("making a folder: %w", err)
	}
	if b.certificate, err = newCertificate(b.folder); err != nil {
		return b, err
	}
	if err := b.buildBinaries(); err != nil {
		return b, err
	}
	if _, b.upstream, err = b.helper(upstreamCommand); err != nil {
		return b, err
	}
	if b.few, err = b.makeStore(o.keys); err != nil {
		return b, err
	}
	if slices.ContainsFunc(o.comparisons, func(c comparison) bool { return c.left.many || c.right.many }) {
		b.many, err = b.makeStore(o.many)
	}
	return b, err
}

// close ends all processes and removes all files.
func (b *bench) close() error {
	for _, p := range slices.Clone(b.processes) {
		b.end(p)
	}
	if b.folder == "" {
		return nil
	}
	return os.RemoveAll(b.folder)
}

// newFolder makes a folder for a process.
func (b *bench) newFolder(name string) (string, error) {
	b.folders++
	folder := filepath.Join(b.folder, fmt.Sprintf("%s-%d", name, b.folders))
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", fmt.Errorf("making a folder: %w", err)
	}
	return folder, nil
}

// run starts a program that ends with the run, at the latest.
func (b *bench) run(name string, cmd *exec.Cmd) (*process, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, err
	}
	p, err := startProcess(name, cmd)
	if err == nil {
		b.processes = append(b.processes, p)
	}
	return p, err
}

// helper starts this program as a helper. It returns the helper's address too.
func (b *bench) helper(name string, args ...string) (*process, string, error) {
	if err := b.ctx.Err(); err != nil {
		return nil, "", err
	}
	p, address, err := startHelper(name, args...)
	if err == nil {
		b.processes = append(b.processes, p)
	}
	return p, address, err
}

// output runs a program until it ends, and returns what it prints.
func (b *bench) output(cmd *exec.Cmd) (string, error) {
	p, err := b.run(filepath.Base(cmd.Path), cmd)
	if err != nil {
		return "", err
	}
	defer b.end(p)
	select {
	case <-p.ended:
		return p.log.String(), p.err
	case <-b.ctx.Done():
		return "", b.ctx.Err()
	}
}

// stop ends a contender.
func (b *bench) stop(i *instance) {
	for _, p := range slices.Concat(i.processes, i.others) {
		b.end(p)
	}
}

// end ends a process.
func (b *bench) end(p *process) {
	p.stop()
	b.processes = slices.DeleteFunc(b.processes, func(other *process) bool { return other == p })
}

// progress tells a person what is going on.
func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// errNoModule is returned if the binaries can't be built.
var errNoModule = errors.New("run this in the project's folder, or give binaries with -caddy and -stock")

// buildBinaries builds the binaries that no option names.
func (b *bench) buildBinaries() error {
	for _, binary := range []struct {
		path          *string
		given, source string
	}{
		{&b.caddy, b.options.caddy, "cmd/caddy"},
		{&b.stock, b.options.stock, "cmd/bench/stock"},
	} {
		if *binary.path = binary.given; binary.given != "" {
			continue
		}
		*binary.path = filepath.Join(b.folder, filepath.Base(binary.source)+"-caddy")
		b.progress("Building ./%s ...", binary.source)
		cmd := exec.Command("go", "build", "-o", *binary.path, "github.com/caddy-api-keys/gateway/"+binary.source)
		if out, err := b.output(cmd); err != nil {
			return fmt.Errorf("building ./%s: %w: %s; %w", binary.source, err, out, errNoModule)
		}
	}
	return nil
}
