package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// syncer has batches on disk, one after the other, while the next one fills.
//
// It uses fdatasync: to sync a file that is written over and over it need not have the file system write down as well when
// the file was changed. Against SQLite's own sync in each commit that took a fifth off the CPU time of a window of one step,
// of which 16 were under way. SQLite is left to sync in checkpoints (synchronous=normal).
//
// A batch may therefore be visible for a moment before it is on disk. Reads answer once what they may have seen is
// there (wait), so that nobody is told what a power cut takes back.
type syncer struct {
	sync func(*os.File) error
	jobs chan syncJob
	// free holds a token while nothing is visible that is not on disk, nobody is still to be told of it, and so the next
	// batch may go there.
	free chan struct{}
	over chan struct{} // closed when run has returned
	// hole: a log may have pages in the middle that are not on disk, though the kernel holds them to be, because a sync
	// has failed. What is written behind them would be lost with them.
	hole atomic.Bool

	mu sync.Mutex
	// visible is closed when what is visible is on disk, or has failed to get there; nil while there is nothing.
	visible chan struct{}
}

// syncJob is a batch that is visible, and the file that is to have it.
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
		s.do(job)
	}
}

// do has a job on disk.
func (s *syncer) do(job syncJob) {
	err := s.sync(job.log)
	if err != nil {
		s.hole.Store(true)
		err = fmt.Errorf("sync %s: %w", filepath.Base(job.log.Name()), err)
	}
	s.known()
	job.done(err)
	s.free <- struct{}{}
}

func (s *syncer) close() {
	close(s.jobs)
	<-s.over
}

// idle reports whether the next batch may go to disk at once.
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

// visibly calls write, which makes something visible, once what was before is on disk. After an error that is not errHole
// it may have happened nevertheless. Without an error the caller has syncs sync it, and the token comes back with that.
func (s *Store) visibly(write func() error) error {
	<-s.syncs.free
	err := errHole
	if !s.syncs.hole.Load() {
		s.syncs.shown()
		if err = write(); err == nil {
			return nil
		}
		s.syncs.known()
	}
	s.syncs.free <- struct{}{}
	return err
}

// logVisibly writes the record of a batch, of which done is told when it is on disk. With alone that is done at once: when
// nothing else waits that could fill the next batch, another goroutine would only have to wake up. See visibly for errors.
func (s *Store) logVisibly(alone bool, done func(error)) error {
	if err := s.visibly(s.appendRedo); err != nil {
		return err
	}
	s.behind.Store(true)
	if job := (syncJob{s.redo.file, done}); alone {
		s.syncs.do(job)
	} else {
		s.syncs.jobs <- job
	}
	return nil
}

// commitDurably ends a transaction and returns when it is on disk, with all that is in the redo log. See visibly for errors.
func (s *Store) commitDurably(ctx context.Context, w *writer) error {
	if err := s.visibly(func() error { return s.commit(ctx, w) }); err != nil {
		return err
	}
	var err error
	if s.syncs.do(syncJob{w.log, func(e error) { err = e }}); err != nil {
		return err
	}
	s.behind.Store(false)
	return s.redo.restart(false)
}

// mend copies both logs into the database file, syncs that, and begins another redo log, so that nothing is written behind
// a hole.
func (s *Store) mend(ctx context.Context) error {
	emptied, err := s.emptyLog(ctx, s.cfg.CheckpointWait)
	if err == nil && !emptied {
		err = fmt.Errorf("reads of longer than %v are under way", s.cfg.CheckpointWait)
	}
	if err != nil {
		return fmt.Errorf("copy the write-ahead log, of which some may not be on disk: %w", err)
	}
	if err := s.redo.name(s.tag, s.writer.stmt.changes()); err != nil {
		return err
	}
	s.syncs.hole.Store(false)
	return nil
}

// openLog opens the log of a database that a connection is open to.
func openLog(path string) (*os.File, error) { return os.OpenFile(path+"-wal", os.O_RDWR, 0) }
