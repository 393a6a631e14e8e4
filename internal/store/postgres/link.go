package postgres

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// link is the writer's connection, and the search for another one when it is lost. Whoever calls its methods is one
// goroutine at a time.
type link struct {
	target *target
	log    *slog.Logger
	conn   *session // nil while there is none
	cause  error    // why there is none
	since  time.Time

	// failing is why the last thing that was tried failed; anybody may read it.
	failing atomic.Pointer[error]

	// found holds the connection that the search has found.
	found  chan *session
	search sync.WaitGroup
	stop   context.CancelFunc
}

func newLink(t *target, conn *session, log *slog.Logger) *link {
	return &link{target: t, log: log, conn: conn, found: make(chan *session, 1), stop: func() {}}
}

// get returns the connection, or at once why there is none.
func (l *link) get() (*session, error) {
	if l.conn == nil {
		select {
		case l.conn = <-l.found:
			l.log.Info("the ledger's database is back", "store", l.target.String(), "after", time.Since(l.since).Round(time.Millisecond))
		default:
			return nil, l.cause
		}
	}
	return l.conn, nil
}

// closeGrace is how long a connection that is given up may take to close.
const closeGrace = time.Second

// lost gives up the connection, which fails, and begins to look for another one.
func (l *link) lost(ctx context.Context, cause error) {
	l.log.Error("the connection to the ledger's database is lost", "store", l.target.String(), "error", oneLine(cause))
	l.drop() //nolint:contextcheck // it has a time limit of its own
	l.cause, l.since = cause, time.Now()
	l.failing.Store(&cause)
	search, stop := context.WithCancel(ctx)
	l.stop = stop
	l.search.Go(func() { l.dial(search) })
}

func (l *link) drop() {
	if l.conn == nil {
		return
	}
	// Whoever is told to stop has to close it all the same.
	within, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	_ = l.conn.Close(within) // it is broken, or not needed any more
	l.conn = nil
}

// dial connects, again and again until it succeeds or ctx ends.
func (l *link) dial(ctx context.Context) {
	for delay := 20 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		conn, err := l.target.session(ctx)
		if err == nil {
			l.found <- conn
			l.failing.Store(nil)
			return
		}
		l.failing.Store(&err)
		wait := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
	}
}

// close ends the search and the connection.
func (l *link) close() {
	l.stop()
	l.search.Wait()
	if _, err := l.get(); err == nil {
		l.drop()
	}
}
