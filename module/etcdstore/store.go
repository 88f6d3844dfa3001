package etcdstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/caddy-api-keys/gateway/module/boltstore"
	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Store is a [keys.Shared] in etcd, as one node has it. [Open] makes one.
type Store struct {
	config Config
	client *clientv3.Client
	layout layout
	// node is the ID of this node. A process that starts again is another node.
	node    string
	started time.Time

	mirror atomic.Pointer[boltstore.Mirror]
	fence  fence

	// updating is held by the change that is being made on this node.
	updating sync.Mutex
	telling  sync.Mutex
	feed     func(keys.Change)
	// missed is what a feed that comes later is told. It is nil if there is
	// nothing.
	missed *keys.Change

	known known
	lease lease

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	closed atomic.Bool
	// listed counts the records that lists have read.
	listed atomic.Int64
	// report wakes up the task that tells the others what is applied.
	report chan struct{}
	// caughtUp wakes up the task that keeps the node fresh.
	caughtUp chan struct{}
	// newestWindow is the newest window of which a quota was allotted, as a
	// [keys.Date]. windowBegun wakes up the task that removes ended windows.
	newestWindow atomic.Int32
	windowBegun  chan struct{}
}

// How long calls of etcd may take.
const (
	// startTimeout is how long a node without a mirror waits while no further record
	// comes. The whole list may take longer.
	startTimeout = time.Minute
	// freshTimeout is how long Open waits for a node that has a mirror to become
	// fresh. It starts stale otherwise.
	freshTimeout = 5 * time.Second
	callTimeout  = 5 * time.Second
)

// Open connects to etcd, and makes the store in an empty etcd. A node that has
// a mirror starts without etcd, and denies until it is reached. Open returns an
// error if there is neither, or etcd is too old.
func Open(config Config) (*Store, error) {
	config, err := config.Complete()
	if err != nil {
		return nil, err
	}
	mirror, err := boltstore.OpenMirror(config.Mirror, config.Observer)
	if err != nil {
		return nil, err
	}
	s, err := open(config, mirror)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the key store in etcd: %w", err), mirror.Close())
	}
	return s, nil
}

func open(config Config, mirror *boltstore.Mirror) (*Store, error) {
	client, err := connect(config)
	if err != nil {
		return nil, err
	}
	s := &Store{
		config: config, client: client, layout: layout(config.Prefix),
		node: hex.EncodeToString(newID()[:8]), started: time.Now(),
		report: make(chan struct{}, 1), caughtUp: make(chan struct{}, 1),
		windowBegun: make(chan struct{}, 1),
	}
	s.fence.now, s.fence.length = config.Clock, config.MaxStaleness
	s.fence.serve.Store(config.Serve)
	s.known.init(s.node)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mirror.Store(mirror)
	mirror.Feed(s.tell)
	if err := s.start(); err != nil {
		s.cancel()
		s.tasks.Wait()
		return nil, errors.Join(err, client.Close())
	}
	return s, nil
}

func connect(config Config) (*clientv3.Client, error) {
	c := clientv3.Config{
		Endpoints: config.Endpoints, TLS: config.TLS, Username: config.User, Context: context.Background(),
		DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second, PermitWithoutStream: true,
		DialTimeout: callTimeout, MaxCallRecvMsgSize: 64 << 20, MaxCallSendMsgSize: 8 << 20,
		Logger: zap.NewNop(), // errors are returned
		// The client tries again at most this much later, also after a long outage.
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: callTimeout / 2,
		})},
	}
	if config.User != "" {
		password, err := config.Password()
		if err != nil {
			return nil, err
		}
		c.Password = password
	}
	return clientv3.New(c)
}

// start begins to follow etcd. It waits for the first list if the mirror has
// never had one.
func (s *Store) start() error {
	state, err := s.readState()
	if err != nil {
		return err
	}
	s.known.apply(state)
	first := make(chan error, 1)
	s.tasks.Go(func() { s.follow(first) })
	s.tasks.Go(s.keepFresh)
	s.tasks.Go(s.reportApplied)
	s.tasks.Go(s.endStale)
	s.tasks.Go(s.removeEnded)

	err = s.waitForFirst(first, state.Cluster != 0)
	_, impossible := errors.AsType[*impossibleError](err)
	switch {
	case impossible:
		return err
	case err != nil && state.Cluster == 0:
		return fmt.Errorf("this node has no mirror yet, and can't make one: %w", err)
	case err == nil:
		soon, cancel := context.WithTimeout(s.ctx, freshTimeout)
		defer cancel()
		s.known.wait(soon, func() bool { return s.fence.fresh() || len(s.known.heldBy()) > 0 })
	}
	s.telling.Lock()
	s.missed = nil // nobody has read anything yet
	s.telling.Unlock()
	return nil
}

// waitForFirst waits for the result of the first attempt to catch up. A node without a
// mirror can't do anything before, so it waits as long as more records come.
func (s *Store) waitForFirst(first <-chan error, hasMirror bool) error {
	patience := startTimeout
	if hasMirror {
		patience = freshTimeout
	}
	for before := int64(0); ; {
		select {
		case err := <-first: // the first list is done, or can never succeed
			return err
		case <-time.After(patience):
		}
		now := s.listed.Load()
		if hasMirror || now == before {
			return fmt.Errorf("no answer from etcd within %s", patience)
		}
		before = now
	}
}

// readState returns what the mirror has applied.
func (s *Store) readState() (state applied, err error) {
	err = s.mirror.Load().Read(s.ctx, func(_ records.Reader, stored []byte) error {
		if stored == nil {
			return nil
		}
		state, err = decode[applied]("state of the mirror", stored)
		return err
	})
	return state, err
}

// Feed implements [keys.Store]. The function is told immediately of what came from
// other nodes since the store was opened.
func (s *Store) Feed(feed func(keys.Change)) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.feed = feed
	if s.missed != nil {
		feed(*s.missed)
		s.missed = nil
	}
}

func (s *Store) tell(change keys.Change) {
	s.telling.Lock()
	defer s.telling.Unlock()
	if s.feed == nil {
		s.missed = merge(s.missed, change)
		return
	}
	s.feed(change)
}

// View implements [keys.Store]. It reads the mirror.
func (s *Store) View(ctx context.Context, fn func(keys.Reader) error) error {
	return s.onMirror(ctx, func(m *boltstore.Mirror) error { return m.View(ctx, fn) })
}

// onMirror runs fn on the mirror, and again if another one took its place before fn
// began.
func (s *Store) onMirror(ctx context.Context, fn func(*boltstore.Mirror) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.closed.Load() {
			return keys.ErrClosed
		}
		m := s.mirror.Load()
		if err := fn(m); !errors.Is(err, keys.ErrClosed) || s.mirror.Load() == m {
			return err
		}
	}
}

// Ready implements [keys.Store]. A node that is not fresh is not ready.
func (s *Store) Ready(ctx context.Context) error {
	return s.onMirror(ctx, func(m *boltstore.Mirror) error {
		if err := m.Ready(ctx); err != nil {
			return err
		}
		if s.fence.fresh() {
			return nil
		}
		return s.staleError()
	})
}

// Fresh implements [keys.Shared].
func (s *Store) Fresh() error { return s.fence.check() }

// staleError returns why the node is not fresh.
func (s *Store) staleError() error {
	if why := s.known.trouble(); why != nil {
		return fmt.Errorf("%w: %w", keys.ErrStale, why)
	}
	return keys.ErrStale
}

// Backup implements [keys.Backuper]. It copies the mirror with the newest change
// that it has applied.
func (s *Store) Backup(ctx context.Context, path string) (b keys.Backup, err error) {
	// Without etcd a copy without the mark is better than none.
	_, _ = s.write(ctx, records.AddMark)
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		b, err = m.Backup(ctx, path)
		return err
	})
	return b, err
}

// Examine implements [keys.Examiner].
func (s *Store) Examine(ctx context.Context) (e keys.Examination, err error) {
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		e, err = m.Examine(ctx)
		return err
	})
	return e, err
}

// Count implements [keys.Examiner].
func (s *Store) Count(ctx context.Context, now time.Time) (stats keys.Stats, err error) {
	err = s.onMirror(ctx, func(m *boltstore.Mirror) error {
		stats, err = m.Count(ctx, now)
		return err
	})
	return stats, err
}

// Close implements [keys.Store]. The node stops deciding before the others hear
// that it is gone.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return keys.ErrClosed
	}
	s.fence.close()
	s.fence.serve.Store(false)
	s.cancel()
	s.tasks.Wait()
	s.updating.Lock() // whatever is being written ends first
	defer s.updating.Unlock()
	s.leave()
	return errors.Join(s.mirror.Load().Close(), s.client.Close())
}

// name returns what the others call this node.
func (s *Store) name() string {
	if s.config.Name != "" {
		return s.config.Name
	}
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}

// Interface guards
var (
	_ keys.Shared   = (*Store)(nil)
	_ keys.Backuper = (*Store)(nil)
	_ keys.Examiner = (*Store)(nil)
)
