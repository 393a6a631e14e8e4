package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	modernc "modernc.org/sqlite"
)

// dsn names the database file with what every connection to it sets: pairs of a parameter of the driver and its value.
// SQLite reads the name as a URI, so the path is escaped, and on Windows begins with a slash.
func dsn(path string, params ...string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path}
	q := url.Values{"_dqs": {"0"}, "_error_rc": {"1"}}
	for i := 0; i < len(params); i += 2 {
		q.Add(params[i], params[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

// conn is a connection of the driver itself. One goroutine at a time may use it and its statements.
type conn struct{ driver driver.Conn }

func openConn(dsn string) (*conn, error) {
	c, err := (&modernc.Driver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	return &conn{driver: c}, nil
}

// exec runs statements that take no arguments.
func (c *conn) exec(ctx context.Context, query string) error {
	_, err := c.driver.(driver.ExecerContext).ExecContext(ctx, query, nil)
	return err
}

// prepare returns the compiled statement, which the caller closes before the connection.
func (c *conn) prepare(query string) (*stmt, error) {
	s, err := c.driver.Prepare(query)
	if err != nil {
		return nil, fmt.Errorf("prepare %q: %w", query, err)
	}
	return &stmt{driver: s}, nil
}

// each runs a query once and calls row with every row; the slice is reused.
func (c *conn) each(ctx context.Context, query string, row func([]driver.Value) error, args ...driver.Value) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	return s.rows(ctx, row, args...)
}

// execEach compiles a statement and runs it n times, with the arguments that row makes.
func (c *conn) execEach(ctx context.Context, query string, n int, row func(int) ([]driver.Value, error)) (err error) {
	if n == 0 {
		return nil
	}
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	for i := range n {
		args, err := row(i)
		if err != nil {
			return err
		}
		if _, err := s.exec(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// row runs a query once and returns its first row, or nil when there is none.
func (c *conn) row(ctx context.Context, query string) (_ []driver.Value, err error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.driver.Close()) }()
	return s.row(ctx)
}

func (c *conn) close() error { return c.driver.Close() }

// stmt is a compiled statement. Its argument list is reused from call to call.
type stmt struct {
	driver driver.Stmt
	args   []driver.NamedValue
	// redo is told of each run, with the number of the statement; nil when it changes nothing.
	redo   *redoLog
	number int
}

// note adds a run to the redo log that is to be, or has gone well.
func (s *stmt) note(args []driver.Value) {
	if s.redo != nil {
		s.redo.add(s.number, args)
	}
}

// bind takes values of the types int64, float64, string, []byte and nil alone; the driver gets them as they are.
func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs the statement and returns how many rows it changed.
func (s *stmt) exec(ctx context.Context, args ...driver.Value) (int64, error) {
	n, err := s.run(ctx, args)
	if err == nil {
		s.note(args)
	}
	return n, err
}

// run is exec for what the redo log has.
func (s *stmt) run(ctx context.Context, args []driver.Value) (int64, error) {
	res, err := s.driver.(driver.StmtExecContext).ExecContext(ctx, s.bind(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// rows runs the query and calls each with every row; the slice is reused.
func (s *stmt) rows(ctx context.Context, each func([]driver.Value) error, args ...driver.Value) (err error) {
	rows, err := s.driver.(driver.StmtQueryContext).QueryContext(ctx, s.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			s.note(args)
			return nil
		case err != nil:
			return err
		}
		if err := each(values); err != nil {
			return err
		}
	}
}

// row returns the first row, or nil when there is none.
func (s *stmt) row(ctx context.Context, args ...driver.Value) ([]driver.Value, error) {
	var first []driver.Value
	err := s.rows(ctx, func(v []driver.Value) error {
		if first == nil {
			first = append(first, v...)
		}
		return nil
	}, args...)
	return first, err
}
