package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// All joins are CROSS joins, so that SQLite keeps their order: each is a look-up by key from the one before.
var (
	// newestJoin adds, as r, the newest run of window w.
	newestJoin = `
		CROSS JOIN run r ON r.position = coalesce(
			(SELECT later.position FROM run later WHERE later.window = w.id AND later.revision > 1
				ORDER BY later.revision DESC LIMIT 1), w.id)`

	// recordColumns and recordJoins select the WindowRecord of window w.
	recordColumns = `w.id, ` + windowColumns + `, first.accepted_at, ` + runColumns + `, p.nodes,
		(SELECT count(*) FROM outcome o WHERE ` + outcomeIn("r.position") + `)`
	recordJoins = newestJoin + `
		CROSS JOIN window_type t ON t.id = w.type
		CROSS JOIN run first ON first.position = w.id
		CROSS JOIN plan p ON p.id = r.plan`
)

// recordScan receives recordColumns.
type recordScan struct {
	orca.WindowRecord
	newest runScan
}

func (r *recordScan) targets() []any {
	return slices.Concat([]any{&r.ID}, windowTargets(&r.Window), []any{&r.AcceptedAt}, r.newest.targets(), []any{&r.Nodes, &r.Settled})
}

func (r *recordScan) record() orca.WindowRecord {
	r.Newest = r.newest.run()
	return r.WindowRecord
}

// Window returns one window with its newest run.
func (s *Store) Window(ctx context.Context, id orca.WindowID) (record orca.WindowRecord, err error) {
	err = s.read(ctx, "read window", func(ctx context.Context, tx snapshot) error {
		records, err := tx.windows(ctx, condition{}.and("w.id = ?", int64(id)), 1)
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
	err = s.read(ctx, "list windows", func(ctx context.Context, tx snapshot) error {
		column, err := tx.typeColumn(ctx, q)
		if err != nil {
			return err
		}
		records, err = tx.windows(ctx, windowCondition(q, column), q.Limit)
		return err
	})
	return records, err
}

// The type of a window, for a query that may use the index on time, and for one that may not.
const (
	indexedType = "w.type"
	walkedType  = "+w.type"
)

// fewWindows may be sorted for a page, beyond that walking the ids downwards finds it sooner.
const fewWindows = 10_000

// typeColumn chooses the way to a page of windows by descending ids: through the index on time and a sort, when a lower
// bound in time leaves few windows of the type, else along the ids.
func (tx snapshot) typeColumn(ctx context.Context, q orca.WindowQuery) (string, error) {
	if q.Type == (orca.WindowTypeID{}) || q.From == 0 {
		return walkedType, nil
	}
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM window w
		WHERE w.type = (SELECT id FROM window_type WHERE name = ? AND version = ?) AND w.time_to > ? LIMIT +?)`,
		q.Type.Name, q.Type.Version, int64(q.From), fewWindows).Scan(&n)
	if n < fewWindows {
		return indexedType, err
	}
	return walkedType, err
}

// windowsQuery first finds the page, see within.
func windowsQuery(where condition) string {
	return `WITH page (id) AS MATERIALIZED (
			SELECT w.id FROM window w` + where.sql() + ` ORDER BY w.id DESC LIMIT +?)
		SELECT ` + recordColumns + ` FROM page CROSS JOIN window w ON w.id = page.id` + recordJoins
}

func (tx snapshot) windows(ctx context.Context, where condition, limit int) ([]orca.WindowRecord, error) {
	records, err := tx.list(ctx, windowsQuery(where), append(where.args, max(0, limit)))
	slices.SortFunc(records, func(a, b orca.WindowRecord) int { return cmp.Compare(b.ID, a.ID) })
	return records, err
}

// list returns the records that a query of recordColumns gives, in no order.
func (tx snapshot) list(ctx context.Context, query string, args []any) ([]orca.WindowRecord, error) {
	rows, err := tx.QueryContext(ctx, query, args...)
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
		records = append(records, r.record())
	}
	return records, rows.Err()
}

// windowCondition says what q selects, with indexedType or walkedType for the type.
func windowCondition(q orca.WindowQuery, typeColumn string) condition {
	var c condition
	if q.Type != (orca.WindowTypeID{}) {
		c = c.and(typeColumn+" = (SELECT id FROM window_type WHERE name = ? AND version = ?)", q.Type.Name, q.Type.Version)
	}
	c = c.during(q.From, q.To)
	if q.Before != 0 {
		c = c.and("w.id < ?", int64(q.Before))
	}
	if !q.HasState {
		return c
	}
	c = c.join(newestJoin).and("r.state = ?", int64(q.State))
	switch q.State {
	case orca.RunOpen:
		c = c.and("w.id IN (SELECT window FROM run WHERE position IN (SELECT position FROM pending UNION ALL SELECT position FROM parked))")
	case orca.RunFailed, orca.RunIncomplete, orca.RunCancelled:
		// The first term is that of the partial index.
		c = c.and("w.id IN (SELECT window FROM run WHERE state > 1 AND state = ?)", int64(q.State))
	case orca.RunSucceeded: // nearly all windows: a walk finds them
	}
	return c
}

// condition is a WHERE clause in the making, with the joins that it needs.
type condition struct {
	joins string
	terms []string
	args  []any
}

func (c condition) join(join string) condition {
	c.joins += join
	return c
}

func (c condition) and(term string, args ...any) condition {
	c.terms, c.args = append(c.terms, term), append(c.args, args...)
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
		return c.joins
	}
	return c.joins + " WHERE " + strings.Join(c.terms, " AND ")
}

// Run returns a revision of a window with its outcomes, sorted by algorithm, and its plan. Revision 0 is the newest.
func (s *Store) Run(ctx context.Context, id orca.WindowID, revision int) (record orca.RunRecord, err error) {
	err = s.read(ctx, "read run", func(ctx context.Context, tx snapshot) error {
		if record.Run, err = tx.run(ctx, id, revision); err != nil {
			return err
		}
		hash := record.Run.Plan
		if err := tx.StmtContext(ctx, tx.reads.plan).QueryRowContext(ctx, hash[:]).Scan(&record.Plan); err != nil {
			return fmt.Errorf("read its plan: %w", err)
		}
		record.Outcomes, err = tx.outcomes(ctx, record.Run.Position)
		return err
	})
	if err != nil {
		return orca.RunRecord{}, err
	}
	return record, nil
}

// runQuery finds the first run by its position; the index on revisions has the later ones alone.
const runQuery = `SELECT ` + runColumns + ` FROM run r CROSS JOIN plan p ON p.id = r.plan
	WHERE r.position IN (SELECT ?1 UNION ALL SELECT position FROM run WHERE window = ?1 AND revision > 1)
		AND r.window = ?1 AND (?2 = 0 OR r.revision = ?2)
	ORDER BY r.revision DESC LIMIT 1`

func (tx snapshot) run(ctx context.Context, id orca.WindowID, revision int) (orca.Run, error) {
	var r runScan
	err := tx.QueryRowContext(ctx, runQuery, int64(id), revision).Scan(r.targets()...)
	if !errors.Is(err, sql.ErrNoRows) {
		return r.run(), err
	}
	if revision == 0 {
		return orca.Run{}, noWindow(id)
	}
	return orca.Run{}, orca.Errorf(orca.NotFound, "the ledger has no revision %d of window %d", revision, id)
}

// outcomes returns all outcomes of one run with their results.
func (tx snapshot) outcomes(ctx context.Context, at orca.Position) ([]orca.Outcome, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+outcomeColumns+`, `+resultColumns+`
		FROM outcome o CROSS JOIN algorithm a ON a.id = o.algorithm
		WHERE `+outcomeIn("?1")+` ORDER BY a.processor, a.name, a.version`, int64(at))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var outcomes []orca.Outcome
	for rows.Next() {
		var o outcomeScan
		var r resultScan
		if err := rows.Scan(append(o.targets(), r.targets()...)...); err != nil {
			return nil, err
		}
		outcome := o.outcome()
		outcome.Result = r.result()
		outcomes = append(outcomes, outcome)
	}
	return outcomes, rows.Err()
}
