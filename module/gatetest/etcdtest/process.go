//go:build linux

package etcdtest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Process is a program that a test runs.
type Process struct {
	tb     testing.TB
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
	killed bool
}

// Run starts a program that writes what it prints to the end of a file. It ends
// with the test at the latest, and if the test fails, the end of the file is
// shown.
func Run(tb testing.TB, cmd *exec.Cmd, logFile string) *Process {
	tb.Helper()
	p, err := startProcess(tb, cmd.Path, cmd, logFile)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("what %s printed ends with\n%s", p.name, tail(logFile))
		}
	})
	return p
}

// startProcess starts a program. The kernel kills it if the test's process ends,
// however that ends.
func startProcess(tb testing.TB, name string, cmd *exec.Cmd, logFile string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a file in the test's folder
	if err != nil {
		return nil, err
	}
	defer log.Close() // the program has its own
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endWithTest()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{tb: tb, name: name, cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(p.exited)
	}()
	return p, nil
}

// endWithTest has the kernel kill a process if the test's process ends, however
// that ends.
func endWithTest() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// Exited returns a channel that is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// State returns how the process ended, or nil.
func (p *Process) State() *os.ProcessState {
	if p.Running() {
		return nil
	}
	return p.cmd.ProcessState
}

// Running reports whether the process was started and hasn't ended.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// PID is the ID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as kill -9 does, and returns when it has ended.
func (p *Process) Kill() {
	p.tb.Helper()
	p.killed = true
	if p.Running() {
		p.Signal(syscall.SIGKILL)
		<-p.exited
	}
}

// Pause stops the process until Resume. Its connections stay open.
func (p *Process) Pause() {
	p.tb.Helper()
	p.Signal(syscall.SIGSTOP)
}

// Resume lets a paused process run again.
func (p *Process) Resume() {
	p.tb.Helper()
	p.Signal(syscall.SIGCONT)
}

// Signal sends a signal to the process.
func (p *Process) Signal(s os.Signal) {
	p.tb.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && p.Running() {
		p.tb.Errorf("sending %s to %s: %v", s, p.name, err)
	}
}
