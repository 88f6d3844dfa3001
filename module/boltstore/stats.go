package boltstore

import (
	"context"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/caddy-api-keys/gateway/module/keys"
	"github.com/caddy-api-keys/gateway/module/records"
)

// Count implements [keys.Examiner]. What is changed meanwhile may be counted or
// not.
func (s *Store) Count(ctx context.Context, now time.Time) (keys.Stats, error) {
	stats, err := records.Count(ctx, func(ctx context.Context, fn func(records.Reader) error) error {
		return s.read(ctx, func(tx *bolt.Tx) error { return fn(newRevision(tx)) })
	}, now)
	if err == nil {
		stats.FileBytes, stats.FreeBytes, err = s.bytes(ctx)
	}
	if err != nil {
		return keys.Stats{}, fmt.Errorf("counting what is in key store %s: %w", s.path, err)
	}
	return stats, nil
}

// bytes returns how large the file is, and how much of it is free as it says
// itself: bbolt would have to look at every page. No write may be under way.
func (s *Store) bytes(ctx context.Context) (size, free int64, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	now := s.state.Load()
	if now.err != nil {
		return 0, 0, now.err
	}
	file, err := os.Open(s.path)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	p := &pages{ctx: ctx, file: file, pageSize: now.db.Info().PageSize}
	_, freelist, err := p.newestMeta(info.Size())
	if err != nil {
		return 0, 0, err
	}
	p.met = make([]uint64, p.high/64+1)
	list, err := p.freeList(freelist)
	return info.Size(), int64(len(list) / 8 * p.pageSize), err
}
