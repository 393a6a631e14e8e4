package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orca-telemetry/orca/internal/orca"
)

// member is the store's core among those that share the ledger. Its row in table core is its lease. The epoch is 0 once
// somebody has taken over its runs, and from then on nothing that the core sends is written: every transaction of a member
// begins with a look at its row, which it locks so that the epoch cannot change before the commit. That a lease has run
// out by the clock allows others to take over and says nothing else.
type member struct {
	id    int32
	epoch int64
}

const (
	// lease locks the row of core $1 against a take-over, and not against its renewal.
	lease = `SELECT 1 FROM {core} WHERE id = $1 AND epoch = $2 FOR KEY SHARE`

	// memberTimeout bounds what is asked for the lease, on one of memberConns connections.
	memberTimeout = 5 * time.Second
	memberConns   = 3
)

func errFenced() error {
	return orca.Errorf(orca.Fenced, "this core did not renew its lease in time and another one has taken over its runs; nothing was written; try again")
}

// Join takes a lease for this core. From then on the store gives it the runs that no core works on, writes who works on
// what, and writes nothing any more once another core has taken over. It is called once, before Serve.
func (s *Store) Join(ctx context.Context, c orca.Core, lasts time.Duration) error {
	m := member{epoch: 1}
	err := s.asMember(ctx, "take a lease", func(ctx context.Context) error {
		return s.members.QueryRow(ctx, s.names.in(`INSERT INTO {core} (epoch, expires_at, version, address)
			VALUES ($1, clock_timestamp() + $2::bigint * interval '1 microsecond', $3, $4) RETURNING id`),
			m.epoch, lasts.Microseconds(), stored(c.Version), stored(c.Address)).Scan(&m.id)
	})
	if err != nil {
		return err
	}
	s.member.Store(&m)
	return s.asMember(ctx, "free who waits", s.freeSettled) // all cores may have died together
}

// renew makes the lease of core $1 last $2 microseconds, and tells what the core has to know, in one statement. Lots with runs
// are found by one look at the index for each.
const renew = `WITH RECURSIVE renewed AS (
		UPDATE {core} SET expires_at = clock_timestamp() + $2::bigint * interval '1 microsecond', active_runs = $3, calls = $4,
			told_at = clock_timestamp(), report = $6
		WHERE id = $1 AND epoch > 0 RETURNING id),
	parked_in(lot) AS (
		(SELECT lot FROM {parked} ORDER BY lot LIMIT 1)
		UNION ALL
		SELECT (SELECT p.lot FROM {parked} p WHERE p.lot > parked_in.lot ORDER BY p.lot LIMIT 1) FROM parked_in WHERE parked_in.lot IS NOT NULL)
	SELECT (SELECT count(*) FROM renewed), (SELECT registry_version FROM {ledger}),
		EXISTS (SELECT 1 FROM {core} WHERE expires_at < clock_timestamp() AND id <> $1),
		EXISTS (SELECT 1 FROM {pending} WHERE owner IS NULL),
		ARRAY(SELECT l.algorithms FROM parked_in JOIN {lot} l ON l.id = parked_in.lot LIMIT $5),
		(SELECT json_agg(json_build_array(id, address, version, extract(epoch FROM started_at), active_runs, calls,
			extract(epoch FROM expires_at - clock_timestamp()), extract(epoch FROM clock_timestamp() - told_at),
			CASE id WHEN $1 THEN '' ELSE report END) ORDER BY id) FROM {core} WHERE epoch > 0),
		(SELECT coalesce(json_agg(json_build_array(id, first, last, processor, kind, reason) ORDER BY id), '[]') FROM {withdrawal})`

// Renew makes the lease last from now on, tells others the core's load and what it has found, and returns what goes on around
// it. After a take-over it is refused with orca.Fenced.
func (s *Store) Renew(ctx context.Context, load orca.CoreLoad, checks []orca.HealthCheck, lasts time.Duration) (around orca.Surroundings, err error) {
	m := s.member.Load()
	told, err := encodeReport(checks, s.listener.listening())
	if err != nil {
		return around, err
	}
	around.Self = m.id
	err = s.asMember(ctx, "renew the lease", func(ctx context.Context) error {
		var renewed int
		var lots []string
		var cores, withdrawals []byte
		err := s.members.QueryRow(ctx, s.names.in(renew), m.id, lasts.Microseconds(), load.ActiveRuns, load.Calls, maxLots, told).
			Scan(&renewed, &around.Registry, &around.Expired, &around.Free, &lots, &cores, &withdrawals)
		if err != nil {
			return err
		}
		if renewed == 0 {
			s.lost()
			return errFenced()
		}
		around.Expired = around.Expired || s.unfreed.Load()
		for _, content := range lots {
			l, err := orca.ParseLot(content)
			if err != nil {
				return err
			}
			around.Lots = append(around.Lots, l)
		}
		if around.Withdrawals, err = withdrawalsOf(withdrawals); err != nil {
			return err
		}
		if around.Cores, err = coresOf(cores); err == nil {
			s.hears(around.Cores)
		}
		return err
	})
	return around, err
}

// coresOf reads what renew tells of the cores. A core sees itself as it was before.
func coresOf(text []byte) (cores []orca.Core, err error) {
	var rows [][]any
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("read the cores: %w", err)
	}
	seconds := func(v any) time.Duration { return time.Duration(v.(float64) * float64(time.Second)) }
	for _, r := range rows {
		told, err := decodeReport(r[8].(string), seconds(r[7]))
		if err != nil {
			return nil, err
		}
		cores = append(cores, orca.Core{
			ID: int32(r[0].(float64)), Address: restored(r[1].(string)), Version: restored(r[2].(string)),
			StartedAt: time.Unix(0, int64(seconds(r[3]))), Left: seconds(r[6]),
			CoreLoad: orca.CoreLoad{ActiveRuns: int64(r[4].(float64)), Calls: int64(r[5].(float64))}, Checks: told.checks, Listens: told.listens,
		})
	}
	return cores, nil
}

// maxLots bounds the lots that are told at once.
const maxLots = 1024

// notLeased says why a claim found no lease: the core was taken over, or its epoch has just been raised by itself.
func (s *Store) notLeased(ctx context.Context) error {
	var taken bool
	err := s.members.QueryRow(ctx, s.names.in(`SELECT NOT EXISTS (SELECT 1 FROM {core} WHERE id = $1 AND epoch > 0)`), s.self()).Scan(&taken)
	switch {
	case err != nil:
		return err
	case taken:
		s.lost()
		return errFenced()
	}
	return orca.Errorf(orca.Unavailable, "the core made sure what it owns at that moment; try again")
}

// Freed gets a token when this core has freed runs that waited for outcomes.
func (s *Store) Freed() <-chan struct{} { return s.freed }

// Fenced is closed when another core has taken over.
func (s *Store) Fenced() <-chan struct{} { return s.fenced }

func (s *Store) lost() { s.fencing.Do(func() { close(s.fenced) }) }

// Leave gives back what the core works on, and its lease. Nothing is written afterwards.
func (s *Store) Leave(ctx context.Context) error {
	m := s.member.Load()
	if m == nil || s.unfreed.Load() {
		return nil // who takes over frees who waits
	}
	return s.asMember(ctx, "give back the lease", func(ctx context.Context) error {
		_, err := s.members.Exec(ctx, s.names.in(`UPDATE {core} SET epoch = 0, expires_at = '-infinity' WHERE id = $1`), m.id)
		if err != nil {
			return err
		}
		_, err = s.release(ctx, m.id)
		return err
	})
}

// freeSettled frees runs that wait for outcomes which are settled: of those, whoever settled them had more to do than one
// transaction does.
func (s *Store) freeSettled(ctx context.Context) error {
	s.unfreed.Store(false)
	settled, err := s.settledExpected(ctx, s.members)
	if err != nil {
		s.unfreed.Store(true)
		return err
	}
	s.freeAll(settled)
	return nil
}

// TakeOver makes the runs of cores whose leases have run out nobody's, and returns how many runs of which cores that were.
func (s *Store) TakeOver(ctx context.Context) (runs int64, cores []int32, err error) {
	err = s.asMember(ctx, "take over from cores whose leases have run out", func(ctx context.Context) error {
		if cores, err = s.expired(ctx); err != nil {
			return err
		}
		if err := s.endStuck(ctx); err != nil {
			return err
		}
		for _, id := range cores {
			n, err := s.release(ctx, id)
			if runs += n; err != nil {
				return err
			}
		}
		return s.freeSettled(ctx)
	})
	return runs, cores, err
}

// expired raises the epochs of cores whose leases have run out. One that is just committing is left for the next time.
func (s *Store) expired(ctx context.Context) (cores []int32, err error) {
	err = pgx.BeginTxFunc(ctx, s.members, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.names.in(`SELECT id FROM {core} WHERE expires_at < clock_timestamp() AND id <> $1
			ORDER BY id FOR UPDATE SKIP LOCKED`), s.self())
		if err != nil {
			return err
		}
		if cores, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil || len(cores) == 0 {
			return err
		}
		_, err = tx.Exec(ctx, s.names.in(`UPDATE {core} SET epoch = 0 WHERE id = ANY($1::int[])`), cores)
		return err
	})
	return cores, err
}

// self is the core's id, 0 when it has none.
func (s *Store) self() int32 {
	if m := s.member.Load(); m != nil {
		return m.id
	}
	return 0
}

// releaseAtOnce bounds the rows that one transaction gives back.
const releaseAtOnce = 5000

// release makes the runs of a core nobody's whose epoch was raised, and deletes the core when there are none left. Two may
// do so at once.
func (s *Store) release(ctx context.Context, id int32) (runs int64, err error) {
	for {
		tag, err := s.members.Exec(ctx, s.names.in(`UPDATE {pending} SET owner = NULL WHERE position IN (
			SELECT position FROM {pending} WHERE owner = $1 ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED)`), id, releaseAtOnce)
		if err != nil {
			return runs, err
		}
		if runs += tag.RowsAffected(); tag.RowsAffected() == 0 {
			break
		}
	}
	for _, statement := range []string{
		`DELETE FROM {core} WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM {pending} WHERE owner = $1)`,
		`WITH asked AS (DELETE FROM {withdrawal} WHERE core = $1 RETURNING id) DELETE FROM {withdrawn} n USING asked a WHERE n.withdrawal = a.id`,
	} {
		if _, err := s.members.Exec(ctx, s.names.in(statement), id); err != nil {
			return runs, err
		}
	}
	return runs, nil
}

// Settled returns which of some outcomes are there.
func (s *Store) Settled(ctx context.Context, keys []orca.OutcomeKey) (settled []orca.OutcomeKey, err error) {
	err = s.read(ctx, "look for outcomes", func(ctx context.Context, db querier) error {
		settled = nil
		runs, algorithms := make([]int64, len(keys)), make([]int32, len(keys))
		for i, k := range keys {
			key, _, err := s.algorithm(ctx, k.Algorithm)
			if err != nil {
				return err
			}
			runs[i], algorithms[i] = int64(k.Position), key.id
		}
		var nth int64
		return each(ctx, db, s.names.in(`SELECT u.nth FROM unnest($1::bigint[], $2::int[]) WITH ORDINALITY AS u(run, algorithm, nth)
			WHERE EXISTS (SELECT 1 FROM {outcome} o WHERE o.position = u.run AND o.algorithm = u.algorithm)`),
			[]any{runs, algorithms}, []any{&nth}, func() error {
				settled = append(settled, keys[nth-1])
				return nil
			})
	})
	return settled, err
}

// hasEnded reports whether a session had ended before it was used.
func (s *Store) hasEnded(err error) bool {
	var refused *pgconn.ConnectError
	return err != nil && !isKind(err) && !errors.As(err, &refused) && isLost(err)
}

// asMember bounds what is done for the lease, and says what was being done when it fails.
func (s *Store) asMember(ctx context.Context, doing string, fn func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	err := fn(within)
	if s.hasEnded(err) {
		s.members.Reset() // the others may have ended with it
		err = fn(within)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = orca.Errorf(orca.Unavailable, "the database does not answer within %v", memberTimeout)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, unreadable(err))
	}
	return nil
}
