package directory_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-api-keys/gateway/module/directory"
)

// failures is an observer that keeps what it is told.
type failures struct {
	mu   sync.Mutex
	list []string
}

func (f *failures) TaskFailed(task directory.Task, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, string(task)+": "+err.Error())
}

// The observer and Failing report a task that fails, also one that panics. The
// other tasks run all the same, and a task that works again is forgotten.
func TestUpkeepTellsOfFailures(t *testing.T) {
	d, m, c := newDirectory(t)
	told := new(failures)
	d.SetObserver(told)
	if err := errors.Join(d.Upkeep(t.Context()), d.Failing()); err != nil || len(told.list) > 0 {
		t.Fatalf("without a failure: %v, %q", err, told.list)
	}
	for name, fail := range map[string]func() error{
		"an error": func() error { return errors.New("the disk is gone") },
		"a panic":  func() error { panic("the disk is gone") },
	} {
		t.Run(name, func(t *testing.T) {
			told.list = nil
			m.before.Store(&fail)
			err := d.Upkeep(t.Context())
			m.before.Store(nil)
			if failing := d.Failing(); err == nil || failing == nil || failing.Error() != err.Error() {
				t.Fatalf("failed with %v, reports %v", err, failing)
			}
			for _, task := range []directory.Task{directory.TaskDeletions, directory.TaskAuditRetention} {
				told := slices.ContainsFunc(told.list, func(s string) bool {
					return strings.HasPrefix(s, string(task)+": ") && strings.Contains(s, "the disk is gone")
				})
				if !told || !strings.Contains(err.Error(), string(task)) {
					t.Errorf("nothing was said of %s: %v", task, err)
				}
			}
			// Last uses are written in spite of it.
			d.Used(find(t, d, c.Digest), "192.0.2.1")
			if err := d.Upkeep(t.Context()); err != nil || d.Failing() != nil {
				t.Errorf("mended: %v, %v", err, d.Failing())
			}
		})
	}
}
