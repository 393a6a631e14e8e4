package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// session is the writer's connection.
//
// Where the session at the server is this connection's own, statements are prepared there, each when it is first needed: to
// parse and plan them took most of the server's time. A pooler may give every transaction another session. It has to answer
// for all of them, so it greets with a key of its own, and the session that answers is another than the one that greeted.
type session struct {
	*pgx.Conn
	own bool
}

// plans has the server plan for tables that grow. A statement is planned once for long, perhaps while its tables are empty, and
// what is cheapest then reads all of them each time. Every one of the writer's finds its rows by keys.
const plans = `SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off`

// session connects for the writer.
func (t *target) session(ctx context.Context) (*session, error) {
	conn, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{Conn: conn}
	if t.asTold || t.pooled.Load() {
		return s, nil
	}
	if err := s.settle(ctx); err != nil {
		_ = conn.Close(ctx) // the first error counts
		return nil, err
	}
	return s, nil
}

// settle finds out whose the session is, and sets up what is this connection's own.
func (s *session) settle(ctx context.Context) error {
	var pid uint32
	if err := s.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeExec).Scan(&pid); err != nil {
		return fmt.Errorf("ask which session answers: %w", err)
	}
	if s.own = pid == s.PgConn().PID(); !s.own {
		return nil
	}
	if _, err := s.Exec(ctx, plans, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("set up the session: %w", err)
	}
	return nil
}

// prepare prepares the statements of a batch that are not.
func (s *session) prepare(ctx context.Context, b *pgx.Batch) error {
	if !s.own {
		return nil
	}
	for _, q := range b.QueuedQueries {
		if _, err := s.Prepare(ctx, q.SQL, q.SQL); err != nil {
			return err
		}
	}
	return nil
}

// send runs statements as one transaction in one round trip: what is sent before one synchronization is one.
func (s *session) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return s.SendBatch(ctx, b).Close()
}
