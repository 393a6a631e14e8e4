package postgres

import (
	"context"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Columns that several queries have in common, and what receives them.

const selectRun = `r.position, r."window", r.revision, r.kind, p.hash, r.state, r.accepted_at, r.finished_at`

// runScan receives selectRun of run r and its plan p.
type runScan struct {
	orca.Run
	kind, state int16
	hash        []byte
	finished    *int64
}

func (r *runScan) targets() []any {
	return []any{&r.Position, &r.Window, &r.Revision, &r.kind, &r.hash, &r.state, &r.AcceptedAt, &r.finished}
}

func (r *runScan) run() orca.Run {
	r.Kind, r.State, r.FinishedAt = orca.RunKind(r.kind), orca.RunState(r.state), orca.Time(orZero(r.finished))
	copy(r.Plan[:], r.hash)
	return r.Run
}

const selectWindow = `w.type, w.time_from, w.time_to, w.origin, w.metadata`

// windowScan receives selectWindow of window w.
type windowScan struct {
	orca.Window
	typ int32
}

func (w *windowScan) targets() []any {
	return []any{&w.typ, &w.From, &w.To, into{&w.Origin}, &w.Metadata}
}

func (w *windowScan) window(ctx context.Context, s *Store) (_ orca.Window, err error) {
	w.Type, err = s.windowTypeOf(ctx, w.typ)
	return w.Window, err
}

const selectOutcome = `o.position, o.algorithm, o.kind, o.reason, o.attempts, o.settled_at, o.produced_at`

// outcomeScan receives selectOutcome of outcome o.
type outcomeScan struct {
	orca.Outcome
	position  orca.Position
	algorithm int32
	kind      int16
	produced  *int64
}

func (o *outcomeScan) targets() []any {
	return []any{&o.position, &o.algorithm, &o.kind, into{&o.Reason}, &o.Attempts, &o.SettledAt, &o.produced}
}

func (o *outcomeScan) outcome(ctx context.Context, s *Store) (_ orca.Outcome, err error) {
	o.Kind, o.ProducedAt = orca.OutcomeKind(o.kind), o.position
	if o.produced != nil {
		o.ProducedAt = orca.Position(*o.produced)
	}
	o.Algorithm, err = s.algorithmOf(ctx, o.algorithm)
	return o.Outcome, err
}

func sortOutcomes(outcomes []orca.Outcome) {
	slices.SortFunc(outcomes, func(a, b orca.Outcome) int { return a.Algorithm.Compare(b.Algorithm) })
}

// newestRun finds the newest run of window w. It is a subquery, which the database looks up window by window.
const newestRun = `coalesce((SELECT later.position FROM {run} later WHERE later."window" = w.id AND later.revision > 1
	ORDER BY later.revision DESC LIMIT 1), w.id)`

const (
	// selectRecord and joinRecord give the WindowRecord of window w.
	selectRecord = `w.id, ` + selectWindow + `, (SELECT first.accepted_at FROM {run} first WHERE first.position = w.id), ` + selectRun + `, p.nodes,
		(SELECT count(*) FROM {outcome} settled WHERE settled.position = r.position)`
	joinRecord = ` JOIN {run} r ON r.position = ` + newestRun + ` JOIN {plan} p ON p.id = r.plan`
)

// recordScan receives selectRecord.
type recordScan struct {
	orca.WindowRecord
	stored windowScan
	newest runScan
}

func (r *recordScan) targets() []any {
	return slices.Concat([]any{&r.ID}, r.stored.targets(), []any{&r.AcceptedAt}, r.newest.targets(), []any{&r.Nodes, &r.Settled})
}

func (r *recordScan) record(ctx context.Context, s *Store) (_ orca.WindowRecord, err error) {
	r.Newest = r.newest.run()
	r.Window, err = r.stored.window(ctx, s)
	return r.WindowRecord, err
}
