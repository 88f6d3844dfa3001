package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// startTimeout is how long a process may take until it serves.
	startTimeout = 2 * time.Minute
	// endTimeout is how long a process may take to end before it is killed.
	endTimeout = 5 * time.Second
)

// process is a program that this one started.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   lastLines
	ended chan struct{} // closed when it has ended
	err   error         // how it ended; to be read after ended
}

// startProcess starts a program. It has to be called by the main goroutine, which
// is bound to a thread: the kernel ends the program with the thread that started
// it.
func startProcess(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	cmd.SysProcAttr = attributes(endSignal(cmd))
	cmd.Stderr = &p.log
	if cmd.Stdout == nil {
		cmd.Stdout = &p.log
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// endSignal returns the signal that ends a program for sure. The processes that
// nginx starts end only if their parent tells them.
func endSignal(cmd *exec.Cmd) syscall.Signal {
	if strings.HasSuffix(cmd.Path, "/nginx") {
		return syscall.SIGTERM
	}
	return syscall.SIGKILL
}

// startHelper starts this program as one of its helpers, which prints the address
// that it serves at.
func startHelper(name string, args ...string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", fmt.Errorf("finding this program: %w", err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, "", fmt.Errorf("starting %s: %w", name, err)
	}
	defer read.Close()
	cmd := exec.Command(self, append([]string{name}, args...)...)
	cmd.Stdout = write
	p, err := startProcess(name, cmd)
	_ = write.Close() // the helper has it
	if err != nil {
		return nil, "", err
	}
	address, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, "", fmt.Errorf("starting %s: %w: %s", name, err, &p.log)
	}
	return p, strings.TrimSpace(address), nil
}

// stop ends the process and those that it started.
func (p *process) stop() {
	signalGroup(p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(endTimeout):
	}
	signalGroup(p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// waitFor calls try until it succeeds. It gives up when the process ends, or
// takes too long.
func (p *process) waitFor(try func() error) error {
	for end := time.Now().Add(startTimeout); ; {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("%s has ended: %w: %s", p.name, errors.Join(p.err, err), &p.log)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s doesn't serve: %w: %s", p.name, err, &p.log)
		}
	}
}

// lastLines keeps the end of what a process prints.
type lastLines struct {
	mu   sync.Mutex
	text []byte
}

// maxLog is how much is kept of what a process prints.
const maxLog = 4 << 10

// Write implements [io.Writer].
func (l *lastLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - maxLog; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	return len(p), nil
}

// String returns what was kept.
func (l *lastLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.text))
}
