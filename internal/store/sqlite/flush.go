package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// flushAfter is how long batches may be in the redo log and in a transaction of SQLite that is open. The more they are, the
// fewer pages are written twice; and the longer a recovery takes, and the first read after them.
const flushAfter = 50 * time.Millisecond

// flusher decides when the transaction that is open is committed, if nobody reads before. Serve owns it.
type flusher struct {
	alarm *time.Timer
	by    time.Time // zero while nothing is to be committed
}

func newFlusher() *flusher {
	alarm := time.NewTimer(flushAfter)
	alarm.Stop()
	return &flusher{alarm: alarm}
}

// later sets the alarm, unless it is set.
func (f *flusher) later() {
	if f.by.IsZero() {
		f.by = time.Now().Add(flushAfter)
		f.alarm.Reset(flushAfter)
	}
}

// due reports whether the time has come, and waits for the next batch then. It looks at the clock, since under load nobody
// sees the alarm.
func (f *flusher) due() bool {
	if f.by.IsZero() || time.Now().Before(f.by) {
		return false
	}
	f.by = time.Time{}
	return true
}

// flush commits what batches have left open in SQLite, which makes it visible. The caller has the writer's turn.
func (s *Store) flush(ctx context.Context) error {
	if s.writer.open {
		if err := s.commit(ctx, s.writer); err != nil {
			return fmt.Errorf("commit what is in the redo log: %w", err)
		}
	}
	s.behind.Store(false)
	return nil
}

// flushOpen is flush for Serve. After a failure the redo log still has it all, and whoever comes next opens the file again.
func (s *Store) flushOpen(ctx context.Context) {
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.writer == nil {
		return
	}
	if err := s.flush(ctx); err != nil {
		s.fault(err)
	}
}

// show makes everything visible that anybody has been told of.
func (s *Store) show(ctx context.Context) error {
	if !s.behind.Load() {
		return nil
	}
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-s.turn }()
	ctx = context.WithoutCancel(ctx) // a transaction is not left half-way
	err := s.openAgain(ctx)
	if err == nil {
		if err = s.flush(ctx); err != nil {
			s.fault(err)
		}
	}
	if err != nil {
		return orca.Errorf(orca.Unavailable, "what the ledger was told last cannot be read (%w); try again later", err)
	}
	return nil
}
