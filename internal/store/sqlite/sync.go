package sqlite

import (
	"context"
	"fmt"
	"os"
	"sync"
)

// unsynced is what is committed, so that reads see it, and not known to be on disk.
//
// SQLite would sync its log in each commit with fsync, which has the file system write down as well when the file was
// changed. For a log that is written over and over fdatasync does, so SQLite is left to sync in checkpoints
// (synchronous=normal), and commits are synced here: a sixth more windows a second, of one step and 16 at once.
//
// Reads answer once what they may have seen is on disk (wait), so that nobody is told what a power cut takes back.
type unsynced struct {
	mu sync.Mutex
	// over is closed when the sync that is under way has ended; nil while none is.
	over chan struct{}
	// hole: the log may have pages in the middle that are not on disk, though the kernel holds them to be, and what is
	// written behind them would be lost with them. A sync failed here, or in a process that was killed then. Whoever owns
	// the writer may look.
	hole bool
}

func (u *unsynced) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.over = make(chan struct{})
}

func (u *unsynced) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.over)
	u.over = nil
}

// wait returns when all that was visible before is on disk, or has failed to get there.
func (u *unsynced) wait(ctx context.Context) error {
	u.mu.Lock()
	over := u.over
	u.mu.Unlock()
	if over == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// commitDurably ends a transaction and returns when it is on disk. After an error it may be there, or come to be.
func (s *Store) commitDurably(ctx context.Context, w *writer) error {
	s.unsynced.begin()
	defer s.unsynced.end()
	if _, err := w.stmt.commit.exec(ctx); err != nil {
		return err
	}
	if err := s.sync(w.log); err != nil {
		s.unsynced.hole = true
		return fmt.Errorf("sync the write-ahead log: %w", err)
	}
	return nil
}

// fillHole copies the log into the database file, and syncs that, before anything is written behind a hole.
func (s *Store) fillHole(ctx context.Context) error {
	if !s.unsynced.hole {
		return nil
	}
	emptied, err := s.writer.emptyLog(ctx, s.cfg.CheckpointWait)
	if err == nil && !emptied {
		err = fmt.Errorf("reads of longer than %v are under way", s.cfg.CheckpointWait)
	}
	if err != nil {
		return fmt.Errorf("copy the write-ahead log, of which some may not be on disk: %w", err)
	}
	s.unsynced.hole = false
	return nil
}

// openLog opens the log of a database that a connection is open to.
func openLog(path string) (*os.File, error) { return os.OpenFile(path+"-wal", os.O_RDWR, 0) }
