package sqlite

import (
	"context"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// CountWindows counts the windows that q selects, whatever its limit.
func (s *Store) CountWindows(ctx context.Context, q orca.WindowQuery) (n int64, err error) {
	where := windowCondition(q, indexedType)
	err = s.within(ctx, "count windows", func(ctx context.Context) error {
		return s.readers.QueryRowContext(ctx, `SELECT count(*) FROM window w`+where.sql(), where.args...).Scan(&n)
	})
	return n, err
}

// WindowsByTime returns the windows of one type that q selects and that come after the key, the oldest (To, From, ID)
// first.
func (s *Store) WindowsByTime(ctx context.Context, q orca.WindowQuery, after orca.WindowKey) (records []orca.WindowRecord, err error) {
	where := byTimeCondition(q, after)
	err = s.read(ctx, "list windows by time", func(ctx context.Context, tx snapshot) error {
		records, err = tx.list(ctx, byTimeQuery(where), append(where.args, max(0, q.Limit)))
		return err
	})
	slices.SortFunc(records, func(a, b orca.WindowRecord) int { return a.Key().Compare(b.Key()) })
	return records, err
}

// byTimeCondition makes the index on time give the order. A lower bound in time is part of the key, so that SQLite has
// one place to begin at.
func byTimeCondition(q orca.WindowQuery, after orca.WindowKey) condition {
	if q.From >= after.To {
		after = orca.WindowKey{To: q.From, From: orca.MaxTime, ID: orca.Position(orca.MaxTime)}
	}
	typ := q.Type
	q.Type, q.From = orca.WindowTypeID{}, 0
	return windowCondition(q, indexedType).
		and("w.type = (SELECT id FROM window_type WHERE name = ? AND version = ?)", typ.Name, typ.Version).
		and("(w.time_to, w.time_from, w.id) > (?, ?, ?)", int64(after.To), int64(after.From), int64(after.ID))
}

// byTimeQuery first finds the page, see within.
func byTimeQuery(where condition) string {
	return `WITH page (id) AS MATERIALIZED (
			SELECT w.id FROM window w` + where.sql() + ` ORDER BY w.time_to, w.time_from, w.id LIMIT +?)
		SELECT ` + recordColumns + ` FROM page CROSS JOIN window w ON w.id = page.id` + recordJoins
}

var runOutcomesQuery = `SELECT ` + outcomeColumns + `
	FROM outcome o CROSS JOIN algorithm a ON a.id = o.algorithm
	WHERE ` + outcomeIn("?1") + ` ORDER BY a.processor, a.name, a.version`

// Outcomes returns the outcomes of one run, sorted by algorithm, without their results.
func (s *Store) Outcomes(ctx context.Context, at orca.Position) (outcomes []orca.Outcome, err error) {
	err = s.read(ctx, "read outcomes", func(ctx context.Context, tx snapshot) error {
		rows, err := tx.QueryContext(ctx, runOutcomesQuery, int64(at))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o outcomeScan
			if err := rows.Scan(o.targets()...); err != nil {
				return err
			}
			outcomes = append(outcomes, o.outcome())
		}
		return rows.Err()
	})
	return outcomes, err
}
