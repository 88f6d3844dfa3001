package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// memory is what processes have in memory.
type memory struct {
	// Resident is all of it, with files of the page cache that are mapped.
	Resident int64 `json:"resident"`
	// Anonymous is what isn't in the page cache.
	Anonymous int64 `json:"anonymous"`
}

// memoryOf returns the memory of processes together.
func memoryOf(pids []int) (sum memory, err error) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return sum, fmt.Errorf("reading the memory of a process: %w", err)
		}
		m, err := parseStatus(string(text))
		if err != nil {
			return sum, fmt.Errorf("reading the memory of process %d: %w", pid, err)
		}
		sum.Resident += m.Resident
		sum.Anonymous += m.Anonymous
	}
	return sum, nil
}

// parseStatus reads the memory from a file /proc/PID/status.
func parseStatus(text string) (memory, error) {
	var m memory
	fields := map[string]*int64{"VmRSS": &m.Resident, "RssAnon": &m.Anonymous}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		field := fields[name]
		if field == nil {
			continue
		}
		kilobytes, ok := strings.CutSuffix(strings.TrimSpace(value), " kB")
		n, err := strconv.ParseInt(kilobytes, 10, 64)
		if !ok || err != nil {
			return m, fmt.Errorf("%q is not a size in kB", strings.TrimSpace(line))
		}
		*field = n << 10
		delete(fields, name)
	}
	if len(fields) > 0 {
		return m, errors.New("VmRSS or RssAnon is missing")
	}
	return m, nil
}

// processTree returns a process and all that descend from it.
func processTree(pid int) ([]int, error) {
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		children, err := childrenOf(list[i])
		if err != nil {
			return nil, err
		}
		list = append(list, children...)
	}
	return list, nil
}

// childrenOf returns the processes that the threads of a process started.
func childrenOf(pid int) (children []int, err error) {
	folder := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("listing the threads of a process: %w", err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(folder + "/" + thread.Name() + "/children")
		if errors.Is(err, fs.ErrNotExist) { // the thread has ended
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("listing the children of a process: %w", err)
		}
		for field := range strings.FieldsSeq(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("listing the children of a process: %w", err)
			}
			children = append(children, child)
		}
	}
	return children, nil
}
