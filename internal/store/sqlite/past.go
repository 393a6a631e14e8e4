package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Past calls yield with the runs of an algorithm's past, by (To, From, Position) descending, until there are no more or
// yield returns false. yield must not block, since a snapshot of the ledger is open meanwhile.
//
// The walk is one over windows: those of equal filters, which lie together, when all filter fields of the type are asked
// for, else by the index on time. Only the former have rows at hand. It ends where no window can have had the algorithm. A long one is cut into parts with a snapshot each: what is
// written in between can only settle a run that was open, or add runs that are not below q.Before.
func (s *Store) Past(ctx context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error {
	more := true
	for more {
		err := s.read(ctx, "read the past of an algorithm", func(ctx context.Context, tx snapshot) (err error) {
			q, more, err = s.walk(ctx, tx, q, yield)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pastQuery finds out what a walk needs to know: the keys of algorithm a and of its type, when its past begins, and
// the filters of the window that looks back.
const pastQuery = `SELECT a.id, a.window_type, t.name, t.version, t.filter_fields, e.time_to, own.id, own.filters
	FROM algorithm a
	CROSS JOIN window_type t ON t.id = a.window_type
	LEFT JOIN earliest e ON e.algorithm = a.id
	LEFT JOIN window own ON own.id = ?
	WHERE a.processor = ? AND a.name = ? AND a.version = ?`

// past is a walk into the past of one algorithm.
type past struct {
	orca.PastQuery
	algorithm, typ int64
	// fields is how many fields the type marks filter.
	fields int
	// begins is when the first window ends that had the algorithm, and looks the window that looks back.
	begins, looks sql.NullInt64
	matcher       *matcher
	// keyed: the windows have equal filters. compared: the query does not compare them.
	keyed, compared bool
	// key is that of the algorithm in past.kept.
	key []byte
	// windowType is that of the algorithm.
	windowType orca.WindowTypeID

	// The row at which the walk stands, and the runs of the same interval before it that count.
	run     orca.PastRun
	same    []orca.PastRun
	origin  string
	columns [6]any
	targets []any
}

func (tx snapshot) past(ctx context.Context, q orca.PastQuery) (*past, error) {
	p := &past{PastQuery: q}
	id := q.Algorithm
	var filters []byte
	err := tx.StmtContext(ctx, tx.reads.past).QueryRowContext(ctx, int64(q.Window), id.Processor, id.Name, id.Version).
		Scan(&p.algorithm, &p.typ, &p.windowType.Name, &p.windowType.Version, &p.fields, &p.begins, &p.looks, &filters)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, orca.Errorf(orca.NotFound, "algorithm %s was never registered", id.Full())
	case err != nil:
		return nil, err
	case !p.looks.Valid:
		return nil, noWindow(q.Window)
	}
	p.EarliestTo = max(p.EarliestTo, orca.Time(p.begins.Int64))
	p.matcher, err = newMatcher(filters, q.Fields)
	return p, err
}

var (
	// nodeIs is the outcome of algorithm ?1 in run r, 0 while it is open, and that of a run which does not count: one that
	// was cancelled, or has no such node.
	nodeIs = `coalesce(
		(SELECT o.kind FROM outcome o WHERE ` + outcomeIs("r.position", "?1") + `),
		iif(r.state = 0 AND EXISTS (SELECT 1 FROM plan_node n WHERE n.plan = r.plan AND n.algorithm = ?1), 0, 5))`

	// pastBounds are ?4 to ?6. Of windows of the same interval those of the highest keys come first.
	pastBounds = ` AND (w.time_to, w.time_from) <= (?4, ?5) AND w.time_to >= ?6
		ORDER BY w.time_to DESC, w.time_from DESC, `

	// keyedPastQuery walks windows of type ?3 whose filters have the key ?7, and keyedRowsQuery takes along what it passes.
	// Where there is a copy of the outcome, see keptKey, it is that of the only run, and nothing is looked up.
	keyedPastQuery = keyedPast("")
	keyedRowsQuery = keyedPast(", w.rest")
	// wholePastQuery walks all windows of type ?3.
	wholePastQuery = `SELECT ` + pastColumns("w.id", "o.kind") + ` FROM window w INDEXED BY window_time
		LEFT JOIN outcome o ON ` + outcomeIs(pastRun("w.id"), "?1") + ` WHERE w.type = ?3` + pastBounds + `w.id DESC`
	// comparedPastQuery is wholePastQuery with the filters to be compared.
	comparedPastQuery = `SELECT ` + pastColumns("w.id", "o.kind") + `, w.filters FROM window w INDEXED BY window_time
		LEFT JOIN outcome o ON ` + outcomeIs(pastRun("w.id"), "?1") + ` WHERE w.type = ?3` + pastBounds + `w.id DESC`
)

// pastRun is the newest run of a window below ?2 that counts, or else its first run.
func pastRun(window string) string {
	return `coalesce((SELECT r.position FROM run r WHERE r.window = ` + window + ` AND r.revision > 1 AND r.position < ?2 AND ` + nodeIs + ` <> 5
		ORDER BY r.revision DESC LIMIT 1), ` + window + `)`
}

// pastColumns are a window with that run and its outcome, which is o when there is one. The run itself is looked up only
// where there is no outcome, since most have one and each lookup costs a page.
func pastColumns(window, kind string) string {
	run := pastRun(window)
	return window + `, w.time_to, w.time_from, coalesce(o.position, ` + run + `),
		coalesce(` + kind + `, (SELECT ` + nodeIs + ` FROM run r WHERE r.position = ` + run + `))`
}

// isKept: the outcome of the algorithm whose keptKey is ?8 is among the copies.
const isKept = `instr(w.kept, ?8)`

// keyedPast has the copies in the place of the run's position.
func keyedPast(more string) string {
	run := pastRun("w.window")
	otherwise := func(kept, term string) string {
		return `CASE WHEN ` + isKept + ` THEN ` + kept + ` ELSE ` + term + ` END`
	}
	return `SELECT w.window, w.time_to, w.time_from, ` + otherwise(`w.kept`, `coalesce(o.position, `+run+`)`) + `,
			` + otherwise(`NULL`, `coalesce(o.kind, (SELECT `+nodeIs+` FROM run r WHERE r.position = `+run+`))`) + more + `
		FROM past w LEFT JOIN outcome o ON ` + outcomeIs(otherwise(`NULL`, run), "?1") + `
		WHERE w.type = ?3 AND w.filter_key = ?7` + pastBounds + `w.window DESC`
}

// walk goes a part of the way. It returns the query for the rest, and whether there is any.
func (s *Store) walk(ctx context.Context, tx snapshot, q orca.PastQuery, yield func(orca.PastRun) bool) (orca.PastQuery, bool, error) {
	p, err := tx.past(ctx, q)
	if err != nil || !p.begins.Valid {
		return q, false, err
	}
	rows, err := p.rows(ctx, tx)
	if err != nil {
		return q, false, err
	}
	defer rows.Close()
	for n := 0; rows.Next(); n++ {
		last := p.run
		if err := p.scan(rows); err != nil {
			return q, false, fmt.Errorf("window %d: %w", p.run.Window, err)
		}
		if p.run.To != last.To || p.run.From != last.From {
			if !p.yield(yield) {
				return q, false, nil
			}
			if n >= s.pastPart {
				q.To, q.From = p.run.To, p.run.From
				return q, true, nil
			}
		}
		counts, err := p.counts()
		if err != nil {
			return q, false, fmt.Errorf("window %d: %w", p.run.Window, err)
		}
		if counts {
			p.same = append(p.same, p.run)
		}
	}
	if err := rows.Err(); err != nil {
		return q, false, err
	}
	p.yield(yield)
	return q, false, nil
}

// yield hands over the runs of one interval. They came by their windows, and revisions put them into another order.
func (p *past) yield(yield func(orca.PastRun) bool) bool {
	slices.SortFunc(p.same, func(a, b orca.PastRun) int { return cmp.Compare(b.Position, a.Position) })
	for _, run := range p.same {
		if !yield(run) {
			return false
		}
	}
	p.same = p.same[:0]
	return true
}

// rows begins the walk.
func (p *past) rows(ctx context.Context, tx snapshot) (*sql.Rows, error) {
	args := []any{p.algorithm, int64(p.Before), p.typ, int64(p.To), int64(p.From), int64(p.EarliestTo)}
	switch {
	case len(p.Fields) == 0:
		return tx.StmtContext(ctx, tx.reads.wholePast).QueryContext(ctx, args...)
	case len(p.Fields) == p.fields && len(p.matcher.want) > 0:
		p.keyed, p.key = true, keptKey(p.algorithm)
		query := tx.reads.keyedPast
		if p.Rows {
			query = tx.reads.keyedRows
		}
		return tx.StmtContext(ctx, query).QueryContext(ctx, append(args, filterKey(p.matcher.want), p.key)...)
	}
	p.compared = true
	return tx.StmtContext(ctx, tx.reads.comparedPast).QueryContext(ctx, args...)
}

// scan reads a row. It takes the columns as they are, since database/sql converts each by reflection.
func (p *past) scan(rows *sql.Rows) error {
	if p.targets == nil {
		columns := 5
		if p.compared || p.keyed && p.Rows {
			columns = 6
		}
		for i := range columns {
			p.targets = append(p.targets, &p.columns[i])
		}
	}
	if err := rows.Scan(p.targets...); err != nil {
		return err
	}
	var ints [5]int64
	for i := range ints {
		ints[i], _ = p.columns[i].(int64)
	}
	p.run = orca.PastRun{Window: orca.WindowID(ints[0]), To: orca.Time(ints[1]), From: orca.Time(ints[2]),
		Position: orca.Position(ints[3]), Kind: orca.OutcomeKind(ints[4])}
	if kept, ok := p.columns[3].([]byte); ok {
		return p.scanKept(kept)
	}
	return nil
}

// scanKept takes the outcome, and the row when it is asked for, from the copies of a window.
func (p *past) scanKept(kept []byte) (err error) {
	p.run.Position = p.run.Window
	var before int
	if p.run.Kind, before, err = findKept(kept, p.key); err != nil || !p.Rows || p.run.Kind != orca.Succeeded {
		return err
	}
	rest, _ := p.columns[5].([]byte)
	origin, metadata, result, err := readKept(rest, before)
	if string(origin) != p.origin {
		p.origin = string(origin) // most windows share it
	}
	p.run.Row = &orca.PastRow{WindowID: p.run.Window, Position: p.run.Position, Revision: 1, ProducedAt: p.run.Position, Result: result,
		Window: orca.Window{Type: p.windowType, From: p.run.From, To: p.run.To, Origin: p.origin, Metadata: metadata}}
	return err
}

// counts reports whether the run at which the walk stands is one of the past.
func (p *past) counts() (bool, error) {
	if p.run.Position >= p.Before || p.run.Kind == orca.Cancelled {
		return false, nil
	}
	if !p.compared {
		return true, nil
	}
	filters, _ := p.columns[5].([]byte)
	return p.matcher.match(filters)
}

var (
	// pastTypeQuery is asked once for all rows.
	pastTypeQuery = `SELECT a.id, t.name, t.version FROM algorithm a CROSS JOIN window_type t ON t.id = a.window_type
		WHERE a.processor = ? AND a.name = ? AND a.version = ?`

	// pastRowsQuery takes the key of an algorithm and a JSON list of positions, of which it finds the first runs of their
	// windows, whose key is that of the window. laterRowsQuery finds the others.
	pastRowsQuery  = `SELECT 1, ` + pastRowsFrom + ` CROSS JOIN window w ON w.id = o.position WHERE o.kind = 1`
	laterRowsQuery = `SELECT r.revision, ` + pastRowsFrom + `
		CROSS JOIN run r ON r.position = o.position
		CROSS JOIN window w ON w.id = r.window
		WHERE o.kind = 1 AND r.revision > 1`
	pastRowsFrom = `o.position, coalesce(o.produced_at, o.position), w.id, w.time_from, w.time_to, w.origin, w.metadata, o.result
		FROM json_each(?2) asked
		CROSS JOIN outcome o ON ` + outcomeIs("asked.value", "?1")
)

// PastRows returns the results of an algorithm in the given runs, with their windows, in the order asked, or
// orca.NotFound naming the first run in which it did not succeed.
func (s *Store) PastRows(ctx context.Context, id orca.AlgorithmID, positions []orca.Position) ([]orca.PastRow, error) {
	found := make([]orca.PastRow, len(positions))
	err := s.read(ctx, "read past results", func(ctx context.Context, tx snapshot) error {
		if err := tx.pastRows(ctx, id, positions, found); err != nil {
			return err
		}
		if i := slices.IndexFunc(found, missing); i >= 0 {
			return orca.Errorf(orca.NotFound, "run %d has no result of %s", positions[i], id.Full())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func missing(r orca.PastRow) bool { return r.Position == 0 }

// pastRows fills in the rows that are there.
func (tx snapshot) pastRows(ctx context.Context, id orca.AlgorithmID, positions []orca.Position, found []orca.PastRow) error {
	var key int64
	var typ orca.WindowTypeID
	err := tx.StmtContext(ctx, tx.reads.pastType).QueryRowContext(ctx, id.Processor, id.Name, id.Version).Scan(&key, &typ.Name, &typ.Version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	for _, query := range []*sql.Stmt{tx.reads.pastRows, tx.reads.laterRows} {
		if err == nil && slices.ContainsFunc(found, missing) {
			err = tx.fillRows(ctx, query, key, typ, positions, found)
		}
	}
	return err
}

// fillRows fills in what one query finds of the rows that are missing. Its rows come in the order of the list.
func (tx snapshot) fillRows(ctx context.Context, query *sql.Stmt, key int64, typ orca.WindowTypeID, positions []orca.Position, found []orca.PastRow) error {
	rows, err := tx.StmtContext(ctx, query).QueryContext(ctx, key, missingList(positions, found))
	if err != nil {
		return err
	}
	defer rows.Close()
	var r orca.PastRow
	w := &r.Window
	targets := []any{&r.Revision, &r.Position, &r.ProducedAt, &r.WindowID, &w.From, &w.To, &w.Origin, &w.Metadata, &r.Result}
	for i := 0; rows.Next(); i++ {
		r = orca.PastRow{Window: orca.Window{Type: typ}}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for positions[i] != r.Position {
			i++
		}
		found[i] = r
	}
	return rows.Err()
}

// missingList returns the positions whose rows are missing, as JSON.
func missingList(positions []orca.Position, found []orca.PastRow) string {
	list := []byte("[")
	for i, p := range positions {
		if missing(found[i]) {
			if len(list) > 1 {
				list = append(list, ',')
			}
			list = strconv.AppendInt(list, int64(p), 10)
		}
	}
	return string(append(list, ']'))
}
