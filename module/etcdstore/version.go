package etcdstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The oldest etcd that is supported. Before 3.5 a member that was killed could
// lose what it had acknowledged.
const (
	minMajor = 3
	minMinor = 5
)

// checkVersion returns an error if any member that answers is too old.
func (s *Store) checkVersion(ctx context.Context) error {
	var last error
	answered := false
	for _, endpoint := range s.client.Endpoints() {
		call, cancel := context.WithTimeout(ctx, callTimeout/2)
		status, err := s.client.Status(call, endpoint)
		cancel()
		if err != nil {
			last = fmt.Errorf("%s: %w", endpoint, err)
			continue
		}
		answered = true
		if tooOld(status.Version) {
			return &impossibleError{fmt.Errorf("etcd %s at %s is too old: upgrade all members to %d.%d or newer", status.Version, endpoint, minMajor, minMinor)}
		}
	}
	if !answered {
		return fmt.Errorf("no etcd endpoint answers: %w", last)
	}
	return nil
}

// tooOld reports whether a version is below the oldest one, or can't be read.
func tooOld(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return true
	}
	major, err1 := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err1 != nil || err2 != nil || major < minMajor || major == minMajor && minor < minMinor
}
