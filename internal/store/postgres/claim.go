package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// claims are how the runs of a shared ledger come to a core. A run belongs to nobody (owner is NULL) or to one core, in
// whose memory it is or which has left it as a row above those that it has loaded. A load takes the lowest of both. Only a
// load and a page of a withdrawal claim, and the engine makes one of them at a time.
type claims struct {
	// loose are rows that may be the core's and that its engine does not have: of a page, or of a claim whose commit was not
	// seen. They are given back with the next claim.
	loose []int64
}

const (
	giveBack = `UPDATE %s SET owner = NULL WHERE position = ANY($1::bigint[]) AND owner = $2`

	freeRuns = `SELECT position FROM {pending} WHERE owner IS NULL ORDER BY position LIMIT $1 FOR UPDATE SKIP LOCKED`
	// freeParked are of the lots $1.
	freeParked = `SELECT p.position FROM {lot} l CROSS JOIN LATERAL (
			SELECT position FROM {parked} WHERE owner IS NULL AND lot = l.id ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED) p
		WHERE l.hash = ANY($1::bytea[])`
	// ownRuns are the core's above those that it has loaded, of sources as in nextOpen.
	ownRuns = `SELECT n.position FROM unnest($1::bytea[], $2::bigint[]) AS source(hash, after)
		CROSS JOIN LATERAL (
			(SELECT p.position FROM {pending} p WHERE source.hash = '' AND p.owner = $4 AND p.position > source.after ORDER BY p.position LIMIT $3)
			UNION ALL
			(SELECT p.position FROM {parked} p WHERE p.owner = $4 AND p.lot = (SELECT l.id FROM {lot} l WHERE l.hash = source.hash)
				AND p.position > source.after ORDER BY p.position LIMIT $3)) n`

	takeRuns = `UPDATE %s SET owner = $2 WHERE position = ANY($1::bigint[]) AND owner IS NULL`

	// freeOpen and ownOpen are all above $1, parked or not.
	freeOpen = `SELECT position FROM %s WHERE owner IS NULL AND position > $1 ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED`
	ownOpen  = `(SELECT position FROM {pending} WHERE owner = $3 AND position > $1 ORDER BY position LIMIT $2)
		UNION ALL (SELECT position FROM {parked} WHERE owner = $3 AND position > $1 ORDER BY position LIMIT $2)`
)

// candidates adds the queries for rows that may be claimed to a batch: those of nobody, which it locks, and then the core's
// own, so that of these none is missing that is below one of the others.
type candidates func(b *pgx.Batch, m *member, take func(pgx.Rows) error)

// claimNext claims the lowest runs of all the sources.
func (s *Store) claimNext(ctx context.Context, m *member, hashes [][]byte, after []int64, limit int) ([]orca.OpenRun, error) {
	return s.claim(ctx, m, limit, false, func(b *pgx.Batch, m *member, take func(pgx.Rows) error) {
		b.Queue(s.names.in(freeRuns), limit).Query(take)
		if len(hashes) > 1 {
			b.Queue(s.names.in(freeParked), hashes, limit).Query(take)
		}
		b.Queue(s.names.in(ownRuns), hashes, after, limit, m.id).Query(take)
	})
}

// claimPage claims the lowest runs above a position until the next claim.
func (s *Store) claimPage(ctx context.Context, m *member, after orca.Position, limit int) ([]orca.OpenRun, error) {
	return s.claim(ctx, m, limit, true, func(b *pgx.Batch, m *member, take func(pgx.Rows) error) {
		for _, table := range []string{"{pending}", "{parked}"} {
			b.Queue(s.names.in(fmt.Sprintf(freeOpen, table)), int64(after), limit).Query(take)
		}
		b.Queue(s.names.in(ownOpen), int64(after), limit, m.id).Query(take)
	})
}

// claim makes the lowest of the candidates the core's. Those of a page are loose again afterwards, but for those that were
// the core's before.
func (s *Store) claim(ctx context.Context, m *member, limit int, page bool, find candidates) (runs []orca.OpenRun, err error) {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	limit = max(0, limit)
	var loose []int64
	err = s.read(ctx, "claim open runs", func(ctx context.Context, _ querier) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			free, own, err := s.candidates(ctx, tx, m, find)
			if err != nil {
				return err
			}
			positions := slices.Concat(free, own)
			slices.Sort(positions)
			positions = positions[:min(len(positions), limit)]
			taken := slices.DeleteFunc(free, func(p int64) bool { return len(positions) == 0 || p > positions[len(positions)-1] })
			if page {
				loose = taken
			}
			s.claims.loose = append(s.claims.loose, taken...) // until the commit is seen
			runs, err = s.takeRuns(ctx, tx, m, taken, positions)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	s.claims.loose = loose
	if n := len(runs); n > 0 {
		s.saw(runs[n-1].Position)
	}
	return runs, nil
}

// candidates gives back what is loose, and returns what may be claimed.
func (s *Store) candidates(ctx context.Context, tx pgx.Tx, m *member, find candidates) (free, own []int64, err error) {
	var b pgx.Batch
	leased := false
	b.Queue(s.names.in(lease), m.id, m.epoch).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			leased = true
		}
		return rows.Err()
	})
	if len(s.claims.loose) > 0 {
		for _, table := range []string{"{pending}", "{parked}"} {
			b.Queue(s.names.in(fmt.Sprintf(giveBack, table)), s.claims.loose, m.id)
		}
	}
	var found [][]int64
	find(&b, m, func(rows pgx.Rows) error {
		positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		found = append(found, positions)
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, nil, err
	}
	if !leased {
		s.lost()
		return nil, nil, errFenced()
	}
	last := len(found) - 1
	return slices.Concat(found[:last]...), found[last], nil
}

// takeRuns makes rows the core's, and reads what was chosen.
func (s *Store) takeRuns(ctx context.Context, tx pgx.Tx, m *member, taken, positions []int64) ([]orca.OpenRun, error) {
	if len(taken) > 0 {
		var b pgx.Batch
		for _, table := range []string{"{pending}", "{parked}"} {
			b.Queue(s.names.in(fmt.Sprintf(takeRuns, table)), taken, m.id)
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return nil, err
		}
	}
	if len(positions) == 0 {
		return nil, nil
	}
	runs, err := s.openRunsAt(ctx, tx, positions)
	if err != nil {
		return nil, err
	}
	return runs, s.openOutcomes(ctx, tx, positions, runs)
}
