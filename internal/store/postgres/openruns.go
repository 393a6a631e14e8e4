package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

const (
	// allOpen are the lowest positions above $1.
	allOpen = `(SELECT position FROM {pending} WHERE position > $1 ORDER BY position LIMIT $2)
		UNION ALL (SELECT position FROM {parked} WHERE position > $1 ORDER BY position LIMIT $2)`
	// nextOpen are the lowest positions of sources: lots $1, of which the empty hash is those that are not parked, above $2.
	nextOpen = `SELECT n.position FROM unnest($1::bytea[], $2::bigint[]) AS source(hash, after)
		CROSS JOIN LATERAL (
			(SELECT p.position FROM {pending} p WHERE source.hash = '' AND p.position > source.after ORDER BY p.position LIMIT $3)
			UNION ALL
			(SELECT p.position FROM {parked} p WHERE p.lot = (SELECT l.id FROM {lot} l WHERE l.hash = source.hash)
				AND p.position > source.after ORDER BY p.position LIMIT $3)) n`

	// selectOpen gives the runs at the positions $1, ascending.
	selectOpen = `SELECT ` + selectRun + `, ` + selectWindow + `, coalesce(pending.metadata, parked.metadata), lot.hash, coalesce(pending.tries, parked.tries), w.filters
		FROM unnest($1::bigint[]) AS asked(position)
		JOIN {run} r ON r.position = asked.position
		JOIN {plan} p ON p.id = r.plan
		JOIN {window} w ON w.id = r."window"
		LEFT JOIN {pending} pending ON pending.position = r.position
		LEFT JOIN {parked} parked ON parked.position = r.position
		LEFT JOIN {lot} lot ON lot.id = parked.lot
		ORDER BY r.position`
)

// OpenRuns returns unfinished runs with positions above after, parked ones too, the lowest first, with their outcomes
// so far, which are sorted by algorithm and lack the results.
func (s *Store) OpenRuns(ctx context.Context, after orca.Position, limit int) ([]orca.OpenRun, error) {
	return s.openRuns(ctx, limit, func(tx pgx.Tx) (pgx.Rows, error) {
		return tx.Query(ctx, s.names.in(allOpen), int64(after), max(0, limit))
	})
}

// NextRuns returns the lowest unfinished runs of all the sources, like OpenRuns. Of a ledger that is shared it claims those
// that no core works on, whatever their positions: they are this core's from then on.
func (s *Store) NextRuns(ctx context.Context, sources []orca.OpenSource, limit int) ([]orca.OpenRun, error) {
	if m := s.member.Load(); m != nil {
		var hashes [][]byte
		for _, from := range sources {
			if from.Lot != nil {
				hashes = append(hashes, from.Lot.Hash[:])
			}
		}
		return s.claimNext(ctx, m, hashes, limit)
	}
	hashes, after := make([][]byte, len(sources)), make([]int64, len(sources))
	for i, from := range sources {
		hashes[i], after[i] = []byte{}, int64(from.After)
		if from.Lot != nil {
			hashes[i] = from.Lot.Hash[:]
		}
	}
	return s.openRuns(ctx, limit, func(tx pgx.Tx) (pgx.Rows, error) {
		return tx.Query(ctx, s.names.in(nextOpen), hashes, after, max(0, limit))
	})
}

func (s *Store) openRuns(ctx context.Context, limit int, find func(pgx.Tx) (pgx.Rows, error)) (runs []orca.OpenRun, err error) {
	err = s.snapshot(ctx, "read open runs", func(ctx context.Context, tx pgx.Tx) error {
		rows, err := find(tx)
		if err != nil {
			return err
		}
		positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(positions) == 0 {
			return err
		}
		slices.Sort(positions)
		positions = positions[:min(len(positions), max(0, limit))]
		if runs, err = s.openRunsAt(ctx, tx, positions); err != nil {
			return err
		}
		return s.openOutcomes(ctx, tx, positions, runs)
	})
	if n := len(runs); n > 0 {
		s.saw(runs[n-1].Position)
	}
	return runs, err
}

func (s *Store) openRunsAt(ctx context.Context, tx pgx.Tx, positions []int64) ([]orca.OpenRun, error) {
	rows, err := tx.Query(ctx, s.names.in(selectOpen), positions)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var runs []orca.OpenRun
	for rows.Next() {
		var r runScan
		var w windowScan
		var open orca.OpenRun
		var full, lot, tries, filters []byte
		if err := rows.Scan(slices.Concat(r.targets(), w.targets(), []any{&full, &lot, &tries, &filters})...); err != nil {
			return nil, err
		}
		open.Run = r.run()
		if open.Stored, err = w.window(ctx, s); err != nil {
			return nil, err
		}
		open.Input = open.Stored
		copy(open.Lot[:], lot)
		if tries != nil {
			if err := json.Unmarshal(tries, &open.Tries); err != nil {
				return nil, fmt.Errorf("read the tries of run %d: %w", r.Position, err)
			}
		}
		if open.Filters, err = decodeFilters(filters); err != nil {
			return nil, fmt.Errorf("read the filters of window %d: %w", open.Window, err)
		}
		if full != nil {
			open.Input.Metadata = full
		}
		runs = append(runs, open)
	}
	return runs, rows.Err()
}

// openOutcomes adds their outcomes to runs, which are those at the positions, ascending.
func (s *Store) openOutcomes(ctx context.Context, tx pgx.Tx, positions []int64, runs []orca.OpenRun) error {
	rows, err := tx.Query(ctx, s.names.in(`SELECT `+selectOutcome+` FROM {outcome} o WHERE o.position = ANY($1::bigint[]) ORDER BY o.position`), positions)
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
		outcome, err := o.outcome(ctx, s)
		if err != nil {
			return err
		}
		runs[i].Outcomes = append(runs[i].Outcomes, outcome)
	}
	for i := range runs {
		sortOutcomes(runs[i].Outcomes)
	}
	return rows.Err()
}

// Unfinished counts the unfinished runs, without what only one core can make use of.
func (s *Store) Unfinished(ctx context.Context) (b orca.Backlog, err error) {
	err = s.snapshot(ctx, "count unfinished runs", func(ctx context.Context, tx pgx.Tx) error {
		b, err = s.unfinished(ctx, tx)
		return err
	})
	return b, err
}

func (s *Store) unfinished(ctx context.Context, tx pgx.Tx) (b orca.Backlog, err error) {
	if err := tx.QueryRow(ctx, s.names.in(`SELECT (SELECT count(*) FROM {pending}) + (SELECT count(*) FROM {parked}),
		(SELECT position FROM {counter})`)).Scan(&b.Open, &b.Newest); err != nil {
		return b, err
	}
	b.Lots, err = s.lots(ctx, tx)
	return b, err
}

// Backlog counts the unfinished runs.
func (s *Store) Backlog(ctx context.Context) (b orca.Backlog, err error) {
	err = s.snapshot(ctx, "count the backlog", func(ctx context.Context, tx pgx.Tx) error {
		if b, err = s.unfinished(ctx, tx); err != nil {
			return err
		}
		if b.Settled, err = s.settledExpected(ctx, tx); err != nil {
			return err
		}
		b.Windows, err = s.newestWindows(ctx, tx)
		return err
	})
	return b, err
}

// lots returns those in which runs are parked.
func (s *Store) lots(ctx context.Context, tx pgx.Tx) (lots []orca.LotSize, err error) {
	var content string
	var size orca.LotSize
	err = each(ctx, tx, s.names.in(`SELECT l.algorithms, p.runs, p.oldest
		FROM (SELECT lot, count(*) AS runs, min(position) AS oldest FROM {parked} GROUP BY lot) p JOIN {lot} l ON l.id = p.lot`), nil,
		[]any{&content, &size.Runs, &size.Oldest}, func() (err error) {
			size.Lot, err = orca.ParseLot(content)
			lots = append(lots, size)
			return err
		})
	return lots, err
}

// settledExpected returns the outcomes that are there and that somebody waits for.
func (s *Store) settledExpected(ctx context.Context, tx querier) (settled []orca.OutcomeKey, err error) {
	var key orca.OutcomeKey
	var algorithm int32
	err = each(ctx, tx, s.names.in(`SELECT DISTINCT x.run, x.algorithm FROM {expected} x
		JOIN {outcome} o ON o.position = x.run AND o.algorithm = x.algorithm`), nil, []any{&key.Position, &algorithm}, func() (err error) {
		key.Algorithm, err = s.algorithmOf(ctx, algorithm)
		settled = append(settled, key)
		return err
	})
	return settled, err
}

// newestWindows returns the newest window of each type, by (to, from).
func (s *Store) newestWindows(ctx context.Context, tx pgx.Tx) (newest map[orca.WindowTypeID]orca.Interval, err error) {
	newest = map[orca.WindowTypeID]orca.Interval{}
	var id orca.WindowTypeID
	var i orca.Interval
	err = each(ctx, tx, s.names.in(`SELECT t.name, t.version, w.time_to, w.time_from FROM {window_type} t
		CROSS JOIN LATERAL (SELECT n.time_to, n.time_from FROM {window} n WHERE n.type = t.id
			ORDER BY n.time_to DESC, n.time_from DESC LIMIT 1) w`), nil,
		[]any{into{&id.Name}, into{&id.Version}, &i.To, &i.From}, func() error {
			newest[id] = i
			return nil
		})
	return newest, err
}
