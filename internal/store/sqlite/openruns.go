package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
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

// openQuery takes a JSON list of positions.
const openQuery = `SELECT ` + runColumns + `, ` + windowColumns + `, coalesce(pending.metadata, parked.metadata), lot.hash, parked.tries, w.filters
	FROM json_each(?) asked
	CROSS JOIN run r ON r.position = asked.value
	CROSS JOIN plan p ON p.id = r.plan
	CROSS JOIN window w ON w.id = r.window
	CROSS JOIN window_type t ON t.id = w.type
	LEFT JOIN pending ON pending.position = r.position
	LEFT JOIN parked ON parked.position = r.position
	LEFT JOIN lot ON lot.id = parked.lot`

func encodePositions(positions []orca.Position) (string, error) {
	b, err := json.Marshal(positions)
	return string(b), err
}

// openRunsAt returns the unfinished runs at the asked positions, in their order.
func (tx snapshot) openRunsAt(ctx context.Context, asked string) ([]orca.OpenRun, error) {
	rows, err := tx.StmtContext(ctx, tx.reads.open).QueryContext(ctx, asked)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var runs []orca.OpenRun
	for rows.Next() {
		var r runScan
		var open orca.OpenRun
		var full, lot, tries, filters []byte
		if err := rows.Scan(slices.Concat(r.targets(), windowTargets(&open.Stored), []any{&full, &lot, &tries, &filters})...); err != nil {
			return nil, err
		}
		open.Run, open.Input = r.run(), open.Stored
		copy(open.Lot[:], lot)
		if tries != nil {
			if err := json.Unmarshal(tries, &open.Tries); err != nil {
				return nil, fmt.Errorf("read the tries of run %d: %w", r.Position, err)
			}
		}
		if open.Filters, err = decodeFilters(filters); err != nil {
			return nil, fmt.Errorf("read the filters of window %d: %w", r.Window, err)
		}
		if full != nil {
			open.Input.Metadata = full
		}
		runs = append(runs, open)
	}
	return runs, rows.Err()
}

// openOutcomesQuery takes a JSON list of positions.
var openOutcomesQuery = `SELECT ` + outcomeColumns + `
	FROM json_each(?) asked
	CROSS JOIN outcome o ON ` + outcomeIn("asked.value") + `
	CROSS JOIN algorithm a ON a.id = o.algorithm
	ORDER BY o.position, a.processor, a.name, a.version`

// openOutcomes adds their outcomes to runs, which are those at the asked positions, ascending.
func (tx snapshot) openOutcomes(ctx context.Context, asked string, runs []orca.OpenRun) error {
	rows, err := tx.StmtContext(ctx, tx.reads.outcomes).QueryContext(ctx, asked)
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
