package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Revise queues the next run of a window and returns; see Accept for done. It is refused with orca.Precondition when
// the base is not the newest run of the window any more, or not finished.
func (s *Store) Revise(r orca.Revision, done func(orca.Accepted, error)) {
	s.queue.add(&request{revision: &r, accepted: done, size: rowOverhead + len(r.FullMetadata) + outcomesSize(r.Outcomes)})
}

// base is the run that a revision begins from.
type base struct {
	revision, plan int64
	end            orca.Time // of the window
}

// revise writes the next run of a window with the next position.
func (tx *batchTx) revise(ctx context.Context, r *orca.Revision) (orca.Accepted, error) {
	from, err := tx.base(ctx, r)
	if err != nil {
		return orca.Accepted{}, err
	}
	algorithms, err := tx.keysOf(r.Outcomes)
	if err != nil {
		return orca.Accepted{}, err
	}
	if err := tx.checkKept(ctx, r, algorithms); err != nil {
		return orca.Accepted{}, err
	}
	if r.Plan != nil {
		if err := tx.checkPlan(r.Plan); err != nil {
			return orca.Accepted{}, err
		}
		if from.plan, err = tx.plan(ctx, r.Plan); err != nil {
			return orca.Accepted{}, err
		}
		tx.lower(from.plan, from.end)
	}
	position := tx.last + 1
	if err := tx.insertRevision(ctx, r, int64(position), from); err != nil {
		return orca.Accepted{}, err
	}
	if err := tx.insertStart(ctx, r, position, algorithms); err != nil {
		return orca.Accepted{}, err
	}
	tx.last = position
	return orca.Accepted{Window: r.Window, Position: position, Status: r.Status, Revision: int(from.revision) + 1}, nil
}

// base finds the newest run of the window and refuses a revision of any other, or beside an open one.
func (tx *batchTx) base(ctx context.Context, r *orca.Revision) (base, error) {
	row, err := tx.stmt.newestRun.row(ctx, int64(r.Window))
	if err != nil {
		return base{}, fmt.Errorf("look up the newest run of window %d: %w", r.Window, err)
	}
	if row == nil {
		return base{}, noWindow(r.Window)
	}
	newest, state := orca.Position(row[0].(int64)), orca.RunState(row[2].(int64))
	switch {
	case newest != r.Base:
		return base{}, orca.Errorf(orca.Precondition, "the window got another run meanwhile, of position %d: look at it first", newest)
	case state == orca.RunOpen:
		return base{}, orca.Errorf(orca.Precondition, "a run of the window is open, of position %d: wait for its end, or cancel it", newest)
	}
	return base{revision: row[1].(int64), plan: row[3].(int64), end: orca.Time(row[4].(int64))}, nil
}

// kept reports whether an outcome of a revision is copied from its base.
func kept(o *orca.Outcome) bool { return o.ProducedAt != 0 }

// checkKept refuses to keep what the base does not have.
func (tx *batchTx) checkKept(ctx context.Context, r *orca.Revision, algorithms []int64) error {
	for i := range r.Outcomes {
		if !kept(&r.Outcomes[i]) {
			continue
		}
		row, err := tx.stmt.hasSucceeded.row(ctx, outcomeKey(int64(r.Base), algorithms[i]))
		if err != nil {
			return fmt.Errorf("look up an outcome of run %d: %w", r.Base, err)
		}
		if row == nil {
			return orca.Errorf(orca.NotFound, "%s did not succeed in run %d", r.Outcomes[i].Algorithm.Full(), r.Base)
		}
	}
	return nil
}

// insertRevision writes the run and, when it has something to do, its row of an open run.
func (tx *batchTx) insertRevision(ctx context.Context, r *orca.Revision, position int64, from base) error {
	var finished driver.Value
	if r.End != orca.RunOpen {
		finished = int64(r.AcceptedAt)
	}
	if _, err := tx.stmt.insertRun.exec(ctx, position, int64(r.Window), from.revision+1, int64(r.Kind), from.plan,
		int64(r.End), int64(r.AcceptedAt), finished); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	if _, err := tx.stmt.forgetPast.exec(ctx, int64(r.Window)); err != nil {
		return fmt.Errorf("drop copies of the run before: %w", err)
	}
	if r.End != orca.RunOpen {
		return nil
	}
	return tx.insertOpen(ctx, position, nil, r.FullMetadata)
}

// insertStart writes what is settled from the start.
func (tx *batchTx) insertStart(ctx context.Context, r *orca.Revision, position orca.Position, algorithms []int64) error {
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		var err error
		if kept(o) {
			_, err = tx.stmt.keepOutcome.exec(ctx, outcomeKey(int64(position), algorithms[i]), outcomeKey(int64(r.Base), algorithms[i]))
		} else {
			err = tx.insertOutcome(ctx, int64(position), algorithms[i], o, nil)
		}
		if err != nil {
			return fmt.Errorf("write outcome of %s in run %d: %w", o.Algorithm, position, err)
		}
	}
	return nil
}
