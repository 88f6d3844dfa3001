//go:build linux

package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errAddressInUse is why a member ended that couldn't listen.
var errAddressInUse = errors.New("another program has the member's address")

// pollInterval is the time between two questions whether something has happened.
const pollInterval = 20 * time.Millisecond

// Member is one server of a cluster.
type Member struct {
	// Name is m0, m1 and so on.
	Name string
	// Host is where it runs: nil for loopback.
	Host *Host
	// Process is what runs now, or ran last. After Kill its data stays.
	*Process

	cluster      *Cluster
	peer, client string
	data, log    string
	// state is that of the cluster when the member joins: new or existing.
	state string
}

// Endpoint returns the member's URL for clients, http://HOST:PORT, or
// https with the option TLS.
func (m *Member) Endpoint() string { return m.cluster.scheme + "://" + m.client }

func (m *Member) peerURL() string { return "http://" + m.peer }

// Start starts a member that was killed. It doesn't wait until the member
// answers, because a member without the others never does; WaitReady waits.
func (m *Member) Start() {
	m.cluster.tb.Helper()
	if err := m.launch(); err != nil {
		m.cluster.tb.Fatalf("starting %s: %v", m.Name, err)
	}
}

// WaitReady waits until the member answers linearizable reads.
func (m *Member) WaitReady() {
	m.cluster.tb.Helper()
	ctx, cancel := context.WithTimeout(m.cluster.tb.Context(), Deadline)
	defer cancel()
	if err := m.ready(ctx); err != nil {
		m.cluster.tb.Fatal(err)
	}
}

// newData gives the member an empty data directory, and drops the one it had.
func (m *Member) newData() error {
	parent := filepath.Join(m.cluster.dir, m.Name)
	if err := os.RemoveAll(parent); err != nil {
		return err
	}
	m.data = filepath.Join(parent, "data") // which etcd makes
	return os.Mkdir(parent, 0o700)
}

// initial returns the flags that found a cluster. `snapshot restore` takes them too.
func (m *Member) initial() []string {
	var all []string
	for _, other := range m.cluster.members {
		all = append(all, other.Name+"="+other.peerURL())
	}
	return []string{
		"--name=" + m.Name,
		"--data-dir=" + m.data,
		"--initial-cluster=" + strings.Join(all, ","),
		"--initial-cluster-token=" + filepath.Base(m.cluster.dir) + m.cluster.members[0].peer,
		"--initial-advertise-peer-urls=" + m.peerURL(),
	}
}

func (m *Member) launch() error {
	if m.Running() {
		return errors.New("it runs already")
	}
	args := append(m.initial(),
		"--initial-cluster-state="+m.state,
		"--listen-peer-urls="+m.peerURL(),
		"--listen-client-urls="+m.Endpoint(),
		"--advertise-client-urls="+m.Endpoint(),
		"--logger=zap", "--log-outputs=stderr",
	)
	args = append(args, m.cluster.args...)
	cmd := exec.Command(m.cluster.binary, args...) //nolint:gosec // the etcd that the harness built
	if m.Host != nil {
		cmd = m.Host.Command(m.cluster.binary, args...)
	}
	p, err := startProcess(m.cluster.tb, m.Name, cmd, m.log)
	if err != nil {
		return err
	}
	m.Process = p
	return nil
}

// ready returns when the member answers a linearizable read.
func (m *Member) ready(ctx context.Context) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       m.cluster.dial,
		TLSClientConfig:   m.cluster.tls,
	}}
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Endpoint()+"/health", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := client.Do(request) //nolint:gosec // the member's own address
		if err == nil {
			_ = answer.Body.Close() // the status says all
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-m.Exited():
			return m.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s doesn't answer: %w", m.Name, errors.Join(err, ctx.Err()))
		case <-time.After(pollInterval):
		}
	}
}

// ended returns why the member ended.
func (m *Member) ended() error {
	log := tail(m.log)
	if strings.Contains(log, "address already in use") {
		return errAddressInUse
	}
	return fmt.Errorf("%s ended: %v", m.Name, m.State())
}
