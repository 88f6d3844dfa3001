//go:build linux

package etcdtest

import (
	"os"
	"os/exec"
	"syscall"
)

// process is a program that runs, or ran.
type process struct {
	cmd *exec.Cmd
	// exited is closed when it has ended.
	exited chan struct{}
}

// startProcess starts a program that writes what it prints to the end of a file.
// The kernel kills it if the test's process ends, however that ends.
func startProcess(cmd *exec.Cmd, logFile string) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // a file in the test's folder
	if err != nil {
		return nil, err
	}
	defer log.Close() // the program has its own
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
		close(p.exited)
	}()
	return p, nil
}

// running reports whether the program hasn't ended.
func (p *process) running() bool {
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

// kill ends the program as kill -9 does, and returns when it has ended.
func (p *process) kill() error {
	if !p.running() {
		return nil
	}
	if err := p.cmd.Process.Kill(); err != nil && p.running() {
		return err
	}
	<-p.exited
	return nil
}
