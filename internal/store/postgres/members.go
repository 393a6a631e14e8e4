package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// member is the store's core among those that share the ledger. Its row in table core is its lease. The epoch is raised by
// whoever takes over its runs, and from then on nothing that the core sends is written: every transaction of a member
// begins with a look at its row, which it locks so that the epoch cannot be raised before the commit. That a lease has run
// out by the clock allows others to take over and says nothing else.
type member struct {
	id    int32
	epoch int64
}

const (
	// lease locks the row of core $1 against a take-over, and not against its renewal.
	lease = `SELECT 1 FROM {core} WHERE id = $1 AND epoch = $2 FOR KEY SHARE`
	// fence fails when core $1 has been taken over. It divides by zero then: the rest of a transaction that is sent as one has
	// to fail at the server.
	fence = `SELECT 1 / count(*) FROM (` + lease + `) AS lease`
	// divisionByZero is what a fence fails with, and nothing else does.
	divisionByZero = "22012"

	// memberTimeout bounds what is asked for the lease, on one of memberConns connections.
	memberTimeout = 5 * time.Second
	memberConns   = 2
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
	if err == nil {
		s.member.Store(&m)
	}
	return err
}

// Renew makes the lease last from now on, and tells others the core's load. After a take-over it is refused with
// orca.Fenced.
func (s *Store) Renew(ctx context.Context, load orca.CoreLoad, lasts time.Duration) error {
	m := s.member.Load()
	return s.asMember(ctx, "renew the lease", func(ctx context.Context) error {
		tag, err := s.members.Exec(ctx, s.names.in(`UPDATE {core} SET expires_at = clock_timestamp() + $3::bigint * interval '1 microsecond',
			active_runs = $4, calls = $5 WHERE id = $1 AND epoch = $2`), m.id, m.epoch, lasts.Microseconds(), load.ActiveRuns, load.Calls)
		if err == nil && tag.RowsAffected() == 0 {
			s.lost()
			return errFenced()
		}
		return err
	})
}

// Fenced is closed when another core has taken over.
func (s *Store) Fenced() <-chan struct{} { return s.fenced }

func (s *Store) lost() { s.fencing.Do(func() { close(s.fenced) }) }

// Leave gives back what the core works on, and its lease. Nothing is written afterwards.
func (s *Store) Leave(ctx context.Context) error {
	m := s.member.Load()
	if m == nil {
		return nil
	}
	return s.asMember(ctx, "give back the lease", func(ctx context.Context) error {
		_, err := s.members.Exec(ctx, s.names.in(`UPDATE {core} SET epoch = epoch + 1, expires_at = '-infinity' WHERE id = $1 AND epoch = $2`), m.id, m.epoch)
		if err != nil {
			return err
		}
		_, err = s.release(ctx, m.id)
		return err
	})
}

// TakeOver makes the runs of cores whose leases have run out nobody's, and returns how many runs of which cores that were.
func (s *Store) TakeOver(ctx context.Context) (runs int64, cores []int32, err error) {
	err = s.asMember(ctx, "take over from cores whose leases have run out", func(ctx context.Context) error {
		if cores, err = s.expired(ctx); err != nil {
			return err
		}
		for _, id := range cores {
			n, err := s.release(ctx, id)
			if runs += n; err != nil {
				return err
			}
		}
		return nil
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
		_, err = tx.Exec(ctx, s.names.in(`UPDATE {core} SET epoch = epoch + 1 WHERE id = ANY($1::int[])`), cores)
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
	for _, table := range []string{"{pending}", "{parked}"} {
		for {
			tag, err := s.members.Exec(ctx, s.names.in(`UPDATE `+table+` SET owner = NULL WHERE position IN (
				SELECT position FROM `+table+` WHERE owner = $1 ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED)`), id, releaseAtOnce)
			if err != nil {
				return runs, err
			}
			if runs += tag.RowsAffected(); tag.RowsAffected() == 0 {
				break
			}
		}
	}
	_, err = s.members.Exec(ctx, s.names.in(`DELETE FROM {core} WHERE id = $1
		AND NOT EXISTS (SELECT 1 FROM {pending} WHERE owner = $1) AND NOT EXISTS (SELECT 1 FROM {parked} WHERE owner = $1)`), id)
	return runs, err
}

// Cores returns those that share the ledger, the oldest first.
func (s *Store) Cores(ctx context.Context) (cores []orca.Core, err error) {
	err = s.asMember(ctx, "list the cores", func(ctx context.Context) error {
		var c orca.Core
		var left float64
		return each(ctx, s.members, s.names.in(`SELECT id, address, version, started_at, active_runs, calls,
			extract(epoch FROM expires_at - clock_timestamp())::float8 FROM {core} WHERE expires_at > '-infinity' ORDER BY id`), nil,
			[]any{&c.ID, into{&c.Address}, into{&c.Version}, &c.StartedAt, &c.ActiveRuns, &c.Calls, &left}, func() error {
				c.Left = time.Duration(left * float64(time.Second))
				cores = append(cores, c)
				return nil
			})
	})
	return cores, err
}

// freeLots finds the lots with rows of nobody by one look at the index for each.
const freeLots = `WITH RECURSIVE free(lot) AS (
		(SELECT lot FROM {parked} WHERE owner IS NULL ORDER BY lot LIMIT 1)
		UNION ALL
		SELECT (SELECT p.lot FROM {parked} p WHERE p.owner IS NULL AND p.lot > free.lot ORDER BY p.lot LIMIT 1) FROM free WHERE free.lot IS NOT NULL)
	SELECT l.algorithms FROM free JOIN {lot} l ON l.id = free.lot LIMIT $1`

// own returns the lowest runs of this core in a table.
func (s *Store) own(ctx context.Context, table string) ([]orca.Position, error) {
	rows, err := s.members.Query(ctx, s.names.in(`SELECT position FROM `+table+` WHERE owner = $1 ORDER BY position LIMIT $2`), s.self(), maxOwn)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[orca.Position])
}

// maxOwn bounds the runs of a core that are looked at.
const maxOwn = 10_000

// GiveBack makes runs nobody's that are this core's and that its engine does not have, with the next claim.
func (s *Store) GiveBack(stray []orca.Position) {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	for _, p := range stray {
		s.claims.loose = append(s.claims.loose, int64(p))
	}
}

// maxFreeLots bounds the lots that are told at once.
const maxFreeLots = 1024

// Leftover returns what no core works on, and what this one should.
func (s *Store) Leftover(ctx context.Context) (left orca.Leftover, err error) {
	err = s.asMember(ctx, "look for runs of nobody", func(ctx context.Context) error {
		left = orca.Leftover{}
		parked := false
		if err := s.members.QueryRow(ctx, s.names.in(`SELECT EXISTS (SELECT 1 FROM {pending} WHERE owner IS NULL),
			EXISTS (SELECT 1 FROM {parked} WHERE owner IS NULL), EXISTS (SELECT 1 FROM {expected})`)).
			Scan(&left.Runs, &parked, &left.Expected); err != nil {
			return err
		}
		if left.Expected {
			if left.Settled, err = s.settledExpected(ctx, s.members); err != nil {
				return err
			}
		}
		if left.Pending, err = s.own(ctx, "{pending}"); err != nil {
			return err
		}
		if left.Parked, err = s.own(ctx, "{parked}"); err != nil || !parked {
			return err
		}
		var content string
		return each(ctx, s.members, s.names.in(freeLots), []any{maxFreeLots}, []any{&content}, func() error {
			lot, err := orca.ParseLot(content)
			left.Lots = append(left.Lots, lot)
			return err
		})
	})
	return left, err
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

// asMember bounds what is done for the lease, and says what was being done when it fails.
func (s *Store) asMember(ctx context.Context, doing string, fn func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	err := fn(within)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = orca.Errorf(orca.Unavailable, "the database does not answer within %v", memberTimeout)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, unreadable(err))
	}
	return nil
}
