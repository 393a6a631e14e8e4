package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// History returns outcomes of one algorithm with their results, the newest window first: by (To, From, Position)
// descending.
func (s *Store) History(ctx context.Context, q orca.ResultQuery) (records []orca.ResultRecord, err error) {
	err = s.read(ctx, "read results", func(ctx context.Context, db querier) error {
		key, known, err := s.algorithm(ctx, q.Algorithm)
		if err != nil || !known {
			return orUnknown(err, q.Algorithm)
		}
		records, err = s.history(ctx, db, historyCondition(q, key).limit(q.Limit))
		return err
	})
	slices.SortFunc(records, func(a, b orca.ResultRecord) int { return compareKeys(b.Key(), a.Key()) })
	return records, err
}

// historyCondition says what q selects among windows w of the algorithm's type, their runs own, and outcomes o. The key of
// the algorithm is its first argument.
func historyCondition(q orca.ResultQuery, key algorithmKey) condition {
	c := condition{args: []any{key.id}}.and("w.type = ?", key.typ).during(q.From, q.To)
	if !q.Failed {
		c = c.and("o.kind = ?", int16(orca.Succeeded))
	}
	if b := q.Before; b != nil {
		c = c.and("(w.time_to, w.time_from, own.position) < (?, ?, ?)", int64(b.To), int64(b.From), int64(b.Position)).
			and("w.time_to <= ?", int64(b.To))
	}
	return c
}

// historyQuery first finds the page: it walks the index on time and looks up the runs of each window, the first one by the
// window's key, later revisions by their index. Only the runs of equal intervals have to be sorted.
func historyQuery(where condition) string {
	return `SELECT ` + selectRecord + `, ` + ownRun + `, ` + selectOutcome + `, ` + resultColumns + `
		FROM (SELECT w.*, own.position AS own_position FROM {window} w
			CROSS JOIN LATERAL (SELECT w.id AS position UNION ALL
				SELECT again.position FROM {run} again WHERE again."window" = w.id AND again.revision > 1 OFFSET 0) own
			JOIN {outcome} o ON o.position = own.position AND o.algorithm = $1` + where.sql() + `
			ORDER BY w.time_to DESC, w.time_from DESC, own.position DESC` + where.page + `) w
		JOIN {run} own ON own.position = w.own_position
		JOIN {plan} ownplan ON ownplan.id = own.plan
		JOIN {outcome} o ON o.position = w.own_position AND o.algorithm = $1` + joinRecord
}

// ownRun is selectRun of the run that an outcome belongs to.
var ownRun = strings.NewReplacer("r.", "own.", "p.", "ownplan.").Replace(selectRun)

func (s *Store) history(ctx context.Context, db querier, where condition) ([]orca.ResultRecord, error) {
	rows, err := db.Query(ctx, s.names.in(historyQuery(where)), where.args...)
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
		record := orca.ResultRecord{Run: own.run()}
		if record.Window, err = window.record(ctx, s); err != nil {
			return nil, err
		}
		if record.Outcome, err = o.outcome(ctx, s); err != nil {
			return nil, err
		}
		record.Outcome.Result = r.result()
		records = append(records, record)
	}
	return records, rows.Err()
}

func compareKeys(a, b orca.ResultKey) int {
	return cmp.Or(cmp.Compare(a.To, b.To), cmp.Compare(a.From, b.From), cmp.Compare(a.Position, b.Position))
}
