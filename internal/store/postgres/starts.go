package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// startColumns are the rows of windows and runs that begin, column by column. nth is a run's place among them, from 1, and
// so the distance of its position from the one that the counter had before.
type startColumns struct {
	windows  windowColumns
	runs     runColumns
	open     openColumns
	parked   openColumns
	setbacks int
	outcomes outcomeColumns
	kept     keptColumns
	keys     keyColumns
}

type windowColumns struct {
	nth, from, to               []int64
	typ                         []int32
	origin                      []string
	metadata, filters, filterBy [][]byte
}

func (c *windowColumns) add(nth int64, typ int32, e *orca.Emission) {
	w, filters := &e.Window, encodeFilters(e.Filters)
	c.nth, c.from, c.to = append(c.nth, nth), append(c.from, int64(w.From)), append(c.to, int64(w.To))
	c.typ, c.origin = append(c.typ, typ), append(c.origin, stored(w.Origin))
	c.metadata, c.filters, c.filterBy = append(c.metadata, orNull(w.Metadata)), append(c.filters, filters), append(c.filterBy, filterKey(filters))
}

// orNull stores what is empty as NULL.
func orNull(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// runColumns: window 0 is the run's own position.
type runColumns struct {
	nth, window, accepted []int64
	plan, revision        []int32
	kind, state           []int16
}

func (c *runColumns) add(nth int64, window orca.WindowID, plan, revision int32, kind orca.RunKind, state orca.RunState, accepted orca.Time) {
	c.nth, c.window, c.accepted = append(c.nth, nth), append(c.window, int64(window)), append(c.accepted, int64(accepted))
	c.plan, c.revision = append(c.plan, plan), append(c.revision, revision)
	c.kind, c.state = append(c.kind, int16(kind)), append(c.state, int16(state))
}

// openColumns: lot is for parked runs, owner for the others, 0 when it is nobody.
type openColumns struct {
	nth        []int64
	lot, owner []int32
	metadata   [][]byte
}

func (c *openColumns) add(nth int64, lot, owner int32, metadata []byte) {
	c.nth, c.lot, c.owner = append(c.nth, nth), append(c.lot, lot), append(c.owner, owner)
	c.metadata = append(c.metadata, orNull(metadata))
}

// keptColumns are outcomes that are copied.
type keptColumns struct {
	nth, from []int64
	algorithm []int32
}

type keyColumns struct {
	nth, accepted []int64
	project, key  []string
	digest        [][]byte
	status        []int16
}

func (c *keyColumns) add(nth int64, e *orca.Emission) {
	c.nth, c.accepted = append(c.nth, nth), append(c.accepted, int64(e.AcceptedAt))
	c.project, c.key = append(c.project, stored(e.Key.Project)), append(c.key, stored(e.Key.Key))
	c.digest, c.status = append(c.digest, e.Key.Digest[:]), append(c.status, int16(e.Status))
}

// writeStarts adds the statements that give positions and write what begins there. They come last, because the first of
// them locks the counter until the commit.
func (w *write) writeStarts() {
	w.orderStarts()
	if len(w.starts) == 0 {
		return
	}
	var c startColumns
	next := 0 // revision
	for i, r := range w.starts {
		if r.emission != nil {
			w.startEmission(&c, int64(i+1), r.emission)
			continue
		}
		w.startRevision(&c, int64(i+1), r, &w.bases[next])
		next++
	}
	w.writeEarliest()
	w.insertStarts(&c, int64(len(w.starts)))
	w.expireKeys(&c.keys)
}

// orderStarts puts emissions and revisions in the order in which they were queued.
func (w *write) orderStarts() {
	if len(w.revisions) == 0 {
		return
	}
	w.starts = w.starts[:0:0]
	going := map[*request]bool{}
	for _, r := range w.emissions {
		going[r] = true
	}
	for _, r := range w.revisions {
		going[r] = true
	}
	for _, r := range w.order {
		if going[r] {
			w.starts = append(w.starts, r)
		}
	}
}

func (w *write) startEmission(c *startColumns, nth int64, e *orca.Emission) {
	plan := w.memory.plans[e.Plan.Hash]
	c.windows.add(nth, w.keys.Load().types[e.Window.Type].id, e)
	c.runs.add(nth, 0, plan, 1, orca.RunEmit, e.End, e.AcceptedAt)
	c.outcomes.add(w.keys.Load(), nth, e.Outcomes)
	w.lower(plan, e.Window.To)
	if e.Key.Key != "" {
		c.keys.add(nth, e)
	}
	switch {
	case e.End != orca.RunOpen:
		c.end(e.End)
	case e.Lot != nil:
		c.parked.add(nth, w.memory.lots[e.Lot.Hash], 0, e.FullMetadata)
	case e.Unclaimed:
		c.open.add(nth, 0, 0, e.FullMetadata)
	default:
		c.open.add(nth, 0, w.self(), e.FullMetadata)
	}
}

// end takes note of a run that ends as it begins.
func (c *startColumns) end(state orca.RunState) {
	if state > orca.RunSucceeded {
		c.setbacks++
	}
}

func (w *write) startRevision(c *startColumns, nth int64, r *request, b *base) {
	v, plan, k := r.revision, b.plan, w.keys.Load()
	if v.Plan != nil {
		plan = w.memory.plans[v.Plan.Hash]
		w.lower(plan, b.end)
	}
	c.runs.add(nth, v.Window, plan, b.revision+1, v.Kind, v.End, v.AcceptedAt)
	r.answer.accepted = orca.Accepted{Window: v.Window, Status: v.Status, Revision: int(b.revision) + 1}
	for i := range v.Outcomes {
		if o := &v.Outcomes[i]; isKept(o) {
			c.kept.nth, c.kept.from = append(c.kept.nth, nth), append(c.kept.from, int64(v.Base))
			c.kept.algorithm = append(c.kept.algorithm, k.algorithms[o.Algorithm].id)
		} else {
			c.outcomes.add(k, nth, v.Outcomes[i:i+1])
		}
	}
	if v.End != orca.RunOpen {
		c.end(v.End)
		return
	}
	c.open.add(nth, 0, w.self(), v.FullMetadata)
}

// writeEarliest writes what the transaction lowers, in an order that all have.
func (w *write) writeEarliest() {
	if len(w.lowered) == 0 {
		return
	}
	var plans []int32
	var times []int64
	for plan, t := range w.lowered {
		plans, times = append(plans, plan), append(times, int64(t))
	}
	w.add("write since when the nodes of plans run", `INSERT INTO {earliest} AS e (algorithm, time_to)
		SELECT n.algorithm, min(u.time_to) FROM unnest($1::int[], $2::bigint[]) AS u(plan, time_to)
		JOIN {plan_node} n ON n.plan = u.plan GROUP BY n.algorithm ORDER BY n.algorithm
		ON CONFLICT (algorithm) DO UPDATE SET time_to = excluded.time_to WHERE excluded.time_to < e.time_to`, plans, times)
}

// insertStarts gives positions and writes what begins there: nearly always one statement.
func (w *write) insertStarts(c *startColumns, n int64) {
	b := begin{args: []any{n}}
	t := &c.windows
	b.add(len(t.nth), beginWindows, t.nth, t.from, t.to, t.typ, t.origin, t.metadata, t.filters, t.filterBy)
	r := &c.runs
	b.add(len(r.nth), beginRuns, r.nth, r.window, r.accepted, r.plan, r.revision, r.kind, r.state)
	o := &c.open
	b.add(len(o.nth), beginOpen, o.nth, o.owner, o.metadata)
	p := &c.parked
	b.add(len(p.nth), beginParked, p.nth, p.lot, p.metadata)
	if len(w.expired) == 0 {
		b.addKeys(&c.keys)
	}
	w.batch.Queue(w.names.in(givePositions+b.text.String()+selectBase), b.args...).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&w.base); err != nil {
			return fmt.Errorf("give positions and write what begins there: %w", err)
		}
		return nil
	})
	if c.setbacks > 0 {
		w.add("write setbacks", `INSERT INTO {setback} (state, "window", position) SELECT r.state, r."window", r.position
			FROM {counter} c JOIN {run} r ON r.position > c.position - $1 AND r.position <= c.position WHERE r.state > 1`, n)
	}
	if k := &c.kept; len(k.nth) > 0 {
		w.add("keep outcomes", keepOutcomes, n, k.nth, k.from, k.algorithm)
	}
	if o := &c.outcomes; len(o.run) > 0 {
		w.add("write outcomes", insertFirstOutcomes, append([]any{n}, o.args()...)...)
	}
	if len(w.expired) > 0 {
		w.replaceKeys(&c.keys, n)
	}
}

// replaceKeys deletes idempotency keys that have expired and are used again, and writes all that begin.
func (w *write) replaceKeys(c *keyColumns, n int64) {
	w.add("delete expired idempotency keys", `DELETE FROM {emit_key} WHERE position = ANY($1::bigint[])`, w.expired)
	b := begin{args: []any{n}}
	b.addKeys(c)
	w.add("write idempotency keys", readPositions+b.text.String()+selectBase, b.args...)
}

// begin is the statement that gives positions and writes what begins there, in the making.
type begin struct {
	text strings.Builder
	args []any
}

// add adds rows of one table, unless there are none. A ? in the statement stands for the next of its columns.
func (b *begin) add(rows int, statement string, columns ...any) {
	if rows == 0 {
		return
	}
	b.text.WriteString(`, `)
	for _, column := range columns {
		before, after, _ := strings.Cut(statement, `?`)
		b.args = append(b.args, column)
		b.text.WriteString(before + `$` + strconv.Itoa(len(b.args)))
		statement = after
	}
	b.text.WriteString(statement)
}

func (b *begin) addKeys(k *keyColumns) {
	b.add(len(k.nth), beginKeys, k.nth, k.accepted, k.status, k.project, k.key, k.digest)
}

const (
	// givePositions gives $1 positions, those above base.
	givePositions = `WITH counter AS (UPDATE {counter} SET position = position + $1 WHERE id = 1 RETURNING position - $1 AS base)`

	// readPositions reads them again.
	readPositions = `WITH counter AS (SELECT position - $1 AS base FROM {counter} WHERE id = 1)`
	selectBase    = ` SELECT base FROM counter`

	beginWindows = `windows AS (INSERT INTO {window} (id, time_from, time_to, type, origin, metadata, filters, filter_key)
		SELECT c.base + u.nth, u.time_from, u.time_to, u.type, u.origin, u.metadata, u.filters, u.filter_key FROM counter c,
		unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::int[], ?::text[], ?::bytea[], ?::bytea[], ?::bytea[])
			AS u(nth, time_from, time_to, type, origin, metadata, filters, filter_key))`
	beginRuns = `runs AS (INSERT INTO {run} (position, "window", accepted_at, finished_at, plan, revision, kind, state)
		SELECT c.base + u.nth, CASE u."window" WHEN 0 THEN c.base + u.nth ELSE u."window" END, u.accepted_at,
			CASE u.state WHEN 0 THEN NULL ELSE u.accepted_at END, u.plan, u.revision, u.kind, u.state FROM counter c,
		unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::int[], ?::int[], ?::smallint[], ?::smallint[])
			AS u(nth, "window", accepted_at, plan, revision, kind, state))`
	beginOpen = `open AS (INSERT INTO {pending} (position, owner, metadata) SELECT c.base + u.nth, nullif(u.owner, 0), u.metadata
		FROM counter c, unnest(?::bigint[], ?::int[], ?::bytea[]) AS u(nth, owner, metadata))`
	beginKeys = `keys AS (INSERT INTO {emit_key} (position, accepted_at, status, project, key, digest)
		SELECT c.base + u.nth, u.accepted_at, u.status, u.project, u.key, u.digest FROM counter c,
		unnest(?::bigint[], ?::bigint[], ?::smallint[], ?::text[], ?::text[], ?::bytea[]) AS u(nth, accepted_at, status, project, key, digest))`
	beginParked = `parked AS (INSERT INTO {parked} (position, lot, metadata) SELECT c.base + u.nth, u.lot, u.metadata
		FROM counter c, unnest(?::bigint[], ?::int[], ?::bytea[]) AS u(nth, lot, metadata))`
)

// expireKeys deletes idempotency keys that have expired: more than were written since, so that it keeps up, and no more than
// that, so that no commit is held up.
func (w *write) expireKeys(c *keyColumns) {
	if len(c.nth) == 0 {
		return
	}
	if written := w.memory.keysWritten + w.keyCount; written >= expireAfter {
		w.add("delete expired idempotency keys", `DELETE FROM {emit_key} WHERE accepted_at <= $1
			AND position IN (SELECT position FROM {emit_key} ORDER BY position LIMIT $2)`,
			int64(w.newest)-int64(w.cfg.IdempotencyTTL), 2*written)
	}
}
