package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// snapshot is a read transaction: all that is read through it is the state after one commit.
type snapshot struct{ *sql.Tx }

func (s *Store) openReaders(ctx context.Context) (err error) {
	s.readers, err = sql.Open("sqlite", dsn(s.path,
		"mode", "rw", // a reader of a write-ahead log takes its locks in the shared-memory file
		"_query_only", "1",
		"_pragma", "busy_timeout(1000)",
		"_pragma", "cache_size(-8192)",
	))
	if err != nil {
		return err
	}
	s.readers.SetMaxOpenConns(s.cfg.Readers)
	s.readers.SetMaxIdleConns(s.cfg.Readers)
	return s.readers.PingContext(ctx)
}

// read calls fn with a snapshot, for as long as Config.ReadTimeout allows.
func (s *Store) read(ctx context.Context, doing string, fn func(context.Context, snapshot) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.ReadTimeout, orca.Errorf(orca.Unavailable,
		"the query took longer than %v; ask for less, such as a shorter range of time", s.cfg.ReadTimeout))
	defer cancel()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", doing, err)
		}
	}()
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	// Nothing was written, so that ending it can lose nothing; after a timeout it is ended already.
	defer func() { _ = tx.Rollback() }()
	return fn(ctx, snapshot{tx})
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

// Plan returns the content of a plan.
func (s *Store) Plan(ctx context.Context, hash orca.PlanHash) (content []byte, err error) {
	err = s.read(ctx, "read plan", func(ctx context.Context, tx snapshot) error {
		return tx.plan(ctx, hash, &content)
	})
	return content, err
}

func (tx snapshot) plan(ctx context.Context, hash orca.PlanHash, content *[]byte) error {
	err := tx.QueryRowContext(ctx, "SELECT content FROM plan WHERE hash = ?", hash[:]).Scan(content)
	if errors.Is(err, sql.ErrNoRows) {
		return orca.Errorf(orca.NotFound, "no plan has the hash %x", hash)
	}
	return err
}

// Backlog counts the unfinished runs.
func (s *Store) Backlog(ctx context.Context) (b orca.Backlog, err error) {
	err = s.read(ctx, "count the backlog", func(ctx context.Context, tx snapshot) error {
		return tx.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM pending), (SELECT coalesce(max(position), 0) FROM run)`).
			Scan(&b.Open, &b.Newest)
	})
	return b, err
}

const resultColumns = `o.result_status, o.result_type, o.result_timestamp, o.result_value, o.result_json, o.result_error, o.result`

// Results returns the results of succeeded outcomes of one run, in the order asked.
func (s *Store) Results(ctx context.Context, at orca.Position, algorithms []orca.AlgorithmID) ([]orca.Result, error) {
	results := make([]orca.Result, len(algorithms))
	err := s.read(ctx, "read results", func(ctx context.Context, tx snapshot) error {
		for i, id := range algorithms {
			row := tx.QueryRowContext(ctx, `SELECT `+resultColumns+` FROM outcome o JOIN algorithm a ON a.id = o.algorithm
				WHERE a.processor = ? AND a.name = ? AND a.version = ? AND o.position = ? AND o.kind = ? AND o.result_status IS NOT NULL`,
				id.Processor, id.Name, id.Version, int64(at), int64(orca.Succeeded))
			var r resultScan
			if err := row.Scan(r.targets()...); errors.Is(err, sql.ErrNoRows) {
				return orca.Errorf(orca.NotFound, "run %d has no result of %s", at, id.Full())
			} else if err != nil {
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
