package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/orca-telemetry/orca/internal/orca"
)

// TestNobodyHearsOfACommitBeforeItIsOnDisk: neither who wrote it nor who reads.
func TestNobodyHearsOfACommitBeforeItIsOnDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Config{})
		syncing := make(chan struct{})
		s.syncs.sync = func(f *os.File) error {
			<-syncing
			return syncData(f)
		}
		serve(t, s)
		written := accept(s, ticking(1))
		synctest.Wait()
		read := make(chan orca.Position, 1)
		go func() { read <- newest(t, s) }()
		synctest.Wait()
		early := len(written) + len(read)
		close(syncing)
		if early > 0 {
			t.Error("somebody has heard of it, and it is not on disk")
		}
		if a, p := <-written, <-read; a.err != nil || p != 1 {
			t.Errorf("on disk, it is answered with %+v, and %d is read", a, p)
		}
	})
}

// TestTransactionsFillWhileTheDiskIsBusy: what comes while a commit is on its way to disk shares the next one.
func TestTransactionsFillWhileTheDiskIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Config{})
		syncing := make(chan struct{})
		s.syncs.sync = func(*os.File) error { <-syncing; return nil }
		serve(t, s)
		var answers []<-chan accepted
		s.turn <- struct{}{}
		for i := range 5 {
			answers = append(answers, accept(s, ticking(i)))
			synctest.Wait()
			if i == 1 { // the first one is taken, and this one waits: somebody can fill the next transaction
				<-s.turn
				synctest.Wait()
			}
		}
		if n, _ := s.queue.waiting(); n > 0 {
			t.Errorf("%d windows are not in a transaction", n)
		}
		close(syncing)
		for i, answer := range answers {
			if a := <-answer; a.err != nil || a.Position != orca.Position(i+1) {
				t.Errorf("window %d is answered with %+v", i, a)
			}
		}
		synctest.Wait()
		if got := s.Stats(); got.Commits != 2 || got.Rows != 5 {
			t.Errorf("%d commits of %d windows, want 2 of 5", got.Commits, got.Rows)
		}
	})
}

// TestReadsThatWaitForTheDiskCanBeCutOff: whatever the disk does.
func TestReadsThatWaitForTheDiskCanBeCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Config{})
		syncing := make(chan struct{})
		s.syncs.sync = func(*os.File) error { <-syncing; return nil }
		serve(t, s)
		written := accept(s, ticking(1))
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := make(chan error, 1)
		go func() {
			_, err := s.Backlog(ctx)
			cancelled <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-cancelled; !errors.Is(err, context.Canceled) {
			t.Errorf("a read that is cancelled gives %v", err)
		}
		if _, err := s.Backlog(t.Context()); !errors.Is(err, orca.Unavailable) {
			t.Errorf("a read that takes too long gives %v", err)
		}
		close(syncing)
		<-written
	})
}

// TestNothingIsWrittenBehindAHole: when a sync has failed, the kernel takes pages for written that are not. What was
// acknowledged behind them would be lost with them.
func TestNothingIsWrittenBehindAHole(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{CheckpointWait: 1})
	s.syncs.sync = func(f *os.File) error {
		s.syncs.sync = syncData
		return errDisk
	}
	serve(t, s)
	if a := <-accept(s, ticking(1)); !errors.Is(a.err, orca.OutcomeUnknown) || !errors.Is(a.err, errDisk) {
		t.Fatalf("a failed sync is answered with %v", a.err)
	}
	letGo := holdSnapshot(t, s)
	if a := <-accept(s, ticking(2)); !errors.Is(a.err, orca.Unavailable) {
		t.Errorf("a log that cannot be emptied is written to, and that answered with %+v", a)
	}
	letGo()
	behind := logSizeAtCommits(s)
	if a := <-accept(s, ticking(3)); a.err != nil || a.Position != 2 {
		t.Errorf("when it can be, that is answered with %+v", a)
	}
	const probe = 32 + 24 + pageSize // a log of one page, if tryAgain was there first
	if size := <-behind; size != 0 && size != probe {
		t.Errorf("it follows %d bytes in the log", size)
	}
}

// TestLogOfAKilledCoreIsEmptied: a sync may have failed in it.
func TestLogOfAKilledCoreIsEmptied(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	<-accept(s, ticking(1))
	if s.logSize() == 0 || s.redo.tail == redoStart {
		t.Fatal("there is no log")
	}
	path := filepath.Join(t.TempDir(), "orca.db")
	copyStore(t, s.path, path, "", "-wal", "-redo")
	after, err := Open(t.Context(), path, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := after.Close(); err != nil {
			t.Error(err)
		}
	}()
	behind := logSizeAtCommits(after)
	defer serve(t, after)()
	if a := <-accept(after, ticking(2)); a.err != nil || a.Position != 2 {
		t.Errorf("the next window is answered with %+v", a)
	}
	if size := <-behind; size != 0 {
		t.Errorf("it follows %d bytes in the log", size)
	}
}

// logSizeAtCommits tells how long the logs are before each batch goes to disk.
func logSizeAtCommits(s *Store) <-chan int64 {
	sizes := make(chan int64, 100)
	write := s.appendRedo
	s.appendRedo = func() error {
		sizes <- s.logSize() + s.redo.tail - redoStart
		return write()
	}
	return sizes
}

// copyStore copies files of a store, which other names for them are, as they are at this moment.
func copyStore(t *testing.T, from, to string, suffixes ...string) {
	t.Helper()
	for _, suffix := range suffixes {
		b, err := os.ReadFile(from + suffix)
		if err == nil {
			err = os.WriteFile(to+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
