package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// What a transaction of a core that shares its ledger has beside the rows that are to be written, see claim.go.

const (
	// fence fails when the core has been taken over. It divides by zero then: the rest of a transaction that is sent as one has
	// to fail at the server. What else a transaction begins with goes into the same statement.
	fence   = `SELECT 1 / count(*)`
	ofLease = ` FROM (` + lease + `) AS lease`
	// divisionByZero is what a fence fails with, and nothing else does.
	divisionByZero = "22012"

	// ownership fails when one of the open runs $4 is not core $1's: what the core has in memory is not what it owns. Nobody else
	// changes that while the core has its lease.
	ownership = `, sqrt(CASE WHEN EXISTS (SELECT 1 FROM {pending} p WHERE p.position = ANY($4::bigint[]) AND p.owner IS DISTINCT FROM $1)
		OR EXISTS (SELECT 1 FROM {parked} p WHERE p.position = ANY($4::bigint[])) THEN -1.0::float8 ELSE 0 END)`
	// negativeRoot is what that fails with.
	negativeRoot = "2201F"

	lockAlone  = `, pg_advisory_xact_lock($3)`
	lockShared = `, pg_advisory_xact_lock_shared($3)`

	// parkOwned parks runs of core $7, and returns those that are not its any more: nor may they be by an earlier request of
	// which the end was not seen.
	parkOwned = `WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::int[], $3::text[]) AS u(position, lot, tries)),
		expects AS (SELECT DISTINCT * FROM unnest($4::bigint[], $5::bigint[], $6::int[]) AS u(position, run, algorithm)),
		freed AS (DELETE FROM {pending} p USING asked a WHERE p.position = a.position AND p.owner = $7 AND NOT ` + isSettled + `
			RETURNING p.position, p.metadata),
		parked AS (INSERT INTO {parked} (position, lot, metadata, tries)
			SELECT a.position, a.lot, f.metadata, a.tries FROM freed f JOIN asked a ON a.position = f.position),
		expecting AS (INSERT INTO {expected} (run, algorithm, position)
			SELECT e.run, e.algorithm, e.position FROM expects e JOIN freed f ON f.position = e.position)
		SELECT a.position FROM asked a WHERE a.position IN (SELECT position FROM freed)
			OR NOT EXISTS (SELECT 1 FROM {pending} p WHERE p.position = a.position AND p.owner = $7)`

	// freeAwaiting frees parked runs that wait for outcomes, at most $3, and returns how many that were. They are locked in the
	// order of positions, as all do who lock many.
	freeAwaiting = `WITH waiting AS MATERIALIZED (
			SELECT DISTINCT x.position FROM unnest($1::bigint[], $2::int[]) AS u(run, algorithm)
			JOIN {expected} x ON x.run = u.run AND x.algorithm = u.algorithm ORDER BY x.position LIMIT $3),
		held AS MATERIALIZED (SELECT p.position FROM {parked} p WHERE p.position IN (SELECT position FROM waiting) ORDER BY p.position FOR UPDATE),
		woken AS (DELETE FROM {parked} p USING held h WHERE p.position = h.position RETURNING p.position, p.metadata, p.tries),
		freed AS (INSERT INTO {pending} (position, metadata, tries) SELECT position, metadata, tries FROM woken),
		forgotten AS (DELETE FROM {expected} x USING woken w WHERE x.position = w.position)
		SELECT count(*) FROM waiting`

	giveBack  = `UPDATE {pending} SET owner = NULL WHERE position = ANY($1::bigint[]) AND owner = $2`
	ownedRuns = `SELECT position FROM {pending} WHERE owner = $1 ORDER BY position`
)

// parkLock is the key of the lock that orders parkings and settlements. Other schemas of the database have other keys.
func (n *names) parkLock() int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("orca parks in " + n.schema)) // a hash takes all
	return int64(h.Sum64())                             //nolint:gosec // all bits of it
}

// writeFence has the transaction fail when another core has taken over, or has a run that this one settles; and has it wait
// for those that must not cross it.
func (w *write) writeFence() {
	m := w.member.Load()
	if m == nil {
		return
	}
	alone := false
	for _, r := range w.parkings {
		alone = alone || len(r.parking.Expects) > 0
	}
	statement, args := fence, []any{m.id, m.epoch}
	switch {
	case alone:
		statement, args = statement+lockAlone, append(args, w.names.parkLock())
	case len(w.settlements)+len(w.wakings) > 0:
		statement, args = statement+lockShared, append(args, w.names.parkLock())
	}
	if len(w.settlements) > 0 {
		settled := make([]int64, len(w.settlements))
		for i, r := range w.settlements {
			settled[i] = int64(r.settlement.Position)
		}
		statement, args = statement+ownership, append(args, settled)
	}
	w.add("look at the lease and who owns the runs", statement+ofLease, args...)
}

// writeAwaited adds the statement that frees those who wait for outcomes of this transaction.
func (w *write) writeAwaited(run []int64, algorithm []int32, more *bool) {
	w.batch.Queue(w.names.in(freeAwaiting), run, algorithm, wakeAtOnce).QueryRow(func(row pgx.Row) error {
		var n int
		if err := row.Scan(&n); err != nil {
			return fmt.Errorf("free runs: %w", err)
		}
		*more = n == wakeAtOnce
		w.frees = w.frees || n > 0
		return nil
	})
}

// wakeRest has those freed who wait for outcomes of this transaction and are not free yet, until there are none left.
func (w *write) wakeRest() {
	var settled []orca.OutcomeKey
	for _, r := range w.settlements {
		for i := range r.settlement.Outcomes {
			settled = append(settled, orca.OutcomeKey{Position: r.settlement.Position, Algorithm: r.settlement.Outcomes[i].Algorithm})
		}
	}
	w.freeAll(settled)
}

// freeAll has those freed who wait for outcomes that are settled. Should this core end before, whoever takes over does it.
func (s *Store) freeAll(settled []orca.OutcomeKey) {
	if len(settled) == 0 {
		return
	}
	s.Wake(settled, func(_ []orca.WokenRun, more bool, err error) {
		switch {
		case err == nil && more:
			s.freeAll(settled)
		case err != nil && !errors.Is(err, orca.Fenced):
			s.unfreed.Store(true) // the next look at the other cores sees to it
		}
	})
}

// writeOthers adds the statements that give back runs, and that ask for those of this core.
func (w *write) writeOthers() {
	for _, r := range w.others {
		switch {
		case r.owned == nil:
			positions := make([]int64, len(r.back))
			for i, p := range r.back {
				positions[i] = int64(p)
			}
			w.add("give back runs", giveBack, positions, w.self())
		default:
			w.batch.Queue(w.names.in(ownedRuns), w.self()).Query(func(rows pgx.Rows) (err error) {
				r.answer.owned, err = pgx.CollectRows(rows, pgx.RowTo[orca.Position])
				return err
			})
		}
	}
}

// makeSure stops what this core has sent and does not know the end of: it raises the core's epoch. That waits for what is under
// way, which has locked the row, and what has not begun fails.
func (s *Store) makeSure(ctx context.Context, conn *session) error {
	m := s.member.Load()
	if m == nil || !s.unsure.Swap(false) {
		return nil
	}
	next := *m
	err := conn.QueryRow(ctx, s.names.in(`WITH own AS (SELECT id FROM {core} WHERE id = $1 AND epoch > 0 FOR UPDATE)
		UPDATE {core} c SET epoch = c.epoch + 1 FROM own WHERE c.id = own.id RETURNING c.epoch`), m.id).Scan(&next.epoch)
	switch {
	case isNoRow(err):
		s.lost()
		return errFenced()
	case err != nil:
		s.unsure.Store(true)
		return s.judge(ctx, &write{Store: s, conn: conn}, err)
	}
	s.member.Store(&next)
	return nil
}

// fence takes note of why the server has refused a transaction of this core.
func (s *Store) fence(err error) {
	if code(err) == negativeRoot {
		s.cfg.Logger.Error("a run was to be settled that this core does not own; the core begins anew", "error", err)
	}
	s.lost()
}
