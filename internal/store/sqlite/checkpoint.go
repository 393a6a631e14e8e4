package sqlite

import (
	"context"
	"fmt"
	"os"
	"time"
)

// scrubber is the alarm clock for the bytes that finished runs leave behind: noStore metadata that was deleted stays in
// old frames of the write-ahead log, and in the database file until the deletion is copied there. Serve owns it.
type scrubber struct {
	after    time.Duration
	timer    *time.Timer
	deadline time.Time // zero when it is not set
}

func newScrubber(after time.Duration) *scrubber {
	t := time.NewTimer(after)
	t.Stop()
	return &scrubber{after: after, timer: t}
}

// arm sets the alarm, unless it is set.
func (s *scrubber) arm() {
	if s.deadline.IsZero() {
		s.deadline = time.Now().Add(s.after)
		s.timer.Reset(s.after)
	}
}

func (s *scrubber) disarm() { s.deadline = time.Time{} }

// due reports whether the alarm has gone off: under load nobody sees the timer.
func (s *scrubber) due() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

// checkpoint empties the write-ahead log when it is too long, or holds what has to go. SQLite copies the log into the
// database after every thousand pages by itself, but starts over with the log only when no reader looks at it, and
// never cuts it. The caller has the turn.
func (s *Store) checkpoint(ctx context.Context, scrub *scrubber) {
	w := s.writer
	if w == nil {
		return
	}
	size := s.logSize()
	if !scrub.due() && size <= s.cfg.WALBytes+w.patience {
		return
	}
	wait := readersGrace
	if size > 4*s.cfg.WALBytes {
		wait = s.cfg.ReadTimeout + readersGrace // no read that runs now lasts longer, and later ones do not need the log
	}
	done, err := w.emptyLog(ctx, wait)
	switch {
	case err != nil:
		s.fault(fmt.Errorf("checkpoint: %w", err))
		return
	case done:
		w.patience = 0
		scrub.disarm()
		return
	}
	// Readers held it off: again after some more has been written, and the scrubbing soon.
	w.patience = max(0, size-s.cfg.WALBytes) + s.cfg.WALBytes/4
	if scrub.due() {
		scrub.disarm()
		scrub.arm()
	}
}

// readersGrace is how long a checkpoint waits for readers, and every write with it.
const readersGrace = 500 * time.Millisecond

// logSize returns the size of the write-ahead log in bytes.
func (s *Store) logSize() int64 {
	info, err := os.Stat(s.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}

// emptyLog copies the whole write-ahead log into the database file and cuts the log to nothing, waiting for readers
// that look at it. It reports whether they let it.
func (w *writer) emptyLog(ctx context.Context, wait time.Duration) (done bool, err error) {
	if err := w.conn.exec(ctx, fmt.Sprintf("PRAGMA busy_timeout(%d)", wait.Milliseconds())); err != nil {
		return false, err
	}
	row, err := w.conn.row(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	if err != nil {
		return false, err
	}
	return row[0].(int64) == 0, nil
}
