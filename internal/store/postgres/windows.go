package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Window returns one window with its newest run.
func (s *Store) Window(ctx context.Context, id orca.WindowID) (record orca.WindowRecord, err error) {
	err = s.read(ctx, "read window", func(ctx context.Context, db querier) error {
		records, err := s.windows(ctx, db, condition{}.and("w.id = ?", int64(id)), "w.id", 1)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return noWindow(id)
		}
		record = records[0]
		return nil
	})
	return record, err
}

func noWindow(id orca.WindowID) error {
	return orca.Errorf(orca.NotFound, "the ledger has no window %d", id)
}

// Windows returns the windows that q selects, the newest accepted first.
func (s *Store) Windows(ctx context.Context, q orca.WindowQuery) (records []orca.WindowRecord, err error) {
	err = s.read(ctx, "list windows", func(ctx context.Context, db querier) error {
		where, known, err := s.windowCondition(ctx, q)
		if err != nil || !known {
			return err
		}
		records, err = s.windows(ctx, db, where, "w.id DESC", q.Limit)
		return err
	})
	slices.SortFunc(records, func(a, b orca.WindowRecord) int { return cmp.Compare(b.ID, a.ID) })
	return records, err
}

// CountWindows counts the windows that q selects, whatever its limit.
func (s *Store) CountWindows(ctx context.Context, q orca.WindowQuery) (n int64, err error) {
	err = s.read(ctx, "count windows", func(ctx context.Context, db querier) error {
		where, known, err := s.windowCondition(ctx, q)
		if err != nil || !known {
			return err
		}
		return db.QueryRow(ctx, s.names.in(`SELECT count(*) FROM {window} w`+where.sql()), where.args...).Scan(&n)
	})
	return n, err
}

// WindowsByTime returns the windows of one type that q selects and that come after the key, the oldest (To, From, ID)
// first.
func (s *Store) WindowsByTime(ctx context.Context, q orca.WindowQuery, after orca.WindowKey) (records []orca.WindowRecord, err error) {
	err = s.read(ctx, "list windows by time", func(ctx context.Context, db querier) error {
		where, known, err := s.windowCondition(ctx, q)
		if err != nil || !known {
			return err
		}
		// The second term is part of the first, and a bound of the index.
		where = where.and("(w.time_to, w.time_from, w.id) > (?, ?, ?)", int64(after.To), int64(after.From), int64(after.ID)).
			and("w.time_to >= ?", int64(after.To))
		records, err = s.windows(ctx, db, where, "w.time_to, w.time_from, w.id", q.Limit)
		return err
	})
	slices.SortFunc(records, func(a, b orca.WindowRecord) int { return a.Key().Compare(b.Key()) })
	return records, err
}

// windows returns a page of windows in some order, with their newest runs. The page is found first, so that what belongs to
// a window is looked up for those alone that are returned.
func (s *Store) windows(ctx context.Context, db querier, where condition, order string, limit int) ([]orca.WindowRecord, error) {
	where = where.limit(limit)
	rows, err := db.Query(ctx, s.names.in(`SELECT `+selectRecord+` FROM (SELECT w.* FROM {window} w`+where.sql()+
		` ORDER BY `+order+where.page+`) w`+joinRecord), where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []orca.WindowRecord
	for rows.Next() {
		var r recordScan
		if err := rows.Scan(r.targets()...); err != nil {
			return nil, err
		}
		record, err := r.record(ctx, s)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, rows.Err()
}

// windowCondition says what q selects among windows w. A type that nobody registered has none.
func (s *Store) windowCondition(ctx context.Context, q orca.WindowQuery) (c condition, known bool, err error) {
	if q.Type != (orca.WindowTypeID{}) {
		k, err := s.keysWith(ctx, func(k *keys) bool { _, ok := k.types[q.Type]; return ok })
		if err != nil {
			return c, false, err
		}
		typ, ok := k.types[q.Type]
		if !ok {
			return c, false, nil
		}
		c = c.and("w.type = ?", typ.id)
	}
	c = c.during(q.From, q.To)
	if q.Before != 0 {
		c = c.and("w.id < ?", int64(q.Before))
	}
	if !q.HasState {
		return c, true, nil
	}
	c = c.and(`(SELECT r.state FROM {run} r WHERE r.position = `+newestRun+`) = ?`, int16(q.State))
	switch q.State {
	case orca.RunOpen:
		c = c.and(`w.id IN (SELECT open."window" FROM {run} open WHERE open.position IN (SELECT position FROM {pending} UNION ALL SELECT position FROM {parked}))`)
	case orca.RunFailed, orca.RunIncomplete, orca.RunCancelled:
		c = c.and(`w.id IN (SELECT b."window" FROM {setback} b WHERE b.state = ?)`, int16(q.State))
	case orca.RunSucceeded: // nearly all windows: a walk finds them
	}
	return c, true, nil
}

// condition is a WHERE clause in the making; a question mark in a term is its next argument.
type condition struct {
	terms []string
	args  []any
	page  string
}

func (c condition) and(term string, args ...any) condition {
	for _, a := range args {
		c.args = append(c.args, a)
		term = strings.Replace(term, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.terms = append(c.terms, term)
	return c
}

// limit bounds the rows.
func (c condition) limit(n int) condition {
	c.args = append(c.args, max(0, n))
	c.page = " LIMIT $" + strconv.Itoa(len(c.args))
	return c
}

// during selects windows that end after from and begin before to, of which zero means unbounded.
func (c condition) during(from, to orca.Time) condition {
	if from != 0 {
		c = c.and("w.time_to > ?", int64(from))
	}
	if to != 0 {
		c = c.and("w.time_from < ?", int64(to))
	}
	return c
}

func (c condition) sql() string {
	if len(c.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.terms, " AND ")
}

// Run returns a revision of a window with its outcomes, sorted by algorithm, and its plan. Revision 0 is the newest.
func (s *Store) Run(ctx context.Context, id orca.WindowID, revision int) (record orca.RunRecord, err error) {
	err = s.snapshot(ctx, "read run", func(ctx context.Context, tx pgx.Tx) error {
		var r runScan
		err := tx.QueryRow(ctx, s.names.in(runQuery), int64(id), revision).Scan(append(r.targets(), &record.Plan)...)
		if errors.Is(err, pgx.ErrNoRows) && revision == 0 {
			return noWindow(id)
		} else if errors.Is(err, pgx.ErrNoRows) {
			return orca.Errorf(orca.NotFound, "the ledger has no revision %d of window %d", revision, id)
		} else if err != nil {
			return err
		}
		record.Run = r.run()
		if record.Outcomes, err = s.outcomes(ctx, tx, record.Run.Position, true); err != nil {
			return fmt.Errorf("its outcomes: %w", err)
		}
		return nil
	})
	if err != nil {
		return orca.RunRecord{}, err
	}
	return record, nil
}

// runQuery finds the first run by its position; the index on revisions has the later ones alone.
const runQuery = `SELECT ` + selectRun + `, p.content FROM {run} r JOIN {plan} p ON p.id = r.plan
	WHERE r.position IN (SELECT $1::bigint UNION ALL SELECT later.position FROM {run} later WHERE later."window" = $1 AND later.revision > 1)
		AND r."window" = $1 AND ($2::int = 0 OR r.revision = $2)
	ORDER BY r.revision DESC LIMIT 1`

// Outcomes returns the outcomes of one run, sorted by algorithm, without their results.
func (s *Store) Outcomes(ctx context.Context, at orca.Position) (outcomes []orca.Outcome, err error) {
	err = s.read(ctx, "read outcomes", func(ctx context.Context, db querier) error {
		outcomes, err = s.outcomes(ctx, db, at, false)
		return err
	})
	return outcomes, err
}

// outcomes returns all outcomes of one run, with their results or without.
func (s *Store) outcomes(ctx context.Context, db querier, at orca.Position, withResults bool) (outcomes []orca.Outcome, err error) {
	columns := selectOutcome
	if withResults {
		columns += `, ` + resultColumns
	}
	rows, err := db.Query(ctx, s.names.in(`SELECT `+columns+` FROM {outcome} o WHERE o.position = $1`), int64(at))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var o outcomeScan
		var r resultScan
		targets := o.targets()
		if withResults {
			targets = append(targets, r.targets()...)
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		outcome, err := o.outcome(ctx, s)
		if err != nil {
			return nil, err
		}
		outcome.Result = r.result()
		outcomes = append(outcomes, outcome)
	}
	sortOutcomes(outcomes)
	return outcomes, rows.Err()
}
