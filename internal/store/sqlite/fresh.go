package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// freshRuns are windows with their first runs that the redo log has and SQLite was not given yet: it is given them while
// a batch is on its way to disk, in their final state when they have ended by then, and all rows of a table one after the other.
// That took a sixth off the CPU time of the store, and most of SQLite's work out of the way of those who wait. Whatever
// reads what they are, as reads, revisions and parkings do, has them written first (settleDown).
//
// The writer owns them. They are bounded as the redo log is.
type freshRuns struct {
	runs []*freshRun // by position
	at   map[orca.Position]*freshRun
}

// freshRun has the rows of a window and of its first run: past may be nil, and so is pending when the run has ended.
type freshRun struct {
	position                   orca.Position
	window, past, run, pending []driver.Value
	outcomes                   [][]driver.Value
}

// Where insertRun has what the end of a run changes, and insertWindow what is copied for lookbacks.
const (
	runState    = 5
	runFinished = 7

	windowOrigin   = 4
	windowMetadata = 5
)

// mayBeLate reports whether SQLite is sure to take rows, so that they may be acknowledged before it has.
func mayBeLate(size int, end orca.RunState, outcomes []orca.Outcome) bool {
	for i := range outcomes {
		if k := outcomes[i].Kind; k < orca.Succeeded || k > orca.Cancelled {
			return false
		}
	}
	return size < 64<<20 && end <= orca.RunCancelled
}

// acceptLate takes a run, and notes its rows in the redo log.
func (tx *batchTx) acceptLate(r *freshRun) {
	if tx.fresh.at == nil {
		tx.fresh.at = map[orca.Position]*freshRun{}
	}
	tx.fresh.runs = append(tx.fresh.runs, r)
	tx.fresh.at[r.position] = r
	tx.stmt.insertWindow.note(r.window)
	if r.past != nil {
		tx.stmt.insertPast.note(r.past)
	}
	tx.stmt.insertRun.note(r.run)
	if r.pending != nil {
		tx.stmt.insertPending.note(r.pending)
	}
}

// endLate ends a run, and reports whether it was open.
func (tx *batchTx) endLate(r *freshRun, s *orca.Settlement) bool {
	if r.pending == nil {
		return false
	}
	tx.stmt.finishRun.note([]driver.Value{int64(s.End), int64(s.At), int64(s.Position)})
	tx.stmt.deletePend.note([]driver.Value{int64(s.Position)})
	r.run[runState], r.run[runFinished], r.pending = int64(s.End), int64(s.At), nil
	return true
}

// settleSome has SQLite write up to n runs, those of the lowest positions, as long as they have ended.
func (w *writer) settleSome(ctx context.Context, n int) error {
	ended := 0
	for ended < min(n, len(w.fresh.runs)) && w.fresh.runs[ended].pending == nil {
		ended++
	}
	return w.settleFirst(ctx, ended)
}

// settleDown has SQLite write all that it was not given yet.
func (w *writer) settleDown(ctx context.Context) error { return w.settleFirst(ctx, len(w.fresh.runs)) }

// settleFirst writes the first n runs in the transaction that is open.
func (w *writer) settleFirst(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	runs := w.fresh.runs[:n]
	if w.fresh.runs = w.fresh.runs[n:]; len(w.fresh.runs) == 0 {
		w.fresh = freshRuns{}
	} else {
		for _, r := range runs {
			delete(w.fresh.at, r.position)
		}
	}
	for _, table := range []struct {
		insert *stmt
		row    func(*freshRun) []driver.Value
	}{
		{w.stmt.insertWindow, func(r *freshRun) []driver.Value { return r.window }},
		{w.stmt.insertPast, func(r *freshRun) []driver.Value { return r.past }},
		{w.stmt.insertRun, func(r *freshRun) []driver.Value { return r.run }},
		{w.stmt.insertPending, func(r *freshRun) []driver.Value { return r.pending }},
	} {
		for _, r := range runs {
			if row := table.row(r); row != nil {
				if _, err := table.insert.run(ctx, row); err != nil {
					return fmt.Errorf("write what the redo log has: %w", err)
				}
			}
		}
	}
	for _, r := range runs {
		for _, row := range r.outcomes {
			if _, err := w.stmt.insertOutcome.run(ctx, row); err != nil {
				return fmt.Errorf("write an outcome that the redo log has: %w", err)
			}
		}
	}
	return nil
}
