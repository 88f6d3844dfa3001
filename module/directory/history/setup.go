package history

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-api-keys/gateway/module/directory"
	"github.com/caddy-api-keys/gateway/module/keys"
)

// Setup is what histories are made with.
type Setup struct {
	// Open opens the store at a path, and makes it if there is none.
	Open func(path string) (keys.Store, error)
	// Directory makes a directory whose clock is a test's, and whose cache
	// finds all entries under one hash where collide says so. Nil where
	// there is no way to; time is the machine's then.
	Directory func(s keys.Store, cacheBytes int64, clock func() time.Time, collide bool) (*directory.Owned, error)
	// Histories is how many there are at most: no more are begun once a
	// while is over, because a machine may be slow or busy. The environment
	// variable HISTORIES says otherwise: a number, or a time as 10m.
	Histories int
}

// while is how long histories are begun, unless HISTORIES says otherwise.
const while = 20 * time.Second

// seedVariable has the one history of a seed run, HISTORIES times.
const seedVariable = "HISTORY_SEED"

// Run runs histories and checks them.
func Run(t *testing.T, s Setup) {
	count, enough := s.Histories, while
	if text := os.Getenv("HISTORIES"); text != "" {
		var err error
		if count, err = strconv.Atoi(text); err == nil {
			enough = math.MaxInt64
		} else if enough, err = time.ParseDuration(text); err != nil {
			t.Fatalf("HISTORIES is %q: give a number of histories, or a time as 10m", text)
		} else {
			count = math.MaxInt
		}
	}
	begun := time.Now()
	first, step := rand.Uint64()>>16, uint64(1) //nolint:gosec // a seed to print, nothing secret
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if first, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
		step = 0
	}
	folder := t.TempDir()
	var next, n atomic.Int64
	var all counts
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= int64(count) || time.Since(begun) > enough {
					return
				}
				h := newRun(s, first+uint64(i)*step, filepath.Join(folder, fmt.Sprintf("%d.db", i)))
				faults, err := h.run()
				_ = os.Remove(h.path)
				all.add(&h.n)
				n.Add(1)
				if err != nil {
					t.Errorf("%s=%d (%s): %v", seedVariable, h.seed, h, err)
				}
				if len(faults) > 0 {
					t.Errorf("%s=%d (%s): %d faults, the first of them:\n%s",
						seedVariable, h.seed, h, len(faults), strings.Join(faults[:min(len(faults), 3)], "\n"))
				}
			}
		})
	}
	wg.Wait()
	if all.reads.Load() == 0 || all.changes.Load() == 0 || all.looks.Load() == 0 {
		t.Error("there was nothing to check")
	}
	if !t.Failed() {
		t.Logf("%d histories, %s; stale: 0", n.Load(), &all)
	}
}

// never is the end of what has not ended.
const never = math.MaxInt64

var actor = keys.Actor{ID: keys.Operator}

// deadline is how long what has to happen may take.
const deadline = 30 * time.Second
