package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime returns the processor time that processes have used, in user and
// kernel mode, with the threads that have ended.
func processorTime(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		// The clock of another process, as clock_getcpuclockid(3) makes it. It
		// counts nanoseconds, and /proc/PID/stat hundredths of a second.
		const schedulerClock = 2
		var now unix.Timespec
		if err := unix.ClockGettime(int32(^pid)<<3|schedulerClock, &now); err != nil {
			return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
		}
		sum += time.Duration(now.Nano())
	}
	return sum, nil
}

// exactSleep keeps the goroutine on a thread of its own whose sleeps are as exact
// as the kernel's timers are. Sleeps of the Go runtime may take a millisecond
// more.
func exactSleep() error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("setting the timer slack: %w", err)
	}
	return nil
}

// sleepUntil blocks the thread until a time, or until a signal comes.
func sleepUntil(t time.Time) {
	if d := time.Until(t); d > 0 {
		left := unix.NsecToTimespec(int64(d))
		_ = unix.Nanosleep(&left, nil) // an interrupted sleep is a short one
	}
}

// attributes has a process get a signal when this one ends, however it ends, and
// keeps signals of the terminal away from it.
func attributes(end syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: end}
}

// signalGroup sends a signal to a process and those that it started.
func signalGroup(pid int, s syscall.Signal) { _ = syscall.Kill(-pid, s) }
