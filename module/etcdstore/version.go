package etcdstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The oldest etcd that is supported. Before 3.5 a member that was killed could
// lose what it had acknowledged.
const (
	minMajor = 3
	minMinor = 5
)

// versionPause is how long the other members have to answer after the first one. A
// member that doesn't answer must not keep a node from following.
const versionPause = 200 * time.Millisecond

// checkVersion returns an error if a member that answers is too old, or none
// answers.
func (s *Store) checkVersion(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout/2)
	defer cancel()
	type answer struct {
		endpoint, version string
		err               error
	}
	endpoints := s.client.Endpoints()
	answers := make(chan answer, len(endpoints))
	for _, endpoint := range endpoints {
		go func() {
			status, err := s.client.Status(ctx, endpoint)
			if err != nil {
				answers <- answer{endpoint: endpoint, err: err}
				return
			}
			answers <- answer{endpoint: endpoint, version: status.Version}
		}()
	}
	var last error
	var enough <-chan time.Time // once a member has answered
	for range endpoints {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				last = fmt.Errorf("%s: %w", a.endpoint, a.err)
			case tooOld(a.version):
				return &impossibleError{fmt.Errorf("etcd %s at %s is too old: upgrade all members to %d.%d or newer", a.version, a.endpoint, minMajor, minMinor)}
			case enough == nil:
				enough = time.After(versionPause)
			}
		case <-enough:
			return nil
		}
	}
	if enough == nil {
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
