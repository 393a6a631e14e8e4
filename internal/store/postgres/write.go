package postgres

import (
	"context"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// memory is what the writer remembers of what is committed, so that no row needs a look-up.
type memory struct {
	// plans and lots are integer keys. Neither is ever deleted.
	plans map[orca.PlanHash]int32
	lots  map[orca.LotHash]int32
	// earliest is, by plan, a time_to that is in table earliest for all of the plan's nodes, or something lower.
	earliest map[int32]orca.Time
	// keysRepeat: of so many transactions with idempotency keys, these are looked up before, since some came twice.
	keysRepeat int
	// keysWritten since expired ones were deleted.
	keysWritten int
}

const (
	// keysRepeatFor is how long an idempotency key that was there makes the writer look for others first.
	keysRepeatFor = 16
	// expireAfter keys have been written some that have expired are deleted.
	expireAfter = 256
)

func newMemory() memory {
	return memory{plans: map[orca.PlanHash]int32{}, lots: map[orca.LotHash]int32{}, earliest: map[int32]orca.Time{}}
}

// write is one transaction in the making.
type write struct {
	*Store
	conn      *session
	checkKeys bool
	batch     pgx.Batch
	// sent: the transaction was sent, so that it may have been committed.
	sent bool

	// order is that of the queue.
	order     []*request
	emissions []*request
	revisions []*request
	// starts are both, in the order of their positions.
	starts      []*request
	settlements []*request
	parkings    []*request
	wakings     []*request
	others      []*request // that give back runs, or ask for those of this core

	bases   []base // of revisions
	expired []int64
	// moreAwait: not all who wait for outcomes of this transaction are free yet.
	moreAwait bool
	// frees: it frees some of them.
	frees    bool
	base     int64 // the positions begin after it
	lowered  map[int32]orca.Time
	newest   orca.Time // AcceptedAt of emissions with a key
	keyCount int
}

// run checks rows, prepares what they need and writes them. It may be called with rows that have answers from an attempt
// before.
func (w *write) run(ctx context.Context, rows []*request) error {
	w.order = rows
	if err := w.sort(ctx, rows); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{w.dropRepeats, w.findBases, w.findPlans, w.findLots} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	w.writeFence()
	w.writeSettlements()
	w.writeParkings()
	w.writeWakings()
	w.writeOthers()
	w.writeStarts()
	if err := w.conn.prepare(ctx, &w.batch); err != nil {
		return err
	}
	w.sent = true
	return w.conn.send(ctx, &w.batch)
}

// sort takes the rows that Orca's rules do not refuse.
func (w *write) sort(ctx context.Context, rows []*request) error {
	for _, r := range rows {
		if r.emission == nil && r.revision == nil && r.answer.err != nil {
			continue // refused by the queue
		}
		err := w.take(ctx, r)
		if err != nil && !isKind(err) {
			return err
		}
		r.answer = answer{err: err}
	}
	return nil
}

// take puts a row where it belongs, or refuses it.
func (w *write) take(ctx context.Context, r *request) error {
	switch {
	case r.emission != nil:
		e := r.emission
		if err := w.checkEmission(ctx, e); err != nil {
			return err
		}
		w.emissions, w.starts = append(w.emissions, r), append(w.starts, r)
	case r.revision != nil:
		w.revisions = append(w.revisions, r)
	case r.settlement != nil:
		if err := w.checkRun(ctx, r.settlement.Position); err != nil {
			return err
		}
		if err := w.checkOutcomes(ctx, r.settlement.Outcomes); err != nil {
			return err
		}
		w.settlements = append(w.settlements, r)
	case r.parking != nil:
		for _, k := range r.parking.Expects {
			if _, known, err := w.algorithm(ctx, k.Algorithm); err != nil || !known {
				return orUnknown(err, k.Algorithm)
			}
		}
		w.parkings = append(w.parkings, r)
	case r.woken != nil:
		w.wakings = append(w.wakings, r)
	default:
		w.others = append(w.others, r)
	}
	return nil
}

func orUnknown(err error, id orca.AlgorithmID) error {
	if err != nil {
		return err
	}
	return errUnknownAlgorithm(id)
}

func (w *write) checkEmission(ctx context.Context, e *orca.Emission) error {
	k, err := w.keysWith(ctx, func(k *keys) bool { _, ok := k.types[e.Window.Type]; return ok })
	if err != nil {
		return err
	}
	if _, ok := k.types[e.Window.Type]; !ok {
		return orca.Errorf(orca.NotFound, "window type %s is not registered", e.Window.Type)
	}
	if err := w.checkOutcomes(ctx, e.Outcomes); err != nil {
		return err
	}
	if e.Plan == nil {
		return orca.Errorf(orca.Invalid, "a window of %s came without a plan", e.Window.Type)
	}
	return w.checkPlan(ctx, e.Plan)
}

// checkRun refuses positions that no run has.
func (w *write) checkRun(ctx context.Context, p orca.Position) error {
	if p >= 1 && int64(p) <= w.seen.Load() {
		return nil
	}
	if p >= 1 {
		var newest int64
		if err := w.conn.QueryRow(ctx, w.names.in(`SELECT position FROM {counter}`)).Scan(&newest); err != nil {
			return err
		}
		w.saw(orca.Position(newest))
	}
	if p < 1 || int64(p) > w.seen.Load() {
		return orca.Errorf(orca.NotFound, "no run has position %d", p)
	}
	return nil
}

// checkOutcomes refuses outcomes of algorithms that the registry does not have.
func (w *write) checkOutcomes(ctx context.Context, outcomes []orca.Outcome) error {
	for i := range outcomes {
		if _, known, err := w.algorithm(ctx, outcomes[i].Algorithm); err != nil || !known {
			return orUnknown(err, outcomes[i].Algorithm)
		}
	}
	return nil
}

// checkPlan refuses a plan whose nodes the registry does not have. A plan that is known was checked before.
func (w *write) checkPlan(ctx context.Context, p *orca.PlanContent) error {
	if _, ok := w.memory.plans[p.Hash]; ok {
		return nil
	}
	for _, a := range p.Algorithms {
		if _, known, err := w.algorithm(ctx, a); err != nil || !known {
			return orUnknown(err, a)
		}
	}
	return nil
}

// lower notes that the nodes of a plan are in a run whose window ends at t. It costs a compare, as long as windows come
// in the order of time.
func (w *write) lower(plan int32, t orca.Time) {
	if known, ok := w.memory.earliest[plan]; ok && known <= t {
		return
	}
	if known, ok := w.lowered[plan]; !ok || t < known {
		if w.lowered == nil {
			w.lowered = map[int32]orca.Time{}
		}
		w.lowered[plan] = t
	}
}

// hasKeys reports whether emissions came with idempotency keys.
func (w *write) hasKeys() bool { return w.keyCount > 0 }

// keep takes note of what is committed, and of the answers.
func (w *write) keep() {
	m := &w.memory
	maps.Copy(m.earliest, w.lowered)
	if w.keyCount > 0 {
		m.keysRepeat = max(0, m.keysRepeat-1)
	}
	if m.keysWritten += w.keyCount; m.keysWritten >= expireAfter {
		m.keysWritten = 0
	}
	if w.moreAwait {
		w.wakeRest()
	}
	if w.frees {
		w.freed.tell()
	}
	w.tellSettled()
	for i, r := range w.starts {
		p := orca.Position(w.base) + orca.Position(i) + 1
		if e := r.emission; e != nil {
			r.answer.accepted = orca.Accepted{Window: p, Position: p, Status: e.Status}
		} else {
			r.answer.accepted.Position = p // the rest is there
		}
		w.saw(p)
	}
}

// add adds a statement to the transaction.
func (w *write) add(what, statement string, args ...any) {
	q := w.batch.Queue(w.names.in(statement), args...)
	q.Fn = func(results pgx.BatchResults) error {
		if _, err := results.Exec(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}
}
