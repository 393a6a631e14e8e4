package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// outcomeColumns are outcomes, column by column. run is a position, or the place of a run that begins in the same
// transaction. NULL is stored for what the columns have as 0, "" or, for status and type, -1.
type outcomeColumns struct {
	run, settledAt, producedAt, timestamp []int64
	value                                 []*float64
	algorithm, attempts                   []int32
	kind, status, typ                     []int16
	reason, json, failure                 []string
	result                                [][]byte
}

func (c *outcomeColumns) add(k *keys, run int64, outcomes []orca.Outcome) {
	for i := range outcomes {
		o := &outcomes[i]
		c.run, c.settledAt, c.producedAt = append(c.run, run), append(c.settledAt, int64(o.SettledAt)), append(c.producedAt, int64(o.ProducedAt))
		c.algorithm, c.attempts = append(c.algorithm, k.algorithms[o.Algorithm].id), append(c.attempts, int32(o.Attempts))
		c.kind, c.reason = append(c.kind, int16(o.Kind)), append(c.reason, stored(o.Reason))
		c.addResult(o.Result)
	}
}

func (c *outcomeColumns) addResult(r *orca.Result) {
	status, typ, value := int16(-1), int16(-1), (*float64)(nil)
	if r == nil {
		r = &orca.Result{}
	} else {
		status, typ = int16(r.Status), int16(r.Type)
		if r.Type == orca.ResultValue {
			value = &r.Value
		}
	}
	c.status, c.typ, c.value = append(c.status, status), append(c.typ, typ), append(c.value, value)
	c.timestamp, c.json, c.failure = append(c.timestamp, r.Timestamp), append(c.json, stored(r.JSON)), append(c.failure, stored(r.Error))
	c.result = append(c.result, orNull(r.Encoded))
}

func (c *outcomeColumns) args() []any {
	return []any{c.run, c.settledAt, c.producedAt, c.timestamp, c.value, c.algorithm, c.attempts, c.kind, c.status, c.typ,
		c.reason, c.json, c.failure, c.result}
}

// insertOutcomes leaves an outcome that is there as it is. Of two in one statement the first one stays.
func insertOutcomes(position, from string, first int) string {
	arrays := ""
	for i, typ := range []string{"bigint", "bigint", "bigint", "bigint", "double precision", "int", "int", "smallint", "smallint", "smallint",
		"text", "text", "text", "bytea"} {
		if i > 0 {
			arrays += ", "
		}
		arrays += fmt.Sprintf("$%d::%s[]", first+i, typ)
	}
	return `INSERT INTO {outcome} (position, settled_at, produced_at, result_timestamp, result_value, algorithm, attempts, kind,
			result_status, result_type, reason, result_json, result_error, result)
		SELECT ` + position + `, u.settled_at, nullif(nullif(u.produced_at, 0), ` + position + `),
			CASE WHEN u.status < 0 THEN NULL ELSE u.timestamp END, u.value, u.algorithm, u.attempts, u.kind,
			nullif(u.status, -1), nullif(u.type, -1), nullif(u.reason, ''), nullif(u.json, ''), nullif(u.failure, ''), u.result
		FROM ` + from + `unnest(` + arrays + `)
			AS u(run, settled_at, produced_at, timestamp, value, algorithm, attempts, kind, status, type, reason, json, failure, result)
		ON CONFLICT (position, algorithm) DO NOTHING`
}

var (
	// insertNextOutcomes writes outcomes of runs by position.
	insertNextOutcomes = insertOutcomes("u.run", "", 1)
	// insertFirstOutcomes writes outcomes of the $1 runs that begin in the transaction.
	insertFirstOutcomes = insertOutcomes("(c.position - $1 + u.run)", "{counter} c, ", 2)
	// keepOutcomes copies outcomes to some of the $1 runs that begin in the transaction.
	keepOutcomes = `INSERT INTO {outcome} (position, settled_at, produced_at, result_timestamp, result_value, algorithm, attempts, kind,
			result_status, result_type, reason, result_json, result_error, result)
		SELECT c.position - $1 + u.nth, o.settled_at, coalesce(o.produced_at, o.position), o.result_timestamp, o.result_value, o.algorithm,
			o.attempts, o.kind, o.result_status, o.result_type, o.reason, o.result_json, o.result_error, o.result
		FROM {counter} c, unnest($2::bigint[], $3::bigint[], $4::int[]) AS u(nth, base, algorithm)
		JOIN {outcome} o ON o.position = u.base AND o.algorithm = u.algorithm
		ON CONFLICT (position, algorithm) DO NOTHING`
)

// endRuns ends runs, and takes them from pending.
const endRuns = `ended AS (UPDATE {run} r SET state = u.state, finished_at = u.at
		FROM unnest($%[1]d::bigint[], $%[2]d::bigint[], $%[3]d::smallint[]) AS u(position, at, state)
		WHERE r.position = u.position AND r.state = 0),
	pending AS (DELETE FROM {pending} WHERE position = ANY($%[1]d))`

var (
	// finishRuns ends runs that may be parked.
	finishRuns = `WITH ` + fmt.Sprintf(endRuns, 1, 2, 3) + `, parked AS (DELETE FROM {parked} WHERE position = ANY($1))
		DELETE FROM {expected} WHERE position = ANY($1)`
	// finishOwned writes outcomes, and ends runs that a core owns: those are not parked.
	finishOwned = `WITH outcomes AS (` + insertNextOutcomes + `), ` + fmt.Sprintf(endRuns, 15, 16, 17) + ` SELECT 1`
)

// writeSettlements adds the statements that write outcomes, and end runs.
func (w *write) writeSettlements() {
	if len(w.settlements) == 0 {
		return
	}
	var c outcomeColumns
	var ended, ends []int64
	var states []int16
	first, setbacks := map[orca.Position]bool{}, []int64(nil)
	k := w.keys.Load()
	for _, r := range w.settlements {
		s := r.settlement
		c.add(k, int64(s.Position), s.Outcomes)
		if s.End == orca.RunOpen || first[s.Position] {
			continue
		}
		first[s.Position] = true
		ended, ends, states = append(ended, int64(s.Position)), append(ends, int64(s.At)), append(states, int16(s.End))
		if s.End > orca.RunSucceeded {
			setbacks = append(setbacks, int64(s.Position))
		}
	}
	w.finish(&c, ended, ends, states)
	if len(setbacks) > 0 {
		w.add("write setbacks", `INSERT INTO {setback} (state, "window", position) SELECT state, "window", position FROM {run}
			WHERE position = ANY($1::bigint[]) AND state > 1 ON CONFLICT DO NOTHING`, setbacks)
	}
}

// finish adds the statements that write outcomes and the ends of runs, and free those who wait for outcomes.
func (w *write) finish(c *outcomeColumns, ended, ends []int64, states []int16) {
	shared, some := w.member.Load() != nil, len(c.run) > 0
	if shared && some && len(ended) > 0 {
		w.add("write outcomes and finish runs", finishOwned, append(c.args(), ended, ends, states)...)
	} else {
		if some {
			w.add("write outcomes", insertNextOutcomes, c.args()...)
		}
		if len(ended) > 0 {
			w.add("finish runs", finishRuns, ended, ends, states)
		}
	}
	if shared && some {
		w.writeAwaited(c.run, c.algorithm, &w.moreAwait)
	}
}

// writeParkings adds the statements that move runs into lots.
func (w *write) writeParkings() {
	if len(w.parkings) == 0 {
		return
	}
	var position, who, run []int64
	var lot, algorithm []int32
	var tries []*string
	byPosition, k := map[int64]*request{}, w.keys.Load()
	for _, r := range w.parkings {
		p := r.parking
		at := int64(p.Position)
		byPosition[at] = r
		position, lot, tries = append(position, at), append(lot, w.memory.lots[p.Lot.Hash]), append(tries, encodeTries(p.Tries))
		for _, e := range p.Expects {
			who, run, algorithm = append(who, at), append(run, int64(e.Position)), append(algorithm, k.algorithms[e.Algorithm].id)
		}
	}
	statement, args := parkRuns, []any{position, lot, tries, who, run, algorithm}
	if m := w.member.Load(); m != nil {
		statement, args = parkOwned, append(args, m.id)
	}
	w.batch.Queue(w.names.in(statement), args...).Query(func(rows pgx.Rows) error {
		var at int64
		_, err := pgx.ForEachRow(rows, []any{&at}, func() error {
			byPosition[at].answer.parked = true
			return nil
		})
		if err != nil {
			return fmt.Errorf("park runs: %w", err)
		}
		return nil
	})
	if len(who) > 0 && w.member.Load() == nil {
		w.add("write what parked runs wait for", expectOutcomes, who, run, algorithm)
	}
}

func encodeTries(tries []orca.Tries) *string {
	if len(tries) == 0 {
		return nil
	}
	text, err := toJSON(tries)
	if err != nil {
		panic(fmt.Sprintf("tries have no JSON: %v", err)) // names and numbers
	}
	return &text
}

const (
	// isSettled is whether an outcome that parking a expects is there.
	isSettled = `EXISTS (SELECT 1 FROM expects e JOIN {outcome} o ON o.position = e.run AND o.algorithm = e.algorithm
		WHERE e.position = a.position)`

	// parkRuns returns the positions that are parked now, and forgets what they waited for before.
	parkRuns = `WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[]) AS u(position, lot, tries)),
		expects AS (SELECT * FROM unnest($4::bigint[], $5::bigint[], $6::int[]) AS u(position, run, algorithm)),
		able AS MATERIALIZED (SELECT a.* FROM asked a WHERE NOT ` + isSettled + `),
		freed AS (DELETE FROM {pending} p USING able a WHERE p.position = a.position RETURNING p.position, p.metadata),
		moved AS (UPDATE {parked} p SET lot = a.lot, tries = a.tries FROM able a WHERE p.position = a.position RETURNING p.position),
		forgotten AS (DELETE FROM {expected} x USING able a WHERE x.position = a.position),
		added AS (INSERT INTO {parked} (position, lot, metadata, tries)
			SELECT a.position, a.lot, f.metadata, a.tries FROM freed f JOIN able a ON a.position = f.position RETURNING position)
		SELECT position FROM moved UNION ALL SELECT position FROM added`

	expectOutcomes = `WITH expects AS (SELECT DISTINCT * FROM unnest($1::bigint[], $2::bigint[], $3::int[]) AS u(position, run, algorithm))
		INSERT INTO {expected} (run, algorithm, position) SELECT a.run, a.algorithm, a.position FROM expects a
		WHERE EXISTS (SELECT 1 FROM {parked} p WHERE p.position = a.position) AND NOT ` + isSettled

	// wakeRuns puts those who expect outcomes into the lot $3, at most $4, and returns which and where they were.
	wakeRuns = `WITH waiting AS MATERIALIZED (
			SELECT DISTINCT x.position FROM unnest($1::bigint[], $2::int[]) AS u(run, algorithm)
			JOIN {expected} x ON x.run = u.run AND x.algorithm = u.algorithm ORDER BY x.position LIMIT $4),
		before AS MATERIALIZED (SELECT p.position, l.hash FROM waiting s JOIN {parked} p ON p.position = s.position JOIN {lot} l ON l.id = p.lot),
		moved AS (UPDATE {parked} p SET lot = $3 FROM before b WHERE p.position = b.position),
		forgotten AS (DELETE FROM {expected} x USING waiting s WHERE x.position = s.position)
		SELECT s.position, b.hash FROM waiting s LEFT JOIN before b ON b.position = s.position ORDER BY s.position`
)

// wakeAtOnce bounds the runs that one request wakes.
const wakeAtOnce = 1000

// writeWakings adds the statements that put runs into orca.Woken.
func (w *write) writeWakings() {
	for _, r := range w.wakings {
		run, algorithm, k := []int64{}, []int32{}, w.keys.Load()
		for _, settled := range r.settledNow {
			if key, ok := k.algorithms[settled.Algorithm]; ok {
				run, algorithm = append(run, int64(settled.Position)), append(algorithm, key.id)
			}
		}
		if w.member.Load() != nil {
			w.writeAwaited(run, algorithm, &r.answer.more)
			continue
		}
		w.batch.Queue(w.names.in(wakeRuns), run, algorithm, w.memory.lots[orca.Woken.Hash], wakeAtOnce).Query(func(rows pgx.Rows) error {
			if err := r.answer.woke(rows); err != nil {
				return fmt.Errorf("wake runs: %w", err)
			}
			return nil
		})
	}
}

func (a *answer) woke(rows pgx.Rows) error {
	var position int64
	var hash []byte
	n := 0
	_, err := pgx.ForEachRow(rows, []any{&position, &hash}, func() error {
		if n++; hash != nil {
			a.woken = append(a.woken, orca.WokenRun{Position: orca.Position(position), From: orca.LotHash(hash)})
		}
		return nil
	})
	a.more = n == wakeAtOnce
	return err
}
