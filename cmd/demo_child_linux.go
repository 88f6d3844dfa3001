package cmd

import "syscall"

// endsWithDemo has the kernel kill a program if the demo is killed. Ctrl-C doesn't
// reach the program, so that the demo ends everything in order.
func endsWithDemo() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
