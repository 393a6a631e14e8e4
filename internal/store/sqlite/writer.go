package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"

	"github.com/orca-telemetry/orca/internal/orca"
)

const (
	// pageSize of a new file, in bytes.
	pageSize = 8192
	// cacheKiB is the page cache of the writing connection.
	cacheKiB = 64 << 10
)

// writer is the connection that writes, with its compiled statements and what it remembers of the file, so that no row
// needs a lookup. Whoever holds the token of Store.turn owns it.
type writer struct {
	conn *conn
	log  *os.File
	redo *redoLog
	stmt statements
	// open: batches have a transaction under way.
	open  bool
	fresh freshRuns

	// last is the highest position ever given.
	last orca.Position
	// plans, lots, types and algorithms are the integer keys of what is committed.
	plans      map[orca.PlanHash]int64
	lots       map[orca.LotHash]int64
	types      map[orca.WindowTypeID]int64
	algorithms map[orca.AlgorithmID]int64
	// lookedAt are the keys of algorithms that are looked back at by filters.
	lookedAt map[int64]bool
	// earliest is, by plan, a time_to that is in table earliest for all of the plan's nodes, or something lower.
	earliest map[int64]orca.Time
	keeper   keeper
	// noStore: a window type has fields that are not stored, so that finished runs leave bytes to scrub.
	noStore bool
}

// openWriter opens the connection, has what is only in the redo log written by SQLite, and loads what it remembers. SQLite
// recovers the write-ahead log here when needed.
func openWriter(ctx context.Context, path string, redo *redoLog) (_ *writer, err error) {
	w := &writer{redo: redo}
	w.conn, err = openConn(dsn(path,
		"mode", "rw",
		"_pragma", "journal_mode(wal)",
		"_pragma", "synchronous(normal)", // see unsynced
		"_pragma", "secure_delete(on)",
		"_pragma", "foreign_keys(off)", // Accept and Settle check what they refer to, in memory
		"_pragma", fmt.Sprintf("cache_size(-%d)", cacheKiB),
	))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if err := redo.replay(ctx, w.conn); err != nil {
		return nil, err
	}
	if err := w.stmt.prepare(w.conn, redo); err != nil {
		return nil, err
	}
	if err := w.load(ctx); err != nil {
		return nil, err
	}
	w.log, err = openLog(path)
	return w, err
}

func (w *writer) close() error {
	var err error
	if w.log != nil {
		err = w.log.Close()
	}
	return errors.Join(err, w.stmt.close(), w.conn.close())
}

// identity returns tag and secret, making them in a new ledger.
func (w *writer) identity(ctx context.Context) (tag string, secret []byte, err error) {
	row, err := w.conn.row(ctx, "SELECT tag, secret FROM ledger")
	if err != nil || row != nil {
		return text(row, 0), blob(row, 1), err
	}
	tag, secret = newIdentity()
	s, err := w.conn.prepare("INSERT INTO ledger (id, tag, secret) VALUES (1, ?, ?)")
	if err != nil {
		return "", nil, err
	}
	_, err = s.exec(ctx, tag, secret)
	return tag, secret, errors.Join(err, s.driver.Close())
}

func (w *writer) load(ctx context.Context) error {
	row, err := w.conn.row(ctx, "SELECT coalesce(max(position), 0) FROM run")
	if err != nil {
		return fmt.Errorf("read the last position: %w", err)
	}
	w.last = orca.Position(row[0].(int64))
	// All are looked up when first used.
	w.plans, w.lots = make(map[orca.PlanHash]int64), make(map[orca.LotHash]int64)
	w.earliest = make(map[int64]orca.Time)
	return w.loadKeys(ctx)
}

// loadKeys reads the integer keys of the registry. It leaves the algorithms' definitions alone: after a change of a large
// registry, emits would wait for them.
func (w *writer) loadKeys(ctx context.Context) error {
	types, algorithms, lookedAt, noStore := map[orca.WindowTypeID]int64{}, map[orca.AlgorithmID]int64{}, map[int64]bool{}, false
	for _, part := range []struct {
		what, query string
		row         func([]driver.Value) error
	}{
		{"window types", "SELECT id, definition FROM window_type", func(row []driver.Value) error {
			var t orca.WindowType
			err := json.Unmarshal([]byte(text(row, 1)), &t)
			types[t.ID], noStore = row[0].(int64), noStore || t.HasNoStore()
			return err
		}},
		{"algorithms", "SELECT id, processor, name, version FROM algorithm", func(row []driver.Value) error {
			algorithms[orca.AlgorithmID{Processor: text(row, 1), Name: text(row, 2), Version: text(row, 3)}] = row[0].(int64)
			return nil
		}},
		{"lookbacks", lookedAtQuery, func(row []driver.Value) error {
			lookedAt[row[0].(int64)] = true
			return nil
		}},
	} {
		if err := w.conn.each(ctx, part.query, part.row); err != nil {
			return fmt.Errorf("read the keys of the registry's %s: %w", part.what, err)
		}
	}
	w.types, w.algorithms, w.lookedAt, w.noStore = types, algorithms, lookedAt, noStore
	return nil
}

// batchTx is one attempt to write a batch: what its transaction adds to what the writer remembers.
type batchTx struct {
	*writer
	ttl int64
	// atOnce: SQLite is given everything at once, so that it can refuse a row.
	atOnce bool
	// keepAtOnce: see keeper.
	keepAtOnce int
	last       orca.Position
	plans      map[orca.PlanHash]int64
	lots       map[orca.LotHash]int64
	// earliest is what is lower than the writer's, and not written yet.
	earliest map[int64]orca.Time
	// clock is the newest AcceptedAt of emissions with a key; keys is how many keys were written.
	clock orca.Time
	keys  int
	// finished: a run lost its row of an open one. ended are those whose outcomes somebody may look back at.
	finished bool
	ended    []orca.Position
	// endedFresh is how many others that were fresh have ended.
	endedFresh int
	// endedWindows are those of them that may get copies, and kept how many others that were due got theirs.
	endedWindows []endedWindow
	kept         int
}

// begin goes on with the transaction that is open, or begins one.
func (w *writer) begin(ctx context.Context, cfg Config) (*batchTx, error) {
	if !w.open {
		if _, err := w.stmt.begin.exec(ctx); err != nil {
			return nil, fmt.Errorf("begin: %w", err)
		}
		w.open = true
	}
	w.redo.begin()
	return &batchTx{writer: w, ttl: int64(cfg.IdempotencyTTL), keepAtOnce: cfg.keepAtOnce, last: w.last, plans: map[orca.PlanHash]int64{},
		lots: map[orca.LotHash]int64{}, earliest: map[int64]orca.Time{}}, nil
}

// commit ends the transaction, with the number of the last record of the redo log that is in it.
func (w *writer) commit(ctx context.Context) error {
	if err := w.settleDown(ctx); err != nil {
		return err
	}
	if _, err := w.stmt.setApplied.exec(ctx, int64(w.redo.next-1)); err != nil {
		return err
	}
	if _, err := w.stmt.commit.exec(ctx); err != nil {
		return err
	}
	w.open = false
	return nil
}

// keep makes the additions of a batch that is in the redo log, or committed, the writer's own.
func (tx *batchTx) keep() {
	tx.writer.last = tx.last
	maps.Copy(tx.writer.plans, tx.plans)
	maps.Copy(tx.writer.lots, tx.lots)
	maps.Copy(tx.writer.earliest, tx.earliest)
	tx.writer.keeper.add(tx.endedWindows, tx.kept, tx.keepAtOnce)
}

// plan returns the integer key of a plan, writing the plan when it is new.
func (tx *batchTx) plan(ctx context.Context, p *orca.PlanContent) (int64, error) {
	if id, ok := tx.writer.plans[p.Hash]; ok {
		return id, nil
	}
	if id, ok := tx.plans[p.Hash]; ok {
		return id, nil
	}
	row, err := tx.stmt.planID.row(ctx, p.Hash[:])
	if err != nil {
		return 0, fmt.Errorf("look up plan: %w", err)
	}
	var id int64
	if row != nil {
		id = row[0].(int64)
	} else if id, err = tx.insertPlan(ctx, p); err != nil {
		return 0, err
	}
	tx.plans[p.Hash] = id
	return id, nil
}

// insertPlan writes a plan with its nodes, which checkPlan has seen.
func (tx *batchTx) insertPlan(ctx context.Context, p *orca.PlanContent) (int64, error) {
	row, err := tx.stmt.insertPlan.row(ctx, p.Hash[:], int64(p.Nodes), p.Content)
	if err != nil {
		return 0, fmt.Errorf("write plan: %w", err)
	}
	id := row[0].(int64)
	for _, a := range p.Algorithms {
		if _, err := tx.stmt.insertNode.exec(ctx, id, tx.algorithms[a]); err != nil {
			return 0, fmt.Errorf("write node %s of a plan: %w", a.Full(), err)
		}
	}
	return id, nil
}

// checkPlan refuses a plan whose nodes the registry does not have. A plan that is known was checked before.
func (tx *batchTx) checkPlan(p *orca.PlanContent) error {
	if _, ok := tx.writer.plans[p.Hash]; ok {
		return nil
	}
	for _, a := range p.Algorithms {
		if _, ok := tx.algorithms[a]; !ok {
			return orca.Errorf(orca.NotFound, "algorithm %s was never registered", a.Full())
		}
	}
	return nil
}
