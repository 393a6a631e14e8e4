package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// ChangeRegistry writes a change, whole or not at all. It is refused with orca.Precondition when the registry has
// another version than the one that the change was worked out from.
func (s *Store) ChangeRegistry(ctx context.Context, change orca.RegistryChange) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-s.turn }()
	ctx = context.WithoutCancel(ctx) // a transaction is not left half-way
	if err := s.reopen(ctx); err != nil {
		return err
	}
	w, err := s.writer, s.flush(ctx)
	if err == nil {
		err = w.conn.exec(ctx, "BEGIN IMMEDIATE")
	}
	if err != nil {
		s.fault(err)
		return notWritten(err)
	}
	if err := w.changeRegistry(ctx, change); err != nil {
		return s.giveUp(ctx, err)
	}
	if err := s.commitDurably(ctx, w); err != nil {
		s.fault(err)
		switch { // see judge
		case errors.Is(err, errHole):
			return notWritten(err)
		case isFull(err):
			return errFull(err)
		}
		return errUnknown(err)
	}
	s.stats.wrote()
	if err := w.loadKeys(ctx); err != nil {
		s.fault(err) // whoever comes next opens it again, and loads them
	}
	return nil
}

// takeTurn waits for the writer.
func (s *Store) takeTurn(ctx context.Context) error {
	if ctx.Err() == nil {
		select {
		case s.turn <- struct{}{}:
			return nil
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("wait for the writer of the ledger: %w", context.Cause(ctx))
}

// giveUp ends a transaction that failed before its commit. What Orca's rules or the database refuse leaves the
// connection as it was.
func (s *Store) giveUp(ctx context.Context, err error) error {
	rollback := s.writer.conn.exec(ctx, "ROLLBACK")
	var kind orca.Kind
	if errors.As(err, &kind) || isRefusal(err) {
		if rollback != nil {
			s.fault(rollback)
		}
		return err
	}
	s.fault(err)
	return notWritten(err)
}

func (w *writer) changeRegistry(ctx context.Context, c orca.RegistryChange) error {
	row, err := w.conn.row(ctx, "SELECT registry_version FROM ledger")
	if err != nil {
		return fmt.Errorf("read registry version: %w", err)
	}
	if version := row[0].(int64); version != c.Base {
		return orca.Errorf(orca.Precondition,
			"the registry has version %d by now and the change was worked out for %d; work it out again", version, c.Base)
	}
	if err := w.checkRoom(&c); err != nil {
		return err
	}
	if err := w.checkTypes(&c); err != nil {
		return err
	}
	looks := lookedAtRows(&c)
	for _, part := range []struct {
		what, query string
		count       int
		row         func(i int) ([]driver.Value, error)
	}{
		{"window type", `INSERT INTO window_type (name, version, definition, filter_fields) VALUES (?, ?, ?, ?)
			ON CONFLICT (name, version) DO UPDATE SET definition = excluded.definition`,
			len(c.WindowTypes), func(i int) ([]driver.Value, error) { return windowTypeRow(&c.WindowTypes[i]) }},
		{"processor", `INSERT OR REPLACE INTO processor (name, project, newest) VALUES (?, ?, ?)`,
			len(c.Processors), func(i int) ([]driver.Value, error) { return processorRow(&c.Processors[i]) }},
		{"algorithm", `INSERT INTO algorithm (processor, name, version, window_type, definition, runtime, retired, retired_at)
			VALUES (?, ?, ?, (SELECT id FROM window_type WHERE name = ? AND version = ?), ?, ?, ?, ?)
			ON CONFLICT (processor, name, version) DO UPDATE SET definition = excluded.definition,
				runtime = excluded.runtime, retired = excluded.retired, retired_at = excluded.retired_at`,
			len(c.Algorithms), func(i int) ([]driver.Value, error) { return algorithmRow(&c.Algorithms[i]) }},
		{"lookback", insertLookedAt, len(looks), func(i int) ([]driver.Value, error) { return looks[i], nil }},
		{"instance", `INSERT OR REPLACE INTO instance (address, connection, processor, runtime, algorithms, registered_at)
			VALUES (?, ?, ?, ?, ?, ?)`,
			len(c.Instances), func(i int) ([]driver.Value, error) { return instanceRow(&c.Instances[i]) }},
		{"forgotten instance", `DELETE FROM instance WHERE address = ?`,
			len(c.Forgotten), func(i int) ([]driver.Value, error) { return []driver.Value{c.Forgotten[i]}, nil }},
		{"version", `UPDATE ledger SET registry_version = registry_version + 1`,
			1, func(int) ([]driver.Value, error) { return nil, nil }},
	} {
		if err := w.conn.execEach(ctx, part.query, part.count, part.row); err != nil {
			return fmt.Errorf("write %s to the registry: %w", part.what, err)
		}
	}
	return nil
}

// checkRoom refuses more algorithms than outcomes can name.
func (w *writer) checkRoom(c *orca.RegistryChange) error {
	n := len(w.algorithms)
	for i := range c.Algorithms {
		if _, known := w.algorithms[c.Algorithms[i].Algorithm.ID]; !known {
			n++
		}
	}
	if n > maxAlgorithms {
		return orca.Errorf(orca.Exhausted, "the ledger would have %d algorithms, all versions counted, and has room for %d: begin another ledger",
			n, maxAlgorithms)
	}
	return nil
}

// checkTypes refuses algorithms on window types that neither the registry nor the change has.
func (w *writer) checkTypes(c *orca.RegistryChange) error {
	for i := range c.Algorithms {
		a := &c.Algorithms[i].Algorithm
		_, known := w.types[a.WindowType.ID]
		if !known && !slices.ContainsFunc(c.WindowTypes, func(t orca.WindowType) bool { return t.ID == a.WindowType.ID }) {
			return orca.Errorf(orca.Invalid, "algorithm %s has the window type %s, which is not registered", a.ID.Full(), a.WindowType.ID)
		}
	}
	return nil
}

func windowTypeRow(t *orca.WindowType) ([]driver.Value, error) {
	definition, err := json.Marshal(t)
	fields := int64(0)
	for _, f := range t.Fields {
		if f.Filter {
			fields++
		}
	}
	return []driver.Value{t.ID.Name, t.ID.Version, string(definition), fields}, err
}

func processorRow(p *orca.Processor) ([]driver.Value, error) {
	newest, err := json.Marshal(p.Newest)
	return []driver.Value{p.Name, p.Project, string(newest)}, err
}

func algorithmRow(a *orca.KnownAlgorithm) ([]driver.Value, error) {
	definition, err := json.Marshal(&a.Algorithm)
	id, typ := a.Algorithm.ID, a.Algorithm.WindowType.ID
	retired := int64(0)
	if a.Retired {
		retired = 1
	}
	return []driver.Value{id.Processor, id.Name, id.Version, typ.Name, typ.Version, string(definition), a.Runtime, retired,
		int64(a.RetiredAt)}, err
}

func instanceRow(i *orca.Instance) ([]driver.Value, error) {
	algorithms, err := encodeAnnounced(i.Algorithms)
	return []driver.Value{i.Address, i.Connection, i.Processor, i.Runtime, string(algorithms), int64(i.RegisteredAt)}, err
}
