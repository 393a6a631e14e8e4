package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Past calls yield with the runs of an algorithm's past, by (To, From, Position) descending, until there are no more or
// yield returns false.
//
// The walk is one over windows, by an index: on the filters when all filter fields of the type are asked for, else on
// time. It ends where no window can have had the algorithm. It is read in pages that grow, each a statement: what is
// written in between can only settle a run that was open, or add runs that are not below q.Before.
func (s *Store) Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error {
	p, err := s.past(ctx, q)
	for limit := firstPage; err == nil && p.more; {
		var page []pastRow
		if page, err = p.page(ctx, s, limit); err != nil {
			break
		}
		page, limit = p.cut(page, limit)
		for i := range page {
			var counts bool
			if counts, err = p.counts(&page[i]); err != nil || counts && !yield(page[i].run) {
				return err
			}
		}
	}
	return err
}

const (
	// firstPage is how many windows a walk reads at first; most walks end within it. Each page is pageGrowth times the one
	// before, up to lastPage.
	firstPage  = 64
	pageGrowth = 4
	lastPage   = 16384
)

// past is a walk into the past of one algorithm.
type past struct {
	orca.PastQuery
	key    algorithmKey
	fields int // that the type marks filter
	// want are the filters that have to be equal, in stored form.
	want []byte
	// compared: the query does not compare the filters.
	compared bool
	more     bool
}

// past finds out what a walk needs to know: when the algorithm's past begins, and the filters of the window that looks back.
func (s *Store) past(ctx context.Context, q orca.PastQuery) (*past, error) {
	p := &past{PastQuery: q}
	err := s.read(ctx, "read the past of an algorithm", func(ctx context.Context, db querier) error {
		var known bool
		var err error
		if p.key, known, err = s.algorithm(ctx, q.Algorithm); err != nil || !known {
			return orUnknown(err, q.Algorithm)
		}
		k := s.keys.Load()
		p.fields = k.types[k.typeOf[p.key.typ]].fields
		var filters []byte
		var begins *int64
		err = db.QueryRow(ctx, s.names.in(`SELECT w.filters, (SELECT e.time_to FROM {earliest} e WHERE e.algorithm = $2)
			FROM {window} w WHERE w.id = $1`), int64(q.Window), p.key.id).Scan(&filters, &begins)
		if errors.Is(err, pgx.ErrNoRows) {
			return noWindow(q.Window)
		} else if err != nil {
			return err
		}
		p.more, p.EarliestTo = begins != nil, max(p.EarliestTo, orca.Time(orZero(begins)))
		p.want, err = restrict(filters, q.Fields)
		p.compared = len(q.Fields) > 0 && (len(q.Fields) != p.fields || len(p.want) == 0)
		return err
	})
	return p, err
}

const (
	// nodeOf is the outcome of algorithm $1 in run r, 0 while it is open, and that of a run which does not count: one that
	// was cancelled, or has no such node.
	nodeOf = `coalesce((SELECT o.kind FROM {outcome} o WHERE o.position = r.position AND o.algorithm = $1),
		CASE WHEN r.state = 0 AND EXISTS (SELECT 1 FROM {plan_node} n WHERE n.plan = r.plan AND n.algorithm = $1) THEN 0 ELSE 5 END)`

	// selectPast gives windows with the newest run below $2 that counts, or else the first run, and its outcome. Subqueries
	// keep the database to looking up window by window, whatever it believes of the sizes of tables.
	selectPast = `SELECT w.id, w.time_to, w.time_from, p.position,
			coalesce((SELECT o.kind FROM {outcome} o WHERE o.position = p.position AND o.algorithm = $1),
				(SELECT ` + nodeOf + ` FROM {run} r WHERE r.position = p.position))`
	fromPast = ` FROM {window} w CROSS JOIN LATERAL (SELECT coalesce((
			SELECT r.position FROM {run} r WHERE r."window" = w.id AND r.revision > 1 AND r.position < $2 AND ` + nodeOf + ` <> 5
			ORDER BY r.revision DESC LIMIT 1), w.id) AS position OFFSET 0) p
		WHERE w.type = $3 AND w.id < $2 AND (w.time_to, w.time_from) <= ($4, $5) AND w.time_to >= $6`
	orderPast = ` ORDER BY w.time_to DESC, w.time_from DESC, p.position DESC LIMIT $7`

	wholePast    = selectPast + `, NULL::bytea` + fromPast + orderPast
	comparedPast = selectPast + `, w.filters` + fromPast + orderPast
	keyedPast    = selectPast + `, NULL::bytea` + fromPast + ` AND w.filter_key = $8` + orderPast
)

// pastRow is a window of a walk.
type pastRow struct {
	run     orca.PastRun
	filters []byte
}

// page reads the next windows.
func (p *past) page(ctx context.Context, s *Store, limit int) (page []pastRow, err error) {
	query, args := wholePast, []any{p.key.id, int64(p.Before), p.key.typ, int64(p.To), int64(p.From), int64(p.EarliestTo), limit}
	switch {
	case p.compared:
		query = comparedPast
	case len(p.Fields) > 0:
		query, args = keyedPast, append(args, filterKey(p.want))
	}
	err = s.read(ctx, "read the past of an algorithm", func(ctx context.Context, db querier) error {
		page = nil
		var row pastRow
		var kind int16
		r := &row.run
		return each(ctx, db, s.names.in(query), args, []any{&r.Window, &r.To, &r.From, &r.Position, &kind, &row.filters}, func() error {
			r.Kind = orca.OutcomeKind(kind)
			page = append(page, row)
			row.filters = nil
			return nil
		})
	})
	return page, err
}

// cut prepares the next page. Runs of one interval are ordered among each other, so they have to come in one page: those of
// the last interval are left to the next one, and when there is no other, to a larger one.
func (p *past) cut(page []pastRow, limit int) ([]pastRow, int) {
	full := len(page) == limit
	if p.more = full; !full {
		return page, limit
	}
	last := page[len(page)-1].run.Interval()
	p.To, p.From = last.To, last.From
	first := slices.IndexFunc(page, func(r pastRow) bool { return r.run.Interval() == last })
	if first == 0 {
		return nil, limit * pageGrowth
	}
	return page[:first], min(limit*pageGrowth, max(lastPage, limit))
}

// counts reports whether a run is one of the past.
func (p *past) counts(r *pastRow) (bool, error) {
	if r.run.Position >= p.Before || r.run.Kind == orca.Cancelled {
		return false, nil
	}
	if !p.compared {
		return true, nil
	}
	same, err := matches(r.filters, p.Fields, p.want)
	if err != nil {
		return false, fmt.Errorf("window %d: %w", r.run.Window, err)
	}
	return same, nil
}

const pastRowsQuery = `SELECT u.nth, o.position, coalesce(o.produced_at, o.position), r.revision, w.id, ` + selectWindow + `, o.result
	FROM unnest($2::bigint[]) WITH ORDINALITY AS u(position, nth)
	JOIN {outcome} o ON o.position = u.position AND o.algorithm = $1
	JOIN {run} r ON r.position = u.position
	JOIN {window} w ON w.id = r."window"
	WHERE o.kind = 1`

// PastRows returns the results of an algorithm in the given runs, with their windows, in the order asked, or
// orca.NotFound naming the first run in which it did not succeed.
func (s *Store) PastRows(ctx context.Context, id orca.AlgorithmID, positions []orca.Position) ([]orca.PastRow, error) {
	found := make([]orca.PastRow, len(positions))
	err := s.read(ctx, "read past results", func(ctx context.Context, db querier) error {
		key, known, err := s.algorithm(ctx, id)
		if err != nil {
			return err
		}
		if known {
			if err := s.pastRows(ctx, db, key, positions, found); err != nil {
				return err
			}
		}
		if i := slices.IndexFunc(found, func(r orca.PastRow) bool { return r.Position == 0 }); i >= 0 {
			return orca.Errorf(orca.NotFound, "run %d has no result of %s", positions[i], id.Full())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// pastRows fills in the rows that are there.
func (s *Store) pastRows(ctx context.Context, db querier, key algorithmKey, positions []orca.Position, found []orca.PastRow) error {
	asked := make([]int64, len(positions))
	for i, p := range positions {
		asked[i] = int64(p)
	}
	rows, err := db.Query(ctx, s.names.in(pastRowsQuery), key.id, asked)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var nth int64
		var r orca.PastRow
		var w windowScan
		if err := rows.Scan(slices.Concat([]any{&nth, &r.Position, &r.ProducedAt, &r.Revision, &r.WindowID}, w.targets(), []any{&r.Result})...); err != nil {
			return err
		}
		if r.Window, err = w.window(ctx, s); err != nil {
			return err
		}
		found[nth-1] = r
	}
	return rows.Err()
}
