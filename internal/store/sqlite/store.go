package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Config bounds a Store. The zero value is what a core uses.
type Config struct {
	// BatchRows is how many rows of the queue go into one transaction at most; 4,096 when zero.
	BatchRows int
	// BatchBytes is how many bytes of payload go into one transaction at most; a larger row goes alone. 16 MiB when zero.
	BatchBytes int
	// QueueBytes is the payload that may wait for the writer; Accept refuses above it. Settle never refuses, since
	// its callers bound what they have in flight. 256 MiB when zero.
	QueueBytes int
	// IdempotencyTTL is how long an idempotency key is remembered, by the AcceptedAt of the emissions; 24 h when zero.
	IdempotencyTTL time.Duration
	// Readers is the number of read-only connections; 4 when zero.
	Readers int
	// ReadTimeout cuts off a read; 10 s when zero.
	ReadTimeout time.Duration
	// WALBytes is the size of the write-ahead log above which a checkpoint waits for readers; 64 MiB when zero.
	WALBytes int64
	// RedoBytes is the length of the redo log at which its content is committed by SQLite; an eighth of WALBytes when zero.
	RedoBytes int64
	// CheckpointWait is how long a checkpoint, and every write with it, waits for readers; 500 ms when zero. When the log
	// has grown to four times WALBytes it waits until all reads that were under way have ended.
	CheckpointWait time.Duration
	// ScrubAfter is how long the write-ahead log may hold noStore metadata of a finished run; 30 s when zero.
	ScrubAfter time.Duration
	// keepAtOnce is how many windows wait for one another before lookbacks find copies of them; 8,192 when zero. That is some
	// for each of a thousand assets, and a megabyte.
	keepAtOnce int
	// Logger is told of failed commits and checkpoints; silent when nil.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.BatchRows = cmp.Or(c.BatchRows, 4096)
	c.BatchBytes = cmp.Or(c.BatchBytes, 16<<20)
	c.QueueBytes = cmp.Or(c.QueueBytes, 256<<20)
	c.IdempotencyTTL = cmp.Or(c.IdempotencyTTL, 24*time.Hour)
	c.Readers = cmp.Or(c.Readers, 4)
	c.ReadTimeout = cmp.Or(c.ReadTimeout, 10*time.Second)
	c.WALBytes = cmp.Or(c.WALBytes, 64<<20)
	c.RedoBytes = cmp.Or(c.RedoBytes, c.WALBytes/8)
	c.CheckpointWait = cmp.Or(c.CheckpointWait, 500*time.Millisecond)
	c.ScrubAfter = cmp.Or(c.ScrubAfter, 30*time.Second)
	c.keepAtOnce = cmp.Or(c.keepAtOnce, 8192)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Store is the durable registry and ledger in one SQLite file. Its methods may be called from any goroutine.
type Store struct {
	path   string
	cfg    Config
	tag    string
	secret []byte
	lock   *fileLock
	queue  *queue
	stats  counters

	readers *sql.DB
	reads   *readStatements

	// turn holds one token while somebody uses writer. writer is nil after a failure, until it is opened again.
	turn   chan struct{}
	writer *writer
	// pastPart is how many windows a walk into the past looks at in one snapshot, or as many more as share an interval.
	pastPart int
	syncs    *syncer
	redo     *redoLog
	// behind: the transaction that is open has batches that are answered, or will be, and that reads do not see.
	behind atomic.Bool
	// commit ends a transaction, and appendRedo writes the record of a batch; tests put failing ones here.
	commit     func(context.Context, *writer) error
	appendRedo func() error
	// fold is emptyLog for the end.
	fold func() (bool, error)
}

// Open opens the store at path, creating the file and its folder where needed, and brings its schema up to date. It
// fails at once when another process has the store open.
func Open(ctx context.Context, path string, cfg Config) (*Store, error) {
	s := &Store{
		cfg:      cfg.withDefaults(),
		turn:     make(chan struct{}, 1),
		pastPart: 10_000,
		syncs:    newSyncer(),
	}
	s.commit = func(ctx context.Context, w *writer) error { return w.commit(ctx) }
	s.appendRedo = func() error { return s.redo.append() }
	s.fold = func() (bool, error) { return s.emptyLog(context.WithoutCancel(ctx), s.cfg.CheckpointWait) }
	go s.syncs.run()
	s.queue = newQueue(s.cfg)
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.release())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.path, err = preparePath(path); err != nil {
		return err
	}
	if s.lock, err = lockFile(s.path); err != nil {
		return err
	}
	fresh, err := prepareFile(s.path)
	if err != nil {
		return err
	}
	if s.redo, err = openRedo(s.path, s.cfg.RedoBytes); err != nil {
		return err
	}
	if fresh {
		if err := create(ctx, s.path); err != nil {
			return explain(s.path, err)
		}
	}
	if err := s.redo.recover(ctx, s.path, fresh); err != nil {
		return explain(s.path, err)
	}
	if err := migrate(ctx, s.path); err != nil {
		return explain(s.path, err)
	}
	if s.writer, err = openWriter(ctx, s.path, s.redo); err != nil {
		return explain(s.path, err)
	}
	if s.tag, s.secret, err = s.writer.identity(ctx); err != nil {
		return explain(s.path, err)
	}
	if err := s.mend(ctx); err != nil { // a sync may have failed before a kill
		s.syncs.hole.Store(true)
	}
	if err := s.openReaders(ctx); err != nil {
		return explain(s.path, err)
	}
	return nil
}

// Close closes the store. Serve must have returned. What was queued and never served is answered with
// orca.Unavailable.
func (s *Store) Close() error {
	for _, r := range s.queue.abandon() {
		r.fail(errStopped())
	}
	return s.release()
}

// release gives back whatever open got hold of: readers first, so that nothing keeps the writer from folding both logs into
// the file, and the lock last.
func (s *Store) release() error {
	var errs []error
	s.syncs.close()
	if s.readers != nil {
		errs = append(errs, closeReaders(s.readers))
	}
	folded := false
	if s.writer != nil {
		var err error
		folded, err = s.fold()
		errs = append(errs, err, s.writer.close())
	}
	if s.redo != nil {
		errs = append(errs, s.redo.close(folded))
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store %s: %w", s.path, err)
	}
	return nil
}

// closePatience bounds the wait for reads that were cut off.
const closePatience = 10 * time.Second

// closeReaders closes connections and waits for those in use: reads that were cut off give theirs back a moment later,
// and until then the file is locked to whoever opens it next.
func closeReaders(db *sql.DB) error {
	err := db.Close()
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for db.Stats().OpenConnections > 0 {
		select {
		case <-again.C:
		case <-patience.C:
			return errors.Join(err, fmt.Errorf("%d reads do not end", db.Stats().OpenConnections))
		}
	}
	return err
}

// Tag returns the short random name of this ledger, made when it was created.
func (s *Store) Tag() string { return s.tag }

// Secret returns the 32 random bytes, made when the ledger was created, that key the hashes of noStore fields.
func (s *Store) Secret() []byte { return bytes.Clone(s.secret) }
