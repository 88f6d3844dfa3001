package cmd

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// demoChild is a program that the demo runs.
type demoChild struct {
	name string
	cmd  *exec.Cmd
	// log is the file with what the program prints.
	log   string
	ended chan struct{}
}

// startChild starts a program that ends with the demo.
func startChild(name, log string, cmd *exec.Cmd) (*demoChild, error) {
	if err := os.MkdirAll(filepath.Dir(log), 0o700); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	defer out.Close() // the program has its own
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, endsWithDemo()
	p := &demoChild{name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the program when the thread ends that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in cmd.ProcessState
		}
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// childPatience is how long a program may take to begin, or to end.
const childPatience = 20 * time.Second

// wait waits until ready returns nil.
func (p *demoChild) wait(interrupted <-chan struct{}, ready func() error) error {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(childPatience); ; {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s isn't ready after %s (%w); %s may say why. If a demo is running already, use that one, or give this one a folder of its own with --data", p.name, childPatience, err, p.log)
		}
		select {
		case <-interrupted:
			return errors.New("interrupted")
		case <-p.ended:
			return fmt.Errorf("%s ended (%s); %s says why", p.name, p.cmd.ProcessState, p.log)
		case <-time.After(pause):
		}
	}
}

// end ends the program, by force if it doesn't end in time.
func (p *demoChild) end() error {
	if p == nil {
		return nil
	}
	if p.cmd.Process.Signal(os.Interrupt) == nil { // not everywhere
		select {
		case <-p.ended:
			return nil
		case <-time.After(childPatience / 4):
		}
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending %s: %w", p.name, err)
	}
	<-p.ended
	return nil
}
