//go:build linux

package boltstore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A process that is killed leaves the system with all that it wrote, so it says
// nothing of what is synced. What a power cut leaves is worked out here: the
// writes and syncs of a changer are recorded, and a disk is made of them that
// has what was synced, and of what was written since then anything.

// event is what a changer did to its file, or told.
type event struct {
	write    []byte // what was written
	offset   int64
	truncate int64 // the new size of the file, where more than 0
	sync     bool
	failed   bool
	told     string
	line     string // of strace's log
}

// recorded are the calls that matter.
const recorded = "pwrite64,ftruncate,fdatasync,fsync,write"

var (
	// unfinished and resumed are the halves of a call in which another thread
	// did something.
	unfinished = regexp.MustCompile(`^(\d+) +(.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	called     = regexp.MustCompile(`^\d+ +(\w+)\((\d+)<([^>]*)>(?:, (.*))?\) += (-?\d+)(.*)$`)
)

// eventsOf reads what strace recorded about the file and the standard output.
func eventsOf(t *testing.T, log, path string) (events []event) {
	t.Helper()
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	begun := map[string]string{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		line := lines.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			begun[m[1]] = m[1] + " " + m[2]
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = begun[m[1]] + m[2]
		}
		m := called.FindStringSubmatch(line)
		if m == nil || m[2] != "1" && m[3] != inHex(path) {
			continue
		}
		e, err := eventOf(m[1], m[4], m[5])
		if err != nil {
			t.Fatalf("%v in a line of strace's log: %.200s", err, line)
		}
		e.line = line
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return events
}

// inHex is how strace is told to write everything.
func inHex(text string) string {
	var quoted strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&quoted, `\x%02x`, c)
	}
	return quoted.String()
}

func eventOf(call, args, result string) (e event, err error) {
	succeeded := result[0] != '-'
	switch call {
	case "fdatasync", "fsync":
		return event{sync: true, failed: !succeeded}, nil
	case "ftruncate":
		e.truncate, err = strconv.ParseInt(args, 10, 64)
	case "write", "pwrite64":
		quoted, numbers, _ := strings.Cut(strings.TrimPrefix(args, `"`), `", `)
		e.write, err = hex.DecodeString(strings.ReplaceAll(quoted, `\x`, ""))
		if call == "write" {
			return event{told: string(e.write)}, err
		}
		if err == nil {
			_, at, _ := strings.Cut(numbers, ", ")
			e.offset, err = strconv.ParseInt(at, 10, 64)
		}
		if n, _ := strconv.Atoi(result); succeeded && n != len(e.write) {
			err = fmt.Errorf("%d bytes of %d were recorded", len(e.write), n)
		}
	}
	if !succeeded {
		e = event{failed: true} // before it did anything
	}
	return e, err
}

// sector is what a disk writes whole.
const sector = 512

// disk is what a power cut would leave of a file.
type disk struct {
	synced  []byte
	size    int64   // of the file, which ends with a hole
	pending []event // not synced since
	// lose decides of each sector of a write that was not synced, or whose
	// sync failed, whether it is lost.
	lose func() bool
}

func newDisk(file []byte, lose func() bool) *disk {
	return &disk{synced: bytes.Clone(bytes.TrimRight(file, "\x00")), size: int64(len(file)), lose: lose}
}

// do is one more event.
func (d *disk) do(e event) {
	switch {
	case e.sync && e.failed:
		// A kernel takes pages for clean that it could not write, and a sync
		// that succeeds later doesn't write them. Readers see them all the
		// same, until they are pushed out of memory.
		d.apply(d.lose)
	case e.sync:
		d.apply(func() bool { return false })
	default:
		d.pending = append(d.pending, e)
	}
}

func (d *disk) apply(lose func() bool) {
	for _, e := range d.pending {
		if e.truncate > 0 && !lose() {
			d.size = e.truncate
		}
		for at := 0; at < len(e.write); at += sector {
			if part := e.write[at:min(at+sector, len(e.write))]; !lose() {
				d.put(part, int(e.offset)+at)
			}
		}
	}
	d.pending = nil
}

func (d *disk) put(part []byte, at int) {
	end := at + len(part)
	if missing := end - len(d.synced); missing > 0 {
		d.synced = append(d.synced, make([]byte, missing)...)
	}
	copy(d.synced[at:], part)
	d.size = max(d.size, int64(end))
}

// cut makes a file of what is there after a power cut, and tells it from others.
func (d *disk) cut(path string) (which string, err error) {
	left := disk{synced: bytes.Clone(d.synced), size: d.size, pending: d.pending}
	left.apply(d.lose)
	if err := os.WriteFile(path, left.synced, 0o600); err != nil {
		return "", err
	}
	return fmt.Sprint(left.size, sha256.Sum256(left.synced)), os.Truncate(path, left.size)
}

// fates are how luck can treat what was not synced.
func fates(random int) (list []func() bool) {
	list = append(list, func() bool { return true }, func() bool { return false })
	for i := range random {
		r := rand.New(rand.NewPCG(uint64(i), 0))
		list = append(list, func() bool { return r.IntN(2) == 0 })
	}
	return list
}
