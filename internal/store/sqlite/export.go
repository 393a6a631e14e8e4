package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Export reads the tables of a ledger, which no core uses meanwhile. One goroutine at a time may use it.
type Export struct{ store *Store }

// OpenExport opens the ledger in a file, and brings its schema up to date.
func OpenExport(ctx context.Context, path string) (*Export, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, orca.Errorf(orca.NotFound, "store %s: there is no such file", path)
	}
	s, err := Open(ctx, path, Config{})
	if err != nil {
		return nil, err
	}
	return &Export{s}, nil
}

// Close lets a core use the ledger again.
func (e *Export) Close() error { return e.store.Close() }

// Tag is the ledger's.
func (e *Export) Tag() string { return e.store.Tag() }

// State is a text that differs when a core has worked on the ledger in between, as far as can be told without reading all
// of it.
func (e *Export) State(ctx context.Context) (string, error) {
	row, err := e.store.writer.conn.row(ctx, `SELECT (SELECT registry_version FROM ledger), (SELECT coalesce(max(position), 0) FROM run),
		(SELECT count(*) FROM pending), (SELECT count(*) FROM parked), (SELECT count(*) FROM expected), (SELECT count(*) FROM emit_key)`)
	if err != nil {
		return "", fmt.Errorf("look at the state of store %s: %w", e.store.path, err)
	}
	return strings.Trim(fmt.Sprint(row), "[]"), nil
}

// errEnough ends a read that has found enough.
var errEnough = errors.New("enough")

// Rows calls take with the columns of a table's rows, in the order of the first ones, which are its key, until take returns
// false. Where after is given it begins after that key. What take is given is its own: int64, float64, string, []byte or nil.
func (e *Export) Rows(ctx context.Context, table string, columns []string, key int, after []int64, take func([]any) (bool, error)) error {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = `"` + c + `"`
	}
	order, args := strings.Join(quoted[:key], ", "), make([]driver.Value, 0, key)
	for _, a := range after {
		args = append(args, a)
	}
	if table == "outcome" { // its key is one column
		order = "key"
		if after != nil {
			args = []driver.Value{outcomeKey(after[0], after[1])}
		}
	}
	query := `SELECT ` + strings.Join(quoted, ", ") + ` FROM "` + table + `"`
	if after != nil {
		query += ` WHERE (` + order + `) > (?` + strings.Repeat(", ?", len(args)-1) + `)`
	}
	err := e.store.writer.conn.each(ctx, query+` ORDER BY `+order, func(row []driver.Value) error {
		own := make([]any, len(row))
		for i, v := range row {
			own[i] = v
		}
		more, err := take(own)
		if err == nil && !more {
			err = errEnough
		}
		return err
	}, args...)
	if err != nil && !errors.Is(err, errEnough) {
		return fmt.Errorf("read table %s of store %s: %w", table, e.store.path, err)
	}
	return nil
}
