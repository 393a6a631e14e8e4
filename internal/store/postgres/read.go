package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orca-telemetry/orca/internal/orca"
)

// querier runs statements that read: a pool, of which each statement sees a moment of its own, a connection or a
// transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// each runs a query and calls row for every row, which is in targets then.
func each(ctx context.Context, db querier, query string, args, targets []any, row func() error) error {
	rows, err := db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, targets, row)
	return err
}

// read calls fn for as long as Config.ReadTimeout allows, and says what was being done when it fails.
func (s *Store) read(ctx context.Context, doing string, fn func(context.Context, querier) error) error {
	within, cancel := context.WithTimeoutCause(ctx, s.cfg.ReadTimeout, orca.Errorf(orca.Unavailable,
		"it took longer than %v; ask for less, such as a shorter range of time", s.cfg.ReadTimeout))
	defer cancel()
	err := fn(within, s.pool)
	for try := 1; try < maxTries && within.Err() == nil && s.readAgain(err); try++ {
		err = fn(within, s.pool)
	}
	if err != nil && within.Err() != nil {
		err = context.Cause(within) // what became of the statement is worth less
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, unreadable(err))
	}
	return nil
}

// readAgain reports whether a read failed for a reason that is gone: a cancellation that was to end an earlier statement of
// the session, or a session that had ended unnoticed. That there is no database at all is no such reason.
func (s *Store) readAgain(err error) bool {
	var refused *pgconn.ConnectError
	switch {
	case code(err) == queryCanceled:
		return true
	case err == nil, isKind(err), errors.As(err, &refused), !isLost(err):
		return false
	}
	s.pool.Reset() // others may have ended with it
	return true
}

// snapshot calls fn with a transaction in which all is of one moment.
func (s *Store) snapshot(ctx context.Context, doing string, fn func(context.Context, pgx.Tx) error) error {
	return s.read(ctx, doing, func(ctx context.Context, _ querier) error {
		return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly},
			func(tx pgx.Tx) error { return fn(ctx, tx) })
	})
}

// Plan returns the content of a plan.
func (s *Store) Plan(ctx context.Context, hash orca.PlanHash) (content []byte, err error) {
	err = s.read(ctx, "read plan", func(ctx context.Context, db querier) error {
		err := db.QueryRow(ctx, s.names.in(`SELECT content FROM {plan} WHERE hash = $1`), hash[:]).Scan(&content)
		if errors.Is(err, pgx.ErrNoRows) {
			return orca.Errorf(orca.NotFound, "no plan has the hash %x", hash)
		}
		return err
	})
	return content, err
}

const resultColumns = `o.result_status, o.result_type, o.result_timestamp, o.result_value, o.result_json, o.result_error, o.result`

// resultScan receives resultColumns.
type resultScan struct {
	status, typ   *int16
	timestamp     *int64
	value         *float64
	json, failure string
	encoded       []byte
}

func (r *resultScan) targets() []any {
	return []any{&r.status, &r.typ, &r.timestamp, &r.value, into{&r.json}, into{&r.failure}, &r.encoded}
}

// result returns what was sent, or nil when nothing was.
func (r *resultScan) result() *orca.Result {
	if r.status == nil {
		return nil
	}
	return &orca.Result{Status: orca.ResultStatus(*r.status), Type: orca.ResultType(orZero(r.typ)), Timestamp: orZero(r.timestamp),
		Value: orZero(r.value), JSON: r.json, Error: r.failure, Encoded: r.encoded}
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

const resultsQuery = `SELECT u.nth, ` + resultColumns + ` FROM unnest($2::int[]) WITH ORDINALITY AS u(algorithm, nth)
	JOIN {outcome} o ON o.position = $1 AND o.algorithm = u.algorithm WHERE o.kind = 1 AND o.result_status IS NOT NULL`

// Results returns the results of succeeded outcomes of one run, in the order asked, or orca.NotFound naming the first
// that is missing.
func (s *Store) Results(ctx context.Context, at orca.Position, algorithms []orca.AlgorithmID) ([]orca.Result, error) {
	results, found := make([]orca.Result, len(algorithms)), make([]bool, len(algorithms))
	ids := make([]int32, len(algorithms))
	err := s.read(ctx, "read results", func(ctx context.Context, db querier) error {
		for i, id := range algorithms {
			key, _, err := s.algorithm(ctx, id)
			if err != nil {
				return err
			}
			ids[i] = key.id
		}
		if err := s.results(ctx, db, at, ids, results, found); err != nil {
			return err
		}
		for i, id := range algorithms {
			if !found[i] {
				return orca.Errorf(orca.NotFound, "run %d has no result of %s", at, id.Full())
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

func (s *Store) results(ctx context.Context, db querier, at orca.Position, ids []int32, results []orca.Result, found []bool) error {
	rows, err := db.Query(ctx, s.names.in(resultsQuery), int64(at), ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var nth int64
		var r resultScan
		if err := rows.Scan(append([]any{&nth}, r.targets()...)...); err != nil {
			return err
		}
		results[nth-1], found[nth-1] = *r.result(), true
	}
	return rows.Err()
}
