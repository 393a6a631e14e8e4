package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// History returns outcomes of one algorithm with their results, the newest window first: by (To, From, Position)
// descending.
func (s *Store) History(ctx context.Context, q orca.ResultQuery) (records []orca.ResultRecord, err error) {
	err = s.read(ctx, "read results", func(ctx context.Context, tx snapshot) error {
		algorithm, typ, err := tx.algorithmKeys(ctx, q.Algorithm)
		if err != nil {
			return err
		}
		records, err = tx.history(ctx, historyCondition(q, algorithm, typ), q.Limit)
		return err
	})
	return records, err
}

// algorithmKeys returns the integer keys of an algorithm and of the window type that triggers it.
func (tx snapshot) algorithmKeys(ctx context.Context, id orca.AlgorithmID) (algorithm, typ int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id, window_type FROM algorithm WHERE processor = ? AND name = ? AND version = ?`,
		id.Processor, id.Name, id.Version).Scan(&algorithm, &typ)
	if errors.Is(err, sql.ErrNoRows) {
		err = orca.Errorf(orca.NotFound, "algorithm %s was never registered", id.Full())
	}
	return algorithm, typ, err
}

// historyCondition says what q selects among windows w of the algorithm's type, their runs own, and outcomes o.
func historyCondition(q orca.ResultQuery, algorithm, typ int64) condition {
	c := condition{args: []any{algorithm}}.and("w.type = ?", typ).during(q.From, q.To)
	if !q.Failed {
		c = c.and("o.kind = ?", int64(orca.Succeeded))
	}
	if b := q.Before; b != nil {
		c = c.and("(w.time_to, w.time_from, own.position) < (?, ?, ?)", int64(b.To), int64(b.From), int64(b.Position))
	}
	return c
}

// historyQuery first finds the page, see within: it walks the index on time and looks up the runs of each window, the
// first one by the window's key, later revisions by their index. Only the runs of equal intervals have to be sorted.
func historyQuery(where condition) string {
	return `WITH page (window, position, algorithm) AS MATERIALIZED (
			SELECT w.id, own.position, o.algorithm
			FROM window w
			CROSS JOIN run own ON own.position = w.id
				OR own.position IN (SELECT again.position FROM run again WHERE again.window = w.id AND again.revision > 1)
			CROSS JOIN outcome o ON ` + outcomeIs("own.position", "?1") + where.sql() + `
			ORDER BY w.time_to DESC, w.time_from DESC, own.position DESC LIMIT +?)
		SELECT ` + recordColumns + `, ` + ownColumns + `, ` + outcomeColumns + `, ` + resultColumns + `
		FROM page
		CROSS JOIN window w ON w.id = page.window
		CROSS JOIN run own ON own.position = page.position
		CROSS JOIN plan ownplan ON ownplan.id = own.plan
		CROSS JOIN outcome o ON ` + outcomeIs("page.position", "page.algorithm") + `
		CROSS JOIN algorithm a ON a.id = page.algorithm` + recordJoins
}

func (tx snapshot) history(ctx context.Context, where condition, limit int) ([]orca.ResultRecord, error) {
	rows, err := tx.QueryContext(ctx, historyQuery(where), append(where.args, max(0, limit))...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []orca.ResultRecord
	for rows.Next() {
		var window recordScan
		var own runScan
		var o outcomeScan
		var r resultScan
		if err := rows.Scan(slices.Concat(window.targets(), own.targets(), o.targets(), r.targets())...); err != nil {
			return nil, err
		}
		record := orca.ResultRecord{Window: window.record(), Run: own.run(), Outcome: o.outcome()}
		record.Outcome.Result = r.result()
		records = append(records, record)
	}
	slices.SortFunc(records, func(a, b orca.ResultRecord) int { return compareKeys(b.Key(), a.Key()) })
	return records, rows.Err()
}

func compareKeys(a, b orca.ResultKey) int {
	return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From), cmp.Compare(a.Position, b.Position))
}

// ownColumns are runColumns of the run that an outcome belongs to.
var ownColumns = strings.NewReplacer("r.", "own.", "p.", "ownplan.").Replace(runColumns)
