//go:build !linux

package main

import (
	"errors"
	"syscall"
	"time"
)

// errNotLinux is returned on systems whose processor times it can't read.
var errNotLinux = errors.New("the comparison needs Linux")

func processorTime([]int) (time.Duration, error)     { return 0, errNotLinux }
func exactSleep() error                              { return errNotLinux }
func sleepUntil(t time.Time)                         { time.Sleep(time.Until(t)) }
func attributes(syscall.Signal) *syscall.SysProcAttr { return nil }
func signalGroup(int, syscall.Signal)                {}
