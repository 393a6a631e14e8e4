package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// freshRuns are windows with their first runs that the redo log has and SQLite was not given yet: most of them end before
// it is, and are then written once, in their final state, and all rows of a table one after the other. That took a sixth
// off the CPU time of the store. Whatever reads what they are, as reads, revisions and parkings do, has them
// written first (settleDown).
//
// The writer owns them. They are bounded as the redo log is.
type freshRuns struct {
	windows, past, outcomes [][]driver.Value
	runs                    []*freshRun
	at                      map[orca.Position]*freshRun
}

// freshRun has the row of a run, and that of an open one, nil when it has ended.
type freshRun struct{ run, pending []driver.Value }

// Where insertRun has what the end of a run changes.
const (
	runState    = 5
	runFinished = 7
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

// insert runs a statement, or, when rows is given, notes it in the redo log and adds its arguments there.
func (s *stmt) insert(ctx context.Context, rows *[][]driver.Value, args ...driver.Value) error {
	if rows == nil {
		_, err := s.exec(ctx, args...)
		return err
	}
	s.note(args)
	*rows = append(*rows, args)
	return nil
}

// acceptLate takes what accept would write.
func (tx *batchTx) acceptLate(position orca.Position, run *freshRun) {
	if tx.fresh.at == nil {
		tx.fresh.at = map[orca.Position]*freshRun{}
	}
	tx.stmt.insertRun.note(run.run)
	if run.pending != nil {
		tx.stmt.insertPending.note(run.pending)
	}
	tx.fresh.runs = append(tx.fresh.runs, run)
	tx.fresh.at[position] = run
}

// end ends a run, and reports whether it was open.
func (tx *batchTx) endLate(run *freshRun, s *orca.Settlement) bool {
	if run.pending == nil {
		return false
	}
	tx.stmt.finishRun.note([]driver.Value{int64(s.End), int64(s.At), int64(s.Position)})
	tx.stmt.deletePend.note([]driver.Value{int64(s.Position)})
	run.run[runState], run.run[runFinished], run.pending = int64(s.End), int64(s.At), nil
	return true
}

// settleDown has SQLite write what it was not given yet, in the transaction that is open.
func (w *writer) settleDown(ctx context.Context) error {
	f := w.fresh
	if len(f.windows) == 0 && len(f.outcomes) == 0 {
		return nil
	}
	w.fresh = freshRuns{}
	runs, open := make([][]driver.Value, len(f.runs)), make([][]driver.Value, 0, len(f.runs))
	for i, r := range f.runs {
		if runs[i] = r.run; r.pending != nil {
			open = append(open, r.pending)
		}
	}
	for _, table := range []struct {
		insert *stmt
		rows   [][]driver.Value
	}{
		{w.stmt.insertWindow, f.windows}, {w.stmt.insertPast, f.past}, {w.stmt.insertRun, runs},
		{w.stmt.insertPending, open}, {w.stmt.insertOutcome, f.outcomes},
	} {
		for _, args := range table.rows {
			if _, err := table.insert.run(ctx, args); err != nil {
				return fmt.Errorf("write what the redo log has: %w", err)
			}
		}
	}
	return nil
}
