package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Park queues a run to be parked in a lot, whichever it may be in already, and returns. done is told whether it is
// parked, which it is not when it has finished, or when an outcome that it waits for is settled; see Accept for the rest.
func (s *Store) Park(p orca.Parking, done func(parked bool, err error)) {
	s.queue.add(&request{parking: &p, parked: done, size: rowOverhead})
}

// Wake queues outcomes that are settled and returns. The runs that are parked and wait for them are put into orca.Woken,
// so many that no commit is held up; more says that there may be others. See Accept for the rest.
func (s *Store) Wake(settled []orca.OutcomeKey, done func(woken []orca.WokenRun, more bool, err error)) {
	s.queue.add(&request{settledNow: settled, woken: done, size: rowOverhead * (1 + len(settled))})
}

// wakeAtOnce bounds the runs that one request wakes.
const wakeAtOnce = 1000

// wake puts the runs that wait for outcomes into orca.Woken.
func (tx *batchTx) wake(ctx context.Context, settled []orca.OutcomeKey) (woken []orca.WokenRun, more bool, err error) {
	lot, err := tx.lot(ctx, orca.Woken)
	if err != nil {
		return nil, false, err
	}
	for _, k := range settled {
		algorithm, ok := tx.algorithms[k.Algorithm]
		for ok {
			if len(woken) == wakeAtOnce {
				return woken, true, nil
			}
			row, err := tx.stmt.findExpected.row(ctx, int64(k.Position), algorithm)
			if err != nil {
				return nil, false, fmt.Errorf("look up who waits for %s of run %d: %w", k.Algorithm, k.Position, err)
			}
			if row == nil {
				break
			}
			w, err := tx.wakeRun(ctx, row[0].(int64), lot)
			if err != nil {
				return nil, false, fmt.Errorf("wake run %d: %w", row[0], err)
			}
			if w != nil {
				woken = append(woken, *w)
			}
		}
	}
	return woken, false, nil
}

// wakeRun puts a run into a lot, if it is parked, and forgets what it waits for.
func (tx *batchTx) wakeRun(ctx context.Context, position, lot int64) (*orca.WokenRun, error) {
	if _, err := tx.stmt.deleteExpected.exec(ctx, position); err != nil {
		return nil, err
	}
	before, err := tx.stmt.lotOf.row(ctx, position)
	if err != nil || before == nil {
		return nil, err
	}
	w := &orca.WokenRun{Position: orca.Position(position)}
	copy(w.From[:], blob(before, 0))
	_, err = tx.stmt.wakeRun.exec(ctx, lot, position)
	return w, err
}

// expects writes down which outcomes a parked run waits for, or reports that one of them is there.
func (tx *batchTx) expects(ctx context.Context, p *orca.Parking) (settled bool, err error) {
	algorithms := make([]int64, len(p.Expects))
	for i, k := range p.Expects {
		var ok bool
		if algorithms[i], ok = tx.algorithms[k.Algorithm]; !ok {
			return false, orca.Errorf(orca.NotFound, "algorithm %s was never registered", k.Algorithm.Full())
		}
		row, err := tx.stmt.hasOutcome.row(ctx, outcomeKey(int64(k.Position), algorithms[i]))
		if err != nil || row != nil {
			return row != nil, err
		}
	}
	if _, err := tx.stmt.deleteExpected.exec(ctx, int64(p.Position)); err != nil {
		return false, err
	}
	for i, k := range p.Expects {
		if _, err := tx.stmt.insertExpected.exec(ctx, int64(k.Position), algorithms[i], int64(p.Position)); err != nil {
			return false, err
		}
	}
	return false, nil
}

// park moves a run into a lot.
func (tx *batchTx) park(ctx context.Context, p *orca.Parking) (parked bool, err error) {
	if settled, err := tx.expects(ctx, p); err != nil || settled {
		return false, err
	}
	lot, err := tx.lot(ctx, p.Lot)
	if err != nil {
		return false, err
	}
	tries, err := encodeTries(p.Tries)
	if err != nil {
		return false, err
	}
	n, err := tx.stmt.reparkRun.exec(ctx, lot, tries, int64(p.Position))
	if err == nil && n == 0 {
		if n, err = tx.stmt.parkRun.exec(ctx, lot, tries, int64(p.Position)); err == nil && n > 0 {
			_, err = tx.stmt.deletePend.exec(ctx, int64(p.Position))
		}
	}
	if err != nil {
		return false, fmt.Errorf("park run %d: %w", p.Position, err)
	}
	if n == 0 {
		_, err = tx.stmt.deleteExpected.exec(ctx, int64(p.Position))
	}
	return n > 0, err
}

func encodeTries(tries []orca.Tries) (driver.Value, error) {
	if len(tries) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(tries)
	return string(b), err
}

// insertOpen writes the row of an unfinished run: in pending, or in its lot.
func (tx *batchTx) insertOpen(ctx context.Context, position int64, l *orca.Lot, metadata []byte) (err error) {
	if l == nil {
		_, err = tx.stmt.insertPending.exec(ctx, position, nullBlob(metadata))
	} else {
		var lot int64
		if lot, err = tx.lot(ctx, l); err != nil {
			return err
		}
		_, err = tx.stmt.insertParked.exec(ctx, position, lot, nullBlob(metadata))
	}
	if err != nil {
		return fmt.Errorf("write open run: %w", err)
	}
	return nil
}

// deleteOpen deletes the row of a run that has finished.
func (tx *batchTx) deleteOpen(ctx context.Context, position int64) error {
	n, err := tx.stmt.deletePend.exec(ctx, position)
	if err == nil && n == 0 {
		if _, err = tx.stmt.deleteParked.exec(ctx, position); err == nil {
			_, err = tx.stmt.deleteExpected.exec(ctx, position)
		}
	}
	if err != nil {
		return fmt.Errorf("delete open run %d: %w", position, err)
	}
	return nil
}

// lot returns the integer key of a lot, writing the lot when it is new.
func (tx *batchTx) lot(ctx context.Context, l *orca.Lot) (int64, error) {
	if id, ok := tx.writer.lots[l.Hash]; ok {
		return id, nil
	}
	if id, ok := tx.lots[l.Hash]; ok {
		return id, nil
	}
	row, err := tx.stmt.lotID.row(ctx, l.Hash[:])
	if err == nil && row == nil {
		row, err = tx.stmt.insertLot.row(ctx, l.Hash[:], l.Content())
	}
	if err != nil {
		return 0, fmt.Errorf("write lot: %w", err)
	}
	id := row[0].(int64)
	tx.lots[l.Hash] = id
	return id, nil
}

const (
	freeQuery   = `SELECT position FROM pending WHERE position > ? ORDER BY position LIMIT +?`
	inLotQuery  = `SELECT position FROM parked WHERE lot = (SELECT id FROM lot WHERE hash = ?) AND position > ? ORDER BY position LIMIT +?`
	parkedQuery = `SELECT position FROM parked WHERE position > ? ORDER BY position LIMIT +?`
)

// OpenRuns returns unfinished runs with positions above after, parked ones too, the lowest first, with their outcomes
// so far, which are sorted by algorithm and lack the results.
func (s *Store) OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error) {
	return s.openRuns(ctx, limit, func(ctx context.Context, tx snapshot) ([]orca.Position, error) {
		free, err := tx.positions(ctx, tx.reads.free, int64(after), limit)
		if err != nil {
			return nil, err
		}
		parked, err := tx.positions(ctx, tx.reads.parked, int64(after), limit)
		return append(free, parked...), err
	})
}

// NextRuns returns the lowest unfinished runs of all the sources, like OpenRuns.
func (s *Store) NextRuns(ctx context.Context, sources []orca.OpenSource, limit int) ([]orca.OpenRun, error) {
	return s.openRuns(ctx, limit, func(ctx context.Context, tx snapshot) (positions []orca.Position, err error) {
		for _, from := range sources {
			var some []orca.Position
			if from.Lot == nil {
				some, err = tx.positions(ctx, tx.reads.free, int64(from.After), limit)
			} else {
				some, err = tx.positions(ctx, tx.reads.inLot, from.Lot.Hash[:], int64(from.After), limit)
			}
			if err != nil {
				return nil, err
			}
			if positions = lowest(append(positions, some...), limit); ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		return positions, nil
	})
}

func lowest(positions []orca.Position, limit int) []orca.Position {
	slices.Sort(positions)
	return positions[:min(len(positions), max(0, limit))]
}

func (s *Store) openRuns(ctx context.Context, limit int, find func(context.Context, snapshot) ([]orca.Position, error)) (runs []orca.OpenRun, err error) {
	err = s.read(ctx, "read open runs", func(ctx context.Context, tx snapshot) error {
		positions, err := find(ctx, tx)
		if err != nil || len(positions) == 0 {
			return err
		}
		asked, err := encodePositions(lowest(positions, limit))
		if err != nil {
			return err
		}
		if runs, err = tx.openRunsAt(ctx, asked); err != nil {
			return err
		}
		return tx.openOutcomes(ctx, asked, runs)
	})
	return runs, err
}

// positions runs a query for positions; the limit is its last parameter.
func (tx snapshot) positions(ctx context.Context, query *sql.Stmt, args ...any) (positions []orca.Position, err error) {
	args[len(args)-1] = max(0, args[len(args)-1].(int))
	rows, err := tx.StmtContext(ctx, query).QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p orca.Position
		if err := rows.Scan(&p); err != nil {
			return nil, err
		}
		positions = append(positions, p)
	}
	return positions, rows.Err()
}

// Backlog counts the unfinished runs.
func (s *Store) Backlog(ctx context.Context) (b orca.Backlog, err error) {
	err = s.read(ctx, "count the backlog", func(ctx context.Context, tx snapshot) error {
		if err := tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM pending) + (SELECT count(*) FROM parked),
			(SELECT coalesce(max(position), 0) FROM run)`).Scan(&b.Open, &b.Newest); err != nil {
			return err
		}
		if b.Lots, err = tx.lots(ctx); err != nil {
			return err
		}
		if b.Settled, err = tx.settledExpected(ctx); err != nil {
			return err
		}
		b.Windows, err = tx.newestWindows(ctx)
		return err
	})
	return b, err
}

// settledExpected returns the outcomes that are there and that somebody waits for.
func (tx snapshot) settledExpected(ctx context.Context) (keys []orca.OutcomeKey, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT e.run, a.processor, a.name, a.version FROM expected e
		CROSS JOIN outcome o ON `+outcomeIs("e.run", "e.algorithm")+`
		CROSS JOIN algorithm a ON a.id = e.algorithm`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k orca.OutcomeKey
		if err := rows.Scan(&k.Position, &k.Algorithm.Processor, &k.Algorithm.Name, &k.Algorithm.Version); err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}

// lots returns those in which runs are parked.
func (tx snapshot) lots(ctx context.Context) (lots []orca.LotSize, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT lot.algorithms, count(*), min(parked.position)
		FROM parked CROSS JOIN lot ON lot.id = parked.lot GROUP BY parked.lot`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var content string
		var size orca.LotSize
		if err := rows.Scan(&content, &size.Runs, &size.Oldest); err != nil {
			return nil, err
		}
		if size.Lot, err = orca.ParseLot(content); err != nil {
			return nil, err
		}
		lots = append(lots, size)
	}
	return lots, rows.Err()
}

// newestWindows returns the newest window of each type, by (to, from).
func (tx snapshot) newestWindows(ctx context.Context) (newest map[orca.WindowTypeID]orca.Interval, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT t.name, t.version, w.time_to, w.time_from FROM window_type t
		CROSS JOIN window w ON w.id = (SELECT n.id FROM window n INDEXED BY window_time WHERE n.type = t.id
			ORDER BY n.time_to DESC, n.time_from DESC LIMIT 1)`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	newest = map[orca.WindowTypeID]orca.Interval{}
	for rows.Next() {
		var id orca.WindowTypeID
		var i orca.Interval
		if err := rows.Scan(&id.Name, &id.Version, &i.To, &i.From); err != nil {
			return nil, err
		}
		newest[id] = i
	}
	return newest, rows.Err()
}
