package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Accept queues an emission and returns; it never waits for the disk. done is called once, with what became of it,
// after the commit that made it durable, in the order of positions, on the goroutine of Serve: it must not block.
// After Serve has returned it is called with orca.Unavailable before Accept returns.
func (s *Store) Accept(e orca.Emission, done func(orca.Accepted, error)) {
	s.queue.add(&request{emission: &e, accepted: done, size: emissionSize(&e)})
}

// Settle queues outcomes of a run and perhaps its end, and returns; see Accept for done. Of two outcomes of one node
// the first one stays, and a run that is finished stays as it is; neither is an error, so that a settlement whose
// answer was lost can be sent again.
func (s *Store) Settle(st orca.Settlement, done func(error)) {
	s.queue.add(&request{settlement: &st, settled: done, size: outcomesSize(st.Outcomes), patient: st.Patient})
}

// rowOverhead is what a row takes beside its payload, roughly, in bytes.
const rowOverhead = 100

func emissionSize(e *orca.Emission) int {
	return rowOverhead + len(e.Window.Metadata) + len(e.FullMetadata) + len(e.Window.Origin) + outcomesSize(e.Outcomes)
}

func outcomesSize(outcomes []orca.Outcome) int {
	n := rowOverhead
	for i := range outcomes {
		n += rowOverhead + len(outcomes[i].Reason)
		if r := outcomes[i].Result; r != nil {
			n += len(r.Encoded) + len(r.JSON) + len(r.Error)
		}
	}
	return n
}

// accept writes an emission with the next position, unless its key was used before.
func (tx *batchTx) accept(ctx context.Context, e *orca.Emission) (orca.Accepted, error) {
	typ, ok := tx.types[e.Window.Type]
	if !ok {
		return orca.Accepted{}, orca.Errorf(orca.NotFound, "window type %s is not registered", e.Window.Type)
	}
	algorithms, err := tx.keysOf(e.Outcomes)
	if err != nil {
		return orca.Accepted{}, err
	}
	if e.Plan == nil {
		return orca.Accepted{}, orca.Errorf(orca.Invalid, "a window of %s came without a plan", e.Window.Type)
	}
	if err := tx.checkPlan(e.Plan); err != nil {
		return orca.Accepted{}, err
	}
	position := tx.last + 1
	if e.Key.Key != "" {
		first, err := tx.claimKey(ctx, e, position)
		if err != nil || first.Replayed {
			return first, err
		}
	}
	fresh, err := tx.insertRun(ctx, e, int64(position), typ)
	if err != nil {
		return orca.Accepted{}, err
	}
	if err := tx.insertOutcomes(ctx, position, e.Outcomes, algorithms, fresh); err != nil {
		return orca.Accepted{}, err
	}
	tx.last = position
	return orca.Accepted{Window: position, Position: position, Status: e.Status}, nil
}

// insertRun writes the window, its first run and, when that has something to do, the row of an open run. It returns the run
// when SQLite is to be given it later.
func (tx *batchTx) insertRun(ctx context.Context, e *orca.Emission, position, typ int64) (*freshRun, error) {
	plan, err := tx.plan(ctx, e.Plan)
	if err != nil {
		return nil, err
	}
	w, filters := &e.Window, encodeFilters(e.Filters)
	key := filterKey(filters)
	tx.lower(plan, w.To)
	r := &freshRun{
		position: orca.Position(position),
		window: []driver.Value{position, typ, int64(w.From), int64(w.To), w.Origin,
			nullBlob(w.Metadata), nullBlob(filters), nullBlob(key)},
		run: []driver.Value{position, position, int64(1), int64(orca.RunEmit), plan, int64(e.End), int64(e.AcceptedAt), nil},
	}
	if key != nil {
		r.past = []driver.Value{typ, key, int64(w.To), int64(w.From), position}
	}
	if e.End == orca.RunOpen {
		r.pending = []driver.Value{position, nullBlob(e.FullMetadata)}
	} else {
		r.run[runFinished] = int64(e.AcceptedAt)
	}
	if !tx.atOnce && e.Lot == nil && mayBeLate(emissionSize(e), e.End, e.Outcomes) {
		tx.acceptLate(r)
		return r, nil
	}
	return nil, tx.acceptNow(ctx, r, e)
}

// acceptNow has SQLite write the rows of a run, which may be parked.
func (tx *batchTx) acceptNow(ctx context.Context, r *freshRun, e *orca.Emission) error {
	if _, err := tx.stmt.insertWindow.exec(ctx, r.window...); err != nil {
		return fmt.Errorf("write window: %w", err)
	}
	if r.past != nil {
		if _, err := tx.stmt.insertPast.exec(ctx, r.past...); err != nil {
			return fmt.Errorf("write window among those of its filters: %w", err)
		}
	}
	if _, err := tx.stmt.insertRun.exec(ctx, r.run...); err != nil {
		return fmt.Errorf("write run: %w", err)
	}
	if e.End != orca.RunOpen {
		return nil
	}
	return tx.insertOpen(ctx, int64(r.position), e.Lot, e.FullMetadata)
}

// settle writes the outcomes that the run does not have yet, and its end.
func (tx *batchTx) settle(ctx context.Context, s *orca.Settlement) error {
	if s.Position < 1 || s.Position > tx.last {
		return orca.Errorf(orca.NotFound, "no run has position %d", s.Position)
	}
	algorithms, err := tx.keysOf(s.Outcomes)
	if err != nil {
		return err
	}
	fresh := tx.fresh.at[s.Position]
	if fresh != nil && !mayBeLate(outcomesSize(s.Outcomes), s.End, s.Outcomes) {
		if err := tx.settleDown(ctx); err != nil {
			return err
		}
		fresh = nil
	}
	if err := tx.insertOutcomes(ctx, s.Position, s.Outcomes, algorithms, fresh); err != nil {
		return err
	}
	if s.End == orca.RunOpen {
		return nil
	}
	ended, err := tx.end(ctx, s, fresh)
	if err != nil {
		return fmt.Errorf("finish run %d: %w", s.Position, err)
	}
	if ended {
		tx.finished = true
		switch {
		case len(tx.lookedAt) == 0:
		case fresh != nil:
			tx.keepFresh(fresh)
		default:
			tx.ended = append(tx.ended, s.Position)
		}
	}
	return nil
}

// end ends a run, and reports whether it was open.
func (tx *batchTx) end(ctx context.Context, s *orca.Settlement, fresh *freshRun) (bool, error) {
	if fresh != nil {
		return tx.endLate(fresh, s), nil
	}
	n, err := tx.stmt.finishRun.exec(ctx, int64(s.End), int64(s.At), int64(s.Position))
	if err != nil || n == 0 {
		return false, err
	}
	return true, tx.deleteOpen(ctx, int64(s.Position))
}

// keysOf returns the integer keys of the outcomes' algorithms.
func (tx *batchTx) keysOf(outcomes []orca.Outcome) ([]int64, error) {
	keys := make([]int64, len(outcomes))
	for i := range outcomes {
		key, ok := tx.algorithms[outcomes[i].Algorithm]
		if !ok {
			return nil, orca.Errorf(orca.NotFound, "algorithm %s was never registered", outcomes[i].Algorithm.Full())
		}
		keys[i] = key
	}
	return keys, nil
}

func (tx *batchTx) insertOutcomes(ctx context.Context, position orca.Position, outcomes []orca.Outcome, algorithms []int64, late *freshRun) error {
	for i := range outcomes {
		if err := tx.insertOutcome(ctx, int64(position), algorithms[i], &outcomes[i], late); err != nil {
			return fmt.Errorf("write outcome of %s in run %d: %w", outcomes[i].Algorithm, position, err)
		}
	}
	return nil
}

func (tx *batchTx) insertOutcome(ctx context.Context, position, algorithm int64, o *orca.Outcome, late *freshRun) error {
	var produced, status, kind, timestamp, value, shown, details, encoded driver.Value
	if o.ProducedAt != 0 && int64(o.ProducedAt) != position {
		produced = int64(o.ProducedAt)
	}
	if r := o.Result; r != nil {
		status, kind, timestamp = int64(r.Status), int64(r.Type), r.Timestamp
		if r.Type == orca.ResultValue {
			value = r.Value
		}
		shown, details, encoded = nullText(r.JSON), nullText(r.Error), nullBlob(r.Encoded)
	}
	row := []driver.Value{outcomeKey(position, algorithm), int64(o.Kind), int64(o.Attempts), int64(o.SettledAt),
		produced, nullText(o.Reason), status, kind, timestamp, value, shown, details, encoded}
	if late != nil {
		tx.stmt.insertOutcome.note(row)
		late.outcomes = append(late.outcomes, row)
		return nil
	}
	_, err := tx.stmt.insertOutcome.exec(ctx, row...)
	return err
}

// claimKey writes the idempotency key of e for the given position. When the key was used before it writes nothing and
// returns the first answer, or a conflict when that was for another window. A key that has expired is free.
func (tx *batchTx) claimKey(ctx context.Context, e *orca.Emission, position orca.Position) (orca.Accepted, error) {
	k := &e.Key
	insert := func() (int64, error) {
		return tx.stmt.insertKey.exec(ctx, int64(position), k.Project, k.Key, k.Digest[:], int64(e.Status), int64(e.AcceptedAt))
	}
	written, err := insert()
	if err != nil {
		return orca.Accepted{}, fmt.Errorf("write idempotency key: %w", err)
	}
	if written == 0 {
		row, err := tx.stmt.findKey.row(ctx, k.Project, k.Key)
		if err != nil {
			return orca.Accepted{}, fmt.Errorf("look up idempotency key: %w", err)
		}
		first := orca.Position(row[0].(int64))
		if int64(e.AcceptedAt)-row[3].(int64) < tx.ttl {
			if !slices.Equal(row[1].([]byte), k.Digest[:]) {
				return orca.Accepted{}, orca.Errorf(orca.Conflict,
					"idempotency key %q was used with another window; send a fresh key with every window", k.Key)
			}
			return orca.Accepted{Window: first, Position: first, Status: orca.EmitStatus(row[2].(int64)), Replayed: true}, nil
		}
		if _, err := tx.stmt.deleteKey.exec(ctx, int64(first)); err != nil {
			return orca.Accepted{}, fmt.Errorf("delete expired idempotency key: %w", err)
		}
		if _, err := insert(); err != nil {
			return orca.Accepted{}, fmt.Errorf("write idempotency key: %w", err)
		}
	}
	tx.clock = max(tx.clock, e.AcceptedAt)
	tx.keys++
	return orca.Accepted{}, nil
}

// expireKeys deletes keys that have expired, oldest positions first: somewhat more than were written, so that it keeps
// up, and no more than that, so that no commit is held up.
func (tx *batchTx) expireKeys(ctx context.Context) error {
	if tx.keys == 0 {
		return nil
	}
	if _, err := tx.stmt.expire.exec(ctx, int64(tx.clock)-tx.ttl, int64(2*tx.keys+16)); err != nil {
		return fmt.Errorf("delete expired idempotency keys: %w", err)
	}
	tx.keys = 0
	return nil
}
