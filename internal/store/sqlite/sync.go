package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// syncer has commits on disk, one after the other, while the next transaction fills.
//
// SQLite itself would sync its log in each commit, and with fsync, which has the file system write down as well when the
// file was changed. For a log that is written over and over fdatasync does: it took a fifth off the CPU time of a window of
// one step, of which 16 were under way. So SQLite is left to sync in checkpoints (synchronous=normal).
//
// A commit is therefore visible for a moment before it is on disk. Reads answer once what they may have seen is there
// (wait), so that nobody is told what a power cut takes back.
type syncer struct {
	sync func(*os.File) error
	jobs chan syncJob
	// free holds a token while nothing is visible that is not on disk, nobody is still to be told of it, and so the next
	// transaction may be committed.
	free chan struct{}
	over chan struct{} // closed when run has returned
	// hole: the log may have pages in the middle that are not on disk, though the kernel holds them to be, because a sync
	// has failed. What is written behind them would be lost with them.
	hole atomic.Bool

	mu sync.Mutex
	// visible is closed when what is visible is on disk, or has failed to get there; nil while there is nothing.
	visible chan struct{}
}

// syncJob is a commit that is visible.
type syncJob struct {
	log  *os.File
	done func(error) // is called when it is on disk, or may not be
}

func newSyncer() *syncer {
	s := &syncer{sync: syncData, jobs: make(chan syncJob), free: make(chan struct{}, 1), over: make(chan struct{})}
	s.free <- struct{}{}
	return s
}

// run works until close.
func (s *syncer) run() {
	defer close(s.over)
	for job := range s.jobs {
		err := s.sync(job.log)
		if err != nil {
			s.hole.Store(true)
			err = fmt.Errorf("sync the write-ahead log: %w", err)
		}
		s.known()
		job.done(err)
		s.free <- struct{}{}
	}
}

func (s *syncer) close() {
	close(s.jobs)
	<-s.over
}

// idle reports whether the next transaction may be committed at once.
func (s *syncer) idle() bool { return len(s.free) > 0 }

// drained waits until everybody has been told.
func (s *syncer) drained() {
	<-s.free
	s.free <- struct{}{}
}

func (s *syncer) shown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.visible = make(chan struct{})
}

func (s *syncer) known() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.visible)
	s.visible = nil
}

// wait returns when all that was visible before is on disk, or has failed to get there.
func (s *syncer) wait(ctx context.Context) error {
	s.mu.Lock()
	visible := s.visible
	s.mu.Unlock()
	if visible == nil {
		return nil
	}
	select {
	case <-visible:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errHole: nothing may be written before the log is mended.
var errHole = errors.New("what was written before may not be on disk")

// commitVisibly ends the transaction once the commit before is on disk. After an error that is not errHole it may have
// happened nevertheless. Without an error the caller has syncs sync it.
func (s *Store) commitVisibly(ctx context.Context, w *writer) error {
	<-s.syncs.free
	err := errHole
	if !s.syncs.hole.Load() {
		s.syncs.shown()
		if _, err = w.stmt.commit.exec(ctx); err == nil {
			return nil // the token comes back when it is on disk
		}
		s.syncs.known()
	}
	s.syncs.free <- struct{}{}
	return err
}

// commitDurably ends a transaction and returns when it is on disk. See commitVisibly for errors.
func (s *Store) commitDurably(ctx context.Context, w *writer) error {
	if err := s.commit(ctx, w); err != nil {
		return err
	}
	done := make(chan error, 1)
	s.syncs.jobs <- syncJob{w.log, func(err error) { done <- err }}
	return <-done
}

// mend copies the log into the database file and syncs that, so that nothing is written behind a hole.
func (s *Store) mend(ctx context.Context) error {
	emptied, err := s.writer.emptyLog(ctx, s.cfg.CheckpointWait)
	if err == nil && !emptied {
		err = fmt.Errorf("reads of longer than %v are under way", s.cfg.CheckpointWait)
	}
	if err != nil {
		return fmt.Errorf("copy the write-ahead log, of which some may not be on disk: %w", err)
	}
	s.syncs.hole.Store(false)
	return nil
}

// openLog opens the log of a database that a connection is open to.
func openLog(path string) (*os.File, error) { return os.OpenFile(path+"-wal", os.O_RDWR, 0) }
