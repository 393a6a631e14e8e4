package sqlite

import (
	"context"
	"time"
)

const (
	// retryInterval is how often a store that cannot be written is tried again while nobody else writes.
	retryInterval = time.Second
	// failureShows is how long a failed write shows in Failing at least, so that whoever was refused and asks then hears
	// of it, even if the next batch went well.
	failureShows = time.Second
)

// Failing returns why the ledger could not be written, from a failed write until one has gone well, and for a moment at
// least. While it is failing, Serve tries by itself every second.
func (s *Store) Failing() error {
	c := &s.stats
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil && (c.lastFailure == nil || time.Since(c.failedAt) > failureShows) {
		return nil
	}
	return c.lastFailure
}

// tryAgain opens the file again if need be, and writes one page as any commit would.
func (s *Store) tryAgain(ctx context.Context) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if err := s.reopen(ctx); err != nil {
		s.stats.failed(err)
		return
	}
	// Nobody reads the user version. To set it writes the first page, whatever was there.
	err := s.flush(ctx)
	if err == nil {
		err = s.writer.conn.exec(ctx, "BEGIN IMMEDIATE; PRAGMA user_version = 0")
	}
	if err == nil {
		err = s.commitDurably(ctx, s.writer)
	}
	if err != nil {
		s.fault(err)
		return
	}
	s.stats.wrote()
}
