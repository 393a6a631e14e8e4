package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

const runColumns = `r.position, r.window, r.revision, r.kind, p.hash, r.state, r.accepted_at, r.finished_at`

// runScan receives runColumns of run r and its plan p.
type runScan struct {
	orca.Run
	hash     []byte
	finished sql.NullInt64
}

func (r *runScan) targets() []any {
	return []any{&r.Position, &r.Window, &r.Revision, &r.Kind, &r.hash, &r.State, &r.AcceptedAt, &r.finished}
}

func (r *runScan) run() orca.Run {
	copy(r.Plan[:], r.hash)
	r.FinishedAt = orca.Time(r.finished.Int64)
	return r.Run
}

const windowColumns = `t.name, t.version, w.time_from, w.time_to, w.origin, w.metadata`

// windowTargets receives windowColumns of window w and its type t.
func windowTargets(w *orca.Window) []any {
	return []any{&w.Type.Name, &w.Type.Version, &w.From, &w.To, &w.Origin, &w.Metadata}
}

// OpenRuns returns unfinished runs with positions above after, the lowest first, with their outcomes so far, which
// are sorted by algorithm and lack the results.
func (s *Store) OpenRuns(ctx context.Context, after orca.Position, limit int) (runs []orca.OpenRun, err error) {
	err = s.read(ctx, "read open runs", func(ctx context.Context, tx snapshot) error {
		if runs, err = tx.pendingRuns(ctx, after, limit); err != nil || len(runs) == 0 {
			return err
		}
		return tx.openOutcomes(ctx, runs)
	})
	return runs, err
}

const pendingQuery = `SELECT ` + runColumns + `, ` + windowColumns + `, pending.metadata
	FROM pending
	CROSS JOIN run r ON r.position = pending.position
	CROSS JOIN plan p ON p.id = r.plan
	CROSS JOIN window w ON w.id = r.window
	CROSS JOIN window_type t ON t.id = w.type
	WHERE pending.position > ? ORDER BY pending.position LIMIT +?`

func (tx snapshot) pendingRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error) {
	rows, err := tx.StmtContext(ctx, tx.reads.pending).QueryContext(ctx, int64(after), max(0, limit))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var runs []orca.OpenRun
	for rows.Next() {
		var r runScan
		var open orca.OpenRun
		var full []byte
		if err := rows.Scan(slices.Concat(r.targets(), windowTargets(&open.Stored), []any{&full})...); err != nil {
			return nil, err
		}
		open.Run, open.Input = r.run(), open.Stored
		if full != nil {
			open.Input.Metadata = full
		}
		runs = append(runs, open)
	}
	return runs, rows.Err()
}

const openOutcomesQuery = `SELECT ` + outcomeColumns + `
	FROM pending
	CROSS JOIN outcome o ON o.position = pending.position
	CROSS JOIN algorithm a ON a.id = o.algorithm
	WHERE pending.position BETWEEN ? AND ? ORDER BY pending.position, a.processor, a.name, a.version`

// openOutcomes adds their outcomes to runs, which are in the order of positions without an open run left out between.
func (tx snapshot) openOutcomes(ctx context.Context, runs []orca.OpenRun) error {
	rows, err := tx.StmtContext(ctx, tx.reads.outcomes).QueryContext(ctx, int64(runs[0].Position), int64(runs[len(runs)-1].Position))
	if err != nil {
		return err
	}
	defer rows.Close()
	i := 0
	for rows.Next() {
		var o outcomeScan
		if err := rows.Scan(o.targets()...); err != nil {
			return err
		}
		for runs[i].Position != o.position {
			i++
		}
		runs[i].Outcomes = append(runs[i].Outcomes, o.outcome())
	}
	return rows.Err()
}

const outcomeColumns = `o.position, a.processor, a.name, a.version, o.kind, o.reason, o.attempts, o.settled_at, o.produced_at`

// outcomeScan receives outcomeColumns of outcome o and its algorithm a.
type outcomeScan struct {
	orca.Outcome
	position orca.Position
	reason   sql.NullString
	produced sql.NullInt64
}

func (o *outcomeScan) targets() []any {
	id := &o.Algorithm
	return []any{&o.position, &id.Processor, &id.Name, &id.Version, &o.Kind, &o.reason, &o.Attempts, &o.SettledAt, &o.produced}
}

func (o *outcomeScan) outcome() orca.Outcome {
	o.Reason = o.reason.String
	if o.ProducedAt = o.position; o.produced.Valid {
		o.ProducedAt = orca.Position(o.produced.Int64)
	}
	return o.Outcome
}
