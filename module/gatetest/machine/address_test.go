package machine

import (
	"net"
	"strconv"
	"testing"
)

// An address stays the test's own though nobody listens there, and is anybody's
// once the test has ended.
func TestFreeAddress(t *testing.T) {
	seen := map[string]bool{}
	guards := func() (taken int) {
		for a := range seen {
			_, text, _ := net.SplitHostPort(a)
			port, err := strconv.Atoi(text)
			if err != nil || port < firstPort || port >= firstPort+ports {
				t.Fatalf("%s is out of range", a)
			}
			if ln, err := net.Listen("tcp", address(port+toGuard)); err != nil {
				taken++
			} else {
				_ = ln.Close()
			}
		}
		return taken
	}
	t.Run("used", func(t *testing.T) {
		for range 300 {
			a := FreeAddress(t)
			if seen[a] {
				t.Fatalf("%s was handed out twice", a)
			}
			seen[a] = true
		}
		if got := guards(); got != len(seen) {
			t.Errorf("%d of %d have a guard", got, len(seen))
		}
		for a := range seen {
			ln, err := net.Listen("tcp", a)
			if err != nil {
				t.Fatal(err)
			}
			_ = ln.Close()
		}
	})
	if got := guards(); got != 0 {
		t.Errorf("%d are still guarded", got)
	}
}
