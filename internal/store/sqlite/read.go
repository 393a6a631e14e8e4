package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"github.com/orca-telemetry/orca/internal/orca"
)

// snapshot is a read transaction: all that is read through it is the state after one commit.
type snapshot struct {
	*sql.Tx
	reads *readStatements
}

// readStatements are the queries that the engine asks often, compiled once per connection.
type readStatements struct {
	plan, result                                        *sql.Stmt
	free, inLot, parked, open, outcomes                 *sql.Stmt
	past, keyedPast, keyedRows, wholePast, comparedPast *sql.Stmt
	pastType, pastRows, laterRows                       *sql.Stmt
}

func (r *readStatements) prepare(ctx context.Context, db *sql.DB) (err error) {
	for field, query := range map[**sql.Stmt]string{
		&r.plan:     planQuery,
		&r.result:   resultQuery,
		&r.free:     freeQuery,
		&r.inLot:    inLotQuery,
		&r.parked:   parkedQuery,
		&r.open:     openQuery,
		&r.outcomes: openOutcomesQuery,

		&r.past:         pastQuery,
		&r.keyedPast:    keyedPastQuery,
		&r.keyedRows:    keyedRowsQuery,
		&r.wholePast:    wholePastQuery,
		&r.comparedPast: comparedPastQuery,
		&r.pastType:     pastTypeQuery,
		&r.pastRows:     pastRowsQuery,
		&r.laterRows:    laterRowsQuery,
	} {
		if *field, err = db.PrepareContext(ctx, query); err != nil {
			return fmt.Errorf("prepare %q: %w", query, err)
		}
	}
	return nil
}

func (s *Store) openReaders(ctx context.Context) (err error) {
	s.readers, err = sql.Open("sqlite", dsn(s.path,
		"mode", "rw", // a reader of a write-ahead log takes its locks in the shared-memory file
		"_query_only", "1",
		"_pragma", "busy_timeout(1000)",
		"_pragma", fmt.Sprintf("cache_size(-%d)", readCacheKiB),
	))
	if err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(s.cfg.Readers)
	s.readers.SetMaxIdleConns(s.cfg.Readers)
	s.reads = &readStatements{}
	return s.reads.prepare(ctx, s.readers)
}

// readCacheKiB is the page cache that a reading connection may grow to: the past of one asset in a lookback of a thousand
// rows lies on about two thousand pages of 8 KiB, and reading them from the kernel again costs as much as all else.
const readCacheKiB = 32 << 10

// within calls fn for as long as Config.ReadTimeout allows, and says what was being done when it fails.
//
// The driver interrupts a statement only while it looks for its first row. Queries that may look at many rows before
// they find one therefore collect the keys of what they return in a materialized table, which is part of the first step.
func (s *Store) within(ctx context.Context, doing string, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.ReadTimeout, orca.Errorf(orca.Unavailable,
		"it took longer than %v; ask for less, such as a shorter range of time", s.cfg.ReadTimeout))
	defer cancel()
	err := s.show(ctx)
	if err == nil {
		err = fn(ctx)
	}
	if err == nil {
		err = s.syncs.wait(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // what the database made of it is worth less
	}
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// read calls fn with a snapshot.
func (s *Store) read(ctx context.Context, doing string, fn func(context.Context, snapshot) error) error {
	return s.within(ctx, doing, func(ctx context.Context) error {
		tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return err
		}
		// Nothing was written, so that ending it can lose nothing; after a timeout it is ended already.
		defer func() { _ = tx.Rollback() }()
		return fn(ctx, snapshot{tx, s.reads})
	})
}

// each runs a query and calls row with every row; the slice is reused.
func (tx snapshot) each(ctx context.Context, query string, row func([]driver.Value) error, args ...driver.Value) (err error) {
	anys := make([]any, len(args))
	for i, a := range args {
		anys[i] = a
	}
	rows, err := tx.QueryContext(ctx, query, anys...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, targets := make([]driver.Value, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		if err := row(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

const planQuery = `SELECT content FROM plan WHERE hash = ?`

// Plan returns the content of a plan.
func (s *Store) Plan(ctx context.Context, hash orca.PlanHash) (content []byte, err error) {
	err = s.within(ctx, "read plan", func(ctx context.Context) error {
		err := s.reads.plan.QueryRowContext(ctx, hash[:]).Scan(&content)
		if errors.Is(err, sql.ErrNoRows) {
			return orca.Errorf(orca.NotFound, "no plan has the hash %x", hash)
		}
		return err
	})
	return content, err
}

const (
	resultColumns = `o.result_status, o.result_type, o.result_timestamp, o.result_value, o.result_json, o.result_error, o.result`
)

var resultQuery = `SELECT ` + resultColumns + ` FROM algorithm a CROSS JOIN outcome o ON ` + outcomeIs("?4", "a.id") + `
	WHERE a.processor = ?1 AND a.name = ?2 AND a.version = ?3 AND o.kind = ?5 AND o.result_status IS NOT NULL`

// Results returns the results of succeeded outcomes of one run, in the order asked, or orca.NotFound naming the first
// that is missing.
func (s *Store) Results(ctx context.Context, at orca.Position, algorithms []orca.AlgorithmID) ([]orca.Result, error) {
	results := make([]orca.Result, len(algorithms))
	err := s.within(ctx, "read results", func(ctx context.Context) error {
		for i, id := range algorithms {
			var r resultScan
			err := s.reads.result.QueryRowContext(ctx, id.Processor, id.Name, id.Version, int64(at), int64(orca.Succeeded)).
				Scan(r.targets()...)
			if errors.Is(err, sql.ErrNoRows) {
				return orca.Errorf(orca.NotFound, "run %d has no result of %s", at, id.Full())
			}
			if err != nil {
				return err
			}
			results[i] = *r.result()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// resultScan receives resultColumns.
type resultScan struct {
	status, kind, timestamp sql.NullInt64
	value                   sql.NullFloat64
	json, err               sql.NullString
	encoded                 []byte
}

func (r *resultScan) targets() []any {
	return []any{&r.status, &r.kind, &r.timestamp, &r.value, &r.json, &r.err, &r.encoded}
}

// result returns what was sent, or nil when nothing was.
func (r *resultScan) result() *orca.Result {
	if !r.status.Valid {
		return nil
	}
	value := r.value.Float64
	if orca.ResultType(r.kind.Int64) == orca.ResultValue && !r.value.Valid {
		value = math.NaN() // which SQLite stores as NULL
	}
	return &orca.Result{Status: orca.ResultStatus(r.status.Int64), Type: orca.ResultType(r.kind.Int64),
		Timestamp: r.timestamp.Int64, Value: value, JSON: r.json.String, Error: r.err.String, Encoded: r.encoded}
}
