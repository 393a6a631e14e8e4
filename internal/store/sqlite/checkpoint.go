package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"
)

// checkpointer decides when the write-ahead log is emptied: when it is too long, and when it holds bytes that have to
// go. The latter are noStore metadata of finished runs: deleted in the database, they stay in old frames of the log,
// and in the database file until the deletion is copied there. Serve owns it.
//
// SQLite copies the log into the database after every thousand pages by itself. That keeps the log short, unless at
// each moment some reader looks at it.
type checkpointer struct {
	cfg Config
	// alarm goes off at scrubBy, which is zero when there is nothing to scrub.
	alarm   *time.Timer
	scrubBy time.Time
	// bound is the length of the log in bytes above which it is emptied.
	bound int64
}

func newCheckpointer(cfg Config) *checkpointer {
	alarm := time.NewTimer(cfg.ScrubAfter)
	alarm.Stop()
	return &checkpointer{cfg: cfg, alarm: alarm, bound: cfg.WALBytes}
}

// scrubLater sets the alarm, unless it is set.
func (c *checkpointer) scrubLater() {
	if c.scrubBy.IsZero() {
		c.scrubBy = time.Now().Add(c.cfg.ScrubAfter)
		c.alarm.Reset(c.cfg.ScrubAfter)
	}
}

// due reports whether a log of the given size is to be emptied, and how long readers may hold that up. It looks at the
// clock, since under load nobody sees the alarm.
func (c *checkpointer) due(size int64) (wait time.Duration, due bool) {
	switch {
	case size > 4*c.cfg.WALBytes && size > c.bound:
		// A reader that is in the way began before the log was copied, at the latest when the one before it ended.
		return 2*c.cfg.ReadTimeout + c.cfg.CheckpointWait, true
	case size > c.bound, !c.scrubBy.IsZero() && !time.Now().Before(c.scrubBy):
		return c.cfg.CheckpointWait, true
	}
	return 0, false
}

// tried notes what became of an attempt. One that readers held up is made again after a quarter of WALBytes more has
// been written, or when the alarm goes off again.
func (c *checkpointer) tried(size int64, emptied bool) {
	scrub := !c.scrubBy.IsZero()
	c.scrubBy = time.Time{}
	if emptied {
		c.bound = c.cfg.WALBytes
		return
	}
	c.bound = max(c.bound, size+c.cfg.WALBytes/4)
	if scrub {
		c.scrubLater()
	}
}

// checkpoint empties the log when that is due.
func (s *Store) checkpoint(ctx context.Context, c *checkpointer) {
	size := s.logSize()
	wait, due := c.due(size)
	if !due {
		return
	}
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.writer == nil {
		return // after a failure; the next batch opens it again
	}
	emptied, err := s.emptyLog(ctx, wait)
	if err == nil && emptied {
		err = s.redo.restart(s.writer.noStore)
	}
	if err != nil {
		s.fault(fmt.Errorf("checkpoint: %w", err))
	}
	c.tried(size, emptied)
}

// logSize returns the length of the write-ahead log in bytes.
func (s *Store) logSize() int64 {
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

// emptyLog copies the whole write-ahead log, and what only the redo log has, into the database file and cuts the former to
// nothing, waiting for readers that look at it. It reports whether they let it.
func (s *Store) emptyLog(ctx context.Context, wait time.Duration) (emptied bool, err error) {
	if err := s.flush(ctx); err != nil {
		return false, err
	}
	w := s.writer
	if err := w.conn.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", wait.Milliseconds())); err != nil {
		return false, err
	}
	row, err := w.conn.row(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return false, err
	}
	return row[0].(int64) == 0, nil
}
