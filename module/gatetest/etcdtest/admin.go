//go:build linux

package etcdtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// Client returns a client of these members, or of all members if none is named.
// It ends with the test.
func (c *Cluster) Client(members ...*Member) *clientv3.Client {
	c.tb.Helper()
	client, err := c.newClient(members...)
	if err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { _ = client.Close() }) // reports only that its context ended
	return client
}

func (c *Cluster) newClient(members ...*Member) (*clientv3.Client, error) {
	endpoints := c.Endpoints()
	if len(members) > 0 {
		endpoints = nil
	}
	for _, m := range members {
		endpoints = append(endpoints, m.Endpoint())
	}
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, Logger: zap.NewNop(), DialTimeout: Deadline, TLS: c.tls,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(c.dialTarget)},
	})
}

// dialTarget dials what gRPC calls an address.
func (c *Cluster) dialTarget(ctx context.Context, target string) (net.Conn, error) {
	return c.dial(ctx, "tcp", target)
}

// do calls f with a client of these members until f returns no error.
func (c *Cluster) do(what string, members []*Member, f func(context.Context, *clientv3.Client) error) {
	c.tb.Helper()
	client, err := c.newClient(members...)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // reports only that its context ended
	const patience = 2 * time.Second
	for end := time.Now().Add(Deadline); ; {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		err := f(ctx, client)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			c.tb.Fatalf("%s: %v", what, err)
		}
		<-time.After(pollInterval)
	}
}

// Leader returns the member that a majority of the members take for the leader.
// It waits until there is one.
func (c *Cluster) Leader() (leader *Member) {
	c.tb.Helper()
	c.do("finding the leader", nil, func(ctx context.Context, client *clientv3.Client) error {
		ids, votes := map[uint64]*Member{}, map[uint64]int{}
		for _, m := range c.members {
			if !m.Running() {
				continue
			}
			one, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			status, err := client.Status(one, m.Endpoint())
			cancel()
			if err != nil {
				continue // paused or cut off
			}
			ids[status.Header.MemberId] = m
			votes[status.Leader]++
		}
		for id, n := range votes {
			if m := ids[id]; m != nil && n > len(c.members)/2 {
				leader = m
				return nil
			}
		}
		return errors.New("no member has a majority")
	})
	return leader
}

// Compact drops what was before a revision, and returns when it is dropped.
func (c *Cluster) Compact(revision int64) {
	c.tb.Helper()
	c.do("compacting", nil, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Compact(ctx, revision, clientv3.WithCompactPhysical())
		if errors.Is(err, rpctypes.ErrCompacted) { // by a call that failed, or an earlier one
			return nil
		}
		return err
	})
}

// Snapshot writes a snapshot of the leader's data to a file.
func (c *Cluster) Snapshot(file string) {
	c.tb.Helper()
	client := c.Client(c.Leader())
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	snapshot, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		c.tb.Fatal(err)
	}
	defer snapshot.Snapshot.Close() //nolint:errcheck // it was read to its end
	out, err := os.Create(file)     //nolint:gosec // the test's file
	if err != nil {
		c.tb.Fatal(err)
	}
	_, err = io.Copy(out, snapshot.Snapshot)
	if err = errors.Join(err, out.Close()); err != nil {
		c.tb.Fatal(err)
	}
}

// Restore ends all members, and starts the cluster again with the data of a
// snapshot. Members keep their addresses, and the cluster keeps its ID, unless a
// member was replaced. The flags are those of etcdutl snapshot restore.
func (c *Cluster) Restore(file string, flags ...string) {
	c.tb.Helper()
	for _, m := range c.members {
		m.Kill()
	}
	for _, m := range c.members {
		if err := m.newData(); err != nil {
			c.tb.Fatal(err)
		}
		args := slices.Concat([]string{"snapshot", "restore", file}, m.initial(), flags)
		out, err := exec.CommandContext(c.tb.Context(), c.binary, args...).CombinedOutput() //nolint:gosec // the etcd that the harness built
		if err != nil {
			c.tb.Fatalf("restoring %s: %v\n%s", m.Name, err, out)
		}
		m.state = "new"
	}
	for _, m := range c.members {
		m.Start()
	}
	c.WaitReady()
}

// Replace ends a member, removes it from the cluster, and adds a member without
// data at the same addresses. It returns when the new one answers.
func (c *Cluster) Replace(m *Member) {
	c.tb.Helper()
	m.Kill()
	others := slices.DeleteFunc(slices.Clone(c.members), func(other *Member) bool { return other == m || !other.Running() })
	if len(others) == 0 {
		c.tb.Fatalf("%s is the only member that runs", m.Name)
	}
	c.do("removing "+m.Name, others, func(ctx context.Context, client *clientv3.Client) error {
		id, err := m.id(ctx, client)
		if err != nil || id == 0 {
			return err
		}
		_, err = client.MemberRemove(ctx, id)
		return err
	})
	c.do("adding "+m.Name, others, func(ctx context.Context, client *clientv3.Client) error {
		id, err := m.id(ctx, client)
		if err != nil || id != 0 {
			return err
		}
		_, err = client.MemberAdd(ctx, []string{m.peerURL()})
		return err
	})
	if err := m.newData(); err != nil {
		c.tb.Fatal(err)
	}
	m.state = "existing"
	m.Start()
	m.WaitReady()
}

// id returns the ID by which the cluster knows the member, or 0.
func (m *Member) id(ctx context.Context, client *clientv3.Client) (uint64, error) {
	list, err := client.MemberList(ctx)
	if err != nil {
		return 0, err
	}
	for _, member := range list.Members {
		if slices.Contains(member.PeerURLs, m.peerURL()) {
			return member.ID, nil
		}
	}
	return 0, nil
}
