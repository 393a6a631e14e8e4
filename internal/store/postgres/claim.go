package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// The runs of a shared ledger. An unfinished run is in one of three states, and each change of state is one transaction:
//
//	          park, unless what it waits for is settled
//	owned ─────────────────────────────────────▶ parked
//	│ ▲ ▲                                          │ │
//	│ │ └────────────── claim, its lot is open ────┘ │
//	│ └──────────────── claim ──────────┐            │
//	└─▶ free ───────────────────────────┘ ◀──────────┘
//	  give back, take over                 an outcome that it waits for is settled
//
// Owned is a row of pending with an owner, which has it in memory and alone may change it. Free and parked are nobody's. That
// no run stands still follows from three things, of which none needs a look at what has happened before:
//
// No wake is lost. Who parks runs that wait for outcomes holds the ledger's lock alone until its commit, who settles shares it.
// So of a parking and a settlement one comes first, whole: the parking that comes later finds the outcome and leaves the run
// owned; the settlement that comes later finds who waits, and frees them in its own transaction (settle.go).
//
// No run is owned by a core that does not have it. A core knows what became of what it sent, or it does not, and then it raises
// its own epoch, which waits for what is still under way and stops what has not begun; afterwards it reads what it owns, and
// gives back what it does not have in memory (round.go, engine/shared.go). What a dead core owned is taken over.
//
// Whatever is free is claimed: every core is told with each renewal of its lease whether there are free runs, and which lots
// have runs (members.go).
const (
	freeRuns = `SELECT position FROM {pending} WHERE owner IS NULL ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED`
	// parkedRuns are of the lots $1.
	parkedRuns = `SELECT p.position FROM {lot} l CROSS JOIN LATERAL (
			SELECT position FROM {parked} WHERE lot = l.id ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED) p
		WHERE l.hash = ANY($1::bytea[])`

	// unowned are the runs of a table, of which some are owned, from position $1 to $2 with open nodes of processor $3, or any
	// when it is "".
	unowned = `SELECT t.position FROM %s t WHERE t.position BETWEEN $1 AND $2 AND %s AND ($3::text = '' OR EXISTS (
			SELECT 1 FROM {run} r JOIN {plan_node} n ON n.plan = r.plan JOIN {algorithm} a ON a.id = n.algorithm
			WHERE r.position = t.position AND a.processor = $3 COLLATE "C"
				AND NOT EXISTS (SELECT 1 FROM {outcome} o WHERE o.position = t.position AND o.algorithm = n.algorithm)))
		ORDER BY t.position LIMIT $4 FOR UPDATE OF t SKIP LOCKED`

	takeFree   = `UPDATE {pending} SET owner = $2 WHERE position = ANY($1::bigint[])`
	takeParked = `WITH taken AS (DELETE FROM {parked} WHERE position = ANY($1::bigint[]) RETURNING position, metadata, tries),
		forgotten AS (DELETE FROM {expected} WHERE position = ANY($1::bigint[]))
		INSERT INTO {pending} (position, owner, metadata, tries) SELECT position, $2, metadata, tries FROM taken`
)

// candidates adds the queries for runs that may be claimed to a batch: those that are free, and those that are parked.
type candidates func(b *pgx.Batch, free, parked func(pgx.Rows) error)

// claimNext claims the lowest runs that are free, or parked in one of the lots.
func (s *Store) claimNext(ctx context.Context, m *member, hashes [][]byte, limit int) ([]orca.OpenRun, error) {
	return s.claim(ctx, m, limit, func(b *pgx.Batch, free, parked func(pgx.Rows) error) {
		b.Queue(s.names.in(freeRuns), limit).Query(free)
		if len(hashes) > 0 {
			b.Queue(s.names.in(parkedRuns), hashes, limit).Query(parked)
		}
	})
}

// Unowned claims runs that no core works on, the lowest first, for a withdrawal that is about positions from first to last,
// and open nodes of a processor unless its name is "".
func (s *Store) Unowned(ctx context.Context, first, last orca.Position, processor string, limit int) ([]orca.OpenRun, error) {
	return s.claim(ctx, s.member.Load(), limit, func(b *pgx.Batch, free, parked func(pgx.Rows) error) {
		args := []any{int64(first), int64(last), stored(processor), limit}
		b.Queue(s.names.in(fmt.Sprintf(unowned, "{pending}", "t.owner IS NULL")), args...).Query(free)
		b.Queue(s.names.in(fmt.Sprintf(unowned, "{parked}", "true")), args...).Query(parked)
	})
}

// claim makes the lowest of the candidates the core's. When it fails they may be the core's or not, and the core has to ask
// which runs it owns.
func (s *Store) claim(ctx context.Context, m *member, limit int, find candidates) (runs []orca.OpenRun, err error) {
	limit = max(0, limit)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.ReadTimeout)
	defer cancel()
	err = pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		free, parked, err := s.candidates(ctx, tx, m, find)
		if err != nil {
			return err
		}
		positions := slices.Sorted(slices.Values(slices.Concat(free, parked)))
		if positions = positions[:min(len(positions), limit)]; len(positions) == 0 {
			return nil
		}
		var b pgx.Batch
		above := func(p int64) bool { return p > positions[len(positions)-1] }
		b.Queue(s.names.in(takeFree), slices.DeleteFunc(free, above), m.id)
		b.Queue(s.names.in(takeParked), slices.DeleteFunc(parked, above), m.id)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		if runs, err = s.openRunsAt(ctx, tx, positions); err != nil {
			return err
		}
		return s.openOutcomes(ctx, tx, positions, runs)
	})
	if err != nil {
		s.unsure.Store(true)
		return nil, fmt.Errorf("claim runs: %w", unreadable(err))
	}
	if n := len(runs); n > 0 {
		s.saw(runs[n-1].Position)
	}
	return runs, nil
}

// candidates returns the runs that may be claimed, and locks them.
func (s *Store) candidates(ctx context.Context, tx pgx.Tx, m *member, find candidates) (free, parked []int64, err error) {
	var b pgx.Batch
	leased := false
	b.Queue(s.names.in(lease), m.id, m.epoch).Query(func(rows pgx.Rows) error {
		leased = rows.Next()
		rows.Close()
		return rows.Err()
	})
	into := func(positions *[]int64) func(pgx.Rows) error {
		return func(rows pgx.Rows) (err error) {
			*positions, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		}
	}
	find(&b, into(&free), into(&parked))
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, nil, err
	}
	if !leased {
		return nil, nil, s.notLeased(ctx)
	}
	return free, parked, nil
}
