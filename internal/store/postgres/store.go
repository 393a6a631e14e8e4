package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Config bounds a Store. The zero value is what a core uses.
type Config struct {
	// Schema holds the tables; it is made when it is not there. "orca" when empty.
	Schema string
	// BatchRows is how many rows of the queue go into one transaction at most; 4,096 when zero.
	BatchRows int
	// BatchBytes is how many bytes of payload go into one transaction at most; a larger row goes alone. 16 MiB when zero.
	BatchBytes int
	// QueueBytes is the payload that may wait for the writer; Accept refuses above it. Settle never refuses, since
	// its callers bound what they have in flight. 256 MiB when zero.
	QueueBytes int
	// IdempotencyTTL is how long an idempotency key is remembered, by the AcceptedAt of the emissions; 24 h when zero.
	IdempotencyTTL time.Duration
	// Direct is the URL of the same database past any pooler, for listening to other cores and for changes of the schema. Without it
	// the schema is changed over the other URL, and nothing is heard. Default none.
	Direct string
	// Readers is the number of connections for reads and for changes of the registry; 8 when zero.
	Readers int
	// ReadTimeout cuts off a read; 10 s when zero.
	ReadTimeout time.Duration
	// WriteTimeout is how long a transaction may take before its connection counts as lost; 10 s when zero.
	WriteTimeout time.Duration
	// Logger is told of failed commits and lost connections; silent when nil.
	Logger *slog.Logger
	// migrations are those of this version; others in tests.
	migrations fs.FS
}

func (c Config) withDefaults() Config {
	c.Schema = cmp.Or(c.Schema, "orca")
	c.BatchRows = cmp.Or(c.BatchRows, 4096)
	c.BatchBytes = cmp.Or(c.BatchBytes, 16<<20)
	c.QueueBytes = cmp.Or(c.QueueBytes, 256<<20)
	c.IdempotencyTTL = cmp.Or(c.IdempotencyTTL, 24*time.Hour)
	c.Readers = cmp.Or(c.Readers, 8)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 10*time.Second)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 10*time.Second)
	if c.migrations == nil {
		c.migrations = migrations
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is the durable registry and ledger in a PostgreSQL database. Its methods may be called from any goroutine.
type Store struct {
	cfg    Config
	target *target
	direct *target // nil when there is none
	names  *names
	tag    string
	secret []byte
	queue  *queue
	stats  counters
	pool   *pgxpool.Pool

	// link and memory belong to Serve.
	link   *link
	memory memory

	// members is for the lease, so that it never waits for a read. member is nil until Join.
	members *pgxpool.Pool
	member  atomic.Pointer[member]
	fencing sync.Once
	fenced  chan struct{} // closed when another core has taken over

	teller   teller
	listener listener
	// listeners are the other cores that listen. It belongs to whoever renews the lease.
	listeners map[int32]bool

	// unsure: it is not known what became of something that this core sent, so that its epoch is raised before it writes anew.
	unsure atomic.Bool
	// freed has a token when this core has freed runs that waited.
	freed signal
	// unfreed: runs may be parked that wait for outcomes which are settled.
	unfreed atomic.Bool

	keys    atomic.Pointer[keys]
	loading sync.Mutex // held while the keys are read
	// seen is a position up to which all runs are known to exist.
	seen atomic.Int64
}

// Open connects to the database that a URL of the form postgres://user:password@host:port/database names, and brings the
// schema up to date. It fails when the database cannot be reached or used, saying what to do.
func Open(ctx context.Context, url string, cfg Config) (*Store, error) {
	s := &Store{cfg: cfg.withDefaults(), fenced: make(chan struct{}), freed: make(signal, 1)}
	s.names, s.queue, s.memory = &names{schema: s.cfg.Schema}, newQueue(s.cfg), newMemory()
	s.teller.wake, s.listener.told = make(signal, 1), make(signal, 1)
	var err error
	if s.target, err = parseTarget("store", url); err != nil {
		return nil, err
	}
	if cfg.Direct != "" {
		if s.direct, err = parseTarget("store-direct", cfg.Direct); err != nil {
			return nil, err
		}
		if err := s.migrateDirect(ctx); err != nil {
			return nil, s.direct.explain(s.cfg.Schema, err)
		}
	}
	if err := s.open(ctx); err != nil {
		s.disconnect() //nolint:contextcheck // it has a time limit of its own
		return nil, s.target.explain(s.cfg.Schema, err)
	}
	return s, nil
}

// migrateDirect brings the schema up to date over the direct connection, if that leads to the same database as the other one.
func (s *Store) migrateDirect(ctx context.Context) error {
	direct, err := s.direct.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = direct.Close(ctx) }() // it has done what it was for
	if err := s.direct.check(ctx, direct, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	same, err := databaseOf(ctx, direct)
	if err != nil {
		return err
	}
	conn, err := s.target.connect(ctx)
	if err != nil {
		return nil // which is said when it is opened
	}
	defer func() { _ = conn.Close(ctx) }() // likewise
	if of, err := databaseOf(ctx, conn); err == nil && of != same {
		return orca.Errorf(orca.Precondition, "it is another database than that of --store, %s: give the same one, past the pooler", s.target)
	}
	return migrate(ctx, direct, s.names, s.cfg.migrations)
}

func (s *Store) open(ctx context.Context) error {
	conn, err := s.target.session(ctx)
	if err != nil {
		return err
	}
	s.link = newLink(s.target, conn, s.cfg.Logger)
	if err := s.target.check(ctx, conn.Conn, s.cfg.Logger); err != nil {
		return err
	}
	if err := migrate(ctx, conn.Conn, s.names, s.cfg.migrations); err != nil {
		return err
	}
	if err := s.identify(ctx, conn.Conn); err != nil {
		return fmt.Errorf("read the ledger's secret: %w", err)
	}
	var newest int64
	// The lock waits for what a core that was killed a moment ago had sent.
	if err := conn.QueryRow(ctx, s.names.in(`SELECT position FROM {counter} FOR UPDATE`)).Scan(&newest); err != nil {
		return fmt.Errorf("read the last position: %w", err)
	}
	s.saw(orca.Position(newest))
	if s.pool, err = s.target.pool(ctx, s.cfg.Readers, true); err != nil {
		return err
	}
	if s.members, err = s.target.pool(ctx, memberConns, false); err != nil {
		return err
	}
	return s.loadKeys(ctx)
}

// identify reads tag and secret. Whoever is first makes them.
func (s *Store) identify(ctx context.Context, conn *pgx.Conn) error {
	const query = `SELECT tag, secret FROM {ledger}`
	err := conn.QueryRow(ctx, s.names.in(query)).Scan(&s.tag, &s.secret)
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	tag, secret := newIdentity()
	if _, err := conn.Exec(ctx, s.names.in(`INSERT INTO {ledger} (id, tag, secret) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING`), tag, secret); err != nil {
		return err
	}
	return conn.QueryRow(ctx, s.names.in(query)).Scan(&s.tag, &s.secret)
}

// Close closes the store. Serve must have returned. What was queued and never served is answered with
// orca.Unavailable.
func (s *Store) Close() error {
	for _, r := range s.queue.abandon() {
		r.fail(errStopped())
	}
	s.disconnect()
	return nil
}

func (s *Store) disconnect() {
	for _, pool := range []*pgxpool.Pool{s.pool, s.members} {
		if pool != nil {
			pool.Close()
		}
	}
	if s.link != nil {
		s.link.close()
	}
}

// signal holds a token when there is something to look at.
type signal chan struct{}

func (s signal) tell() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// saw takes note that all runs up to a position exist.
func (s *Store) saw(p orca.Position) {
	for {
		known := s.seen.Load()
		if int64(p) <= known || s.seen.CompareAndSwap(known, int64(p)) {
			return
		}
	}
}

// Tag returns the short random name of this ledger, made when it was created.
func (s *Store) Tag() string { return s.tag }

// Secret returns the 32 random bytes, made when the ledger was created, that key the hashes of noStore fields.
func (s *Store) Secret() []byte { return bytes.Clone(s.secret) }

// String names the database and the schema, without a password.
func (s *Store) String() string { return s.target.String() }

// Failing returns why the ledger cannot be written, by the last attempt; nil when it can. While nothing is to be written it
// is the search for a lost connection that tells.
func (s *Store) Failing() error {
	if err := s.link.failing.Load(); err != nil {
		return errors.New(oneLine(*err))
	}
	return nil
}
