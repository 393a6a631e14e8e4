package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// stuck are the sessions of members that wait in the middle of a transaction for what their core sends, since before $1
// microseconds. A core that is stopped while it sends a batch, or whose machine is, leaves such a transaction behind, with what it
// has locked: its own row, so that nobody can take over from it, and perhaps the lock that orders parkings, or the counter. The
// server's own timeouts do not end it. That of idle transactions does not run between the statements of a pipeline, and that of
// statements does not while none has been received; one for transactions there is from PostgreSQL 17 on.
//
// A core gives up its own transaction after so long, so that what is ended here nobody waits for.
const stuck = `SELECT a.pid FROM pg_stat_activity a
	WHERE a.datname = current_database() AND a.usename = current_user AND a.pid <> pg_backend_pid()
		AND a.wait_event = 'ClientRead' AND a.state <> 'idle' AND a.xact_start < clock_timestamp() - $1::bigint * interval '1 microsecond'
		AND EXISTS (SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.mode = 'RowShareLock' AND l.relation = (
			SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $2 AND c.relname = 'core'))`

// endStuck ends sessions that keep others from taking over, if there is a lease that has run out and could not be taken.
func (s *Store) endStuck(ctx context.Context) error {
	var locked bool
	err := s.members.QueryRow(ctx, s.names.in(`SELECT EXISTS (SELECT 1 FROM {core} WHERE expires_at < clock_timestamp() AND epoch > 0 AND id <> $1)`),
		s.self()).Scan(&locked)
	if err != nil || !locked {
		return err
	}
	var ended []uint32
	// Were the query not materialized, the server might ask for the end of a session before it has looked which one it is.
	rows, err := s.members.Query(ctx, `WITH stuck AS MATERIALIZED (`+stuck+`) SELECT pid FROM stuck WHERE pg_terminate_backend(pid)`,
		s.cfg.WriteTimeout.Microseconds(), s.names.schema)
	if err == nil {
		ended, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
	}
	if len(ended) > 0 {
		s.cfg.Logger.Warn("transactions were ended whose core had stopped sending", "sessions", ended, "after", s.cfg.WriteTimeout.Round(time.Millisecond))
	}
	return err
}
