package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// maxTries bounds how often a transaction is repeated that lost against another one.
const maxTries = 8

// ChangeRegistry writes a change, whole or not at all. It is refused with orca.Precondition when the registry has
// another version than the one that the change was worked out from.
func (s *Store) ChangeRegistry(ctx context.Context, change orca.RegistryChange) error {
	if ctx.Err() != nil {
		return fmt.Errorf("change the registry: %w", context.Cause(ctx))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.WriteTimeout) // a transaction is not left half-way
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return notWritten(err)
	}
	defer conn.Release()
	for try := 1; ; try++ {
		err := s.changeRegistry(ctx, conn.Conn(), &change)
		if !isConflict(err) || try == maxTries {
			return s.changed(ctx, err)
		}
	}
}

// changed ends a change: the new keys are known when it returns.
func (s *Store) changed(ctx context.Context, err error) error {
	var kind orca.Kind
	switch {
	case err == nil:
		s.teller.tell(message{Around: true})
		if err := s.loadKeys(ctx); err != nil { // whoever misses one looks again
			s.cfg.Logger.Error("the keys of the registry could not be read", "store", s.target.String(), "error", err)
		}
		return nil
	case errors.As(err, &kind), isRefusal(err):
		return err
	}
	return notWritten(err)
}

// changeRegistry tries to write a change. An error without a kind means that nothing was written.
func (s *Store) changeRegistry(ctx context.Context, conn *pgx.Conn, c *orca.RegistryChange) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := s.writeChange(ctx, tx, c); err != nil {
		_ = tx.Rollback(ctx) // when that fails the connection is broken, which rolls back too
		return err
	}
	if err := tx.Commit(ctx); err != nil && !isAborted(err) {
		return errUnknown(err)
	} else if err != nil {
		return err
	}
	return nil
}

// writeChange writes a change; it waits for others that write one.
func (s *Store) writeChange(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) error {
	var version int64
	if err := tx.QueryRow(ctx, s.names.in(`SELECT registry_version FROM {ledger} FOR UPDATE`)).Scan(&version); err != nil {
		return err
	}
	if version != c.Base {
		return orca.Errorf(orca.Precondition,
			"the registry has version %d by now and the change was worked out for %d; work it out again", version, c.Base)
	}
	for _, part := range []struct {
		what  string
		write func(context.Context, pgx.Tx, *orca.RegistryChange) error
	}{
		{"window types", s.writeTypes}, {"processors", s.writeProcessors}, {"algorithms", s.writeAlgorithms}, {"instances", s.writeInstances},
	} {
		if err := part.write(ctx, tx, c); err != nil {
			return fmt.Errorf("write %s to the registry: %w", part.what, err)
		}
	}
	_, err := tx.Exec(ctx, s.names.in(`UPDATE {ledger} SET registry_version = registry_version + 1`))
	return err
}

func (s *Store) writeTypes(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) (err error) {
	n := len(c.WindowTypes)
	name, version, definition, fields := make([]string, n), make([]string, n), make([]string, n), make([]int32, n)
	for i := range c.WindowTypes {
		t := &c.WindowTypes[i]
		name[i], version[i], fields[i] = stored(t.ID.Name), stored(t.ID.Version), filterFields(t)
		if definition[i], err = toJSON(t); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, s.names.in(`INSERT INTO {window_type} AS t (name, version, definition, filter_fields)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
		ON CONFLICT (name, version) DO UPDATE SET definition = excluded.definition`), name, version, definition, fields)
	return err
}

func (s *Store) writeProcessors(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) (err error) {
	n := len(c.Processors)
	name, project, newest := make([]string, n), make([]string, n), make([]string, n)
	for i := range c.Processors {
		p := &c.Processors[i]
		name[i], project[i] = stored(p.Name), stored(p.Project)
		if newest[i], err = toJSON(p.Newest); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, s.names.in(`INSERT INTO {processor} (name, project, newest) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
		ON CONFLICT (name) DO UPDATE SET project = excluded.project, newest = excluded.newest`), name, project, newest)
	return err
}

// algorithmColumns are the rows of a change, column by column.
type algorithmColumns struct {
	processor, name, version, typeName, typeVersion, definition, runtime []string
	retired                                                              []bool
	retiredAt                                                            []int64
}

func (a *algorithmColumns) add(known *orca.KnownAlgorithm) error {
	definition, err := toJSON(&known.Algorithm)
	id, typ := known.Algorithm.ID, known.Algorithm.WindowType.ID
	a.processor, a.name, a.version = append(a.processor, stored(id.Processor)), append(a.name, stored(id.Name)), append(a.version, stored(id.Version))
	a.typeName, a.typeVersion = append(a.typeName, stored(typ.Name)), append(a.typeVersion, stored(typ.Version))
	a.definition, a.runtime = append(a.definition, definition), append(a.runtime, stored(known.Runtime))
	a.retired, a.retiredAt = append(a.retired, known.Retired), append(a.retiredAt, int64(known.RetiredAt))
	return err
}

func (s *Store) writeAlgorithms(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) error {
	var a algorithmColumns
	for i := range c.Algorithms {
		if err := a.add(&c.Algorithms[i]); err != nil {
			return err
		}
	}
	tag, err := tx.Exec(ctx, s.names.in(`INSERT INTO {algorithm} (processor, name, version, window_type, definition, runtime, retired, retired_at)
		SELECT a.processor, a.name, a.version, t.id, a.definition, a.runtime, a.retired, a.retired_at
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::bigint[])
			AS a(processor, name, version, type_name, type_version, definition, runtime, retired, retired_at)
		JOIN {window_type} t ON t.name = a.type_name COLLATE "C" AND t.version = a.type_version COLLATE "C"
		ON CONFLICT (processor, name, version) DO UPDATE SET definition = excluded.definition,
			runtime = excluded.runtime, retired = excluded.retired, retired_at = excluded.retired_at`),
		a.processor, a.name, a.version, a.typeName, a.typeVersion, a.definition, a.runtime, a.retired, a.retiredAt)
	if err == nil && int(tag.RowsAffected()) != len(c.Algorithms) {
		return s.strayType(ctx, tx, c)
	}
	return err
}

// strayType says which algorithm has a window type that neither the registry nor the change has.
func (s *Store) strayType(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) error {
	known := map[orca.WindowTypeID]bool{}
	var id orca.WindowTypeID
	if err := each(ctx, tx, s.names.in(`SELECT name, version FROM {window_type}`), nil, []any{into{&id.Name}, into{&id.Version}},
		func() error { known[id] = true; return nil }); err != nil {
		return err
	}
	i := slices.IndexFunc(c.Algorithms, func(a orca.KnownAlgorithm) bool { return !known[a.Algorithm.WindowType.ID] })
	if i < 0 {
		return errors.New("not all algorithms were written")
	}
	a := &c.Algorithms[i].Algorithm
	return orca.Errorf(orca.Invalid, "algorithm %s has the window type %s, which is not registered", a.ID.Full(), a.WindowType.ID)
}

func (s *Store) writeInstances(ctx context.Context, tx pgx.Tx, c *orca.RegistryChange) (err error) {
	n := len(c.Instances)
	address, connection, processor, runtime := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	algorithms, at := make([]string, n), make([]int64, n)
	for i := range c.Instances {
		in := &c.Instances[i]
		address[i], connection[i], processor[i], runtime[i] = stored(in.Address), stored(in.Connection), stored(in.Processor), stored(in.Runtime)
		at[i] = int64(in.RegisteredAt)
		if algorithms[i], err = encodeAnnounced(in.Algorithms); err != nil {
			return err
		}
	}
	if _, err = tx.Exec(ctx, s.names.in(`INSERT INTO {instance} (address, connection, processor, runtime, algorithms, registered_at)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
		ON CONFLICT (address) DO UPDATE SET connection = excluded.connection, processor = excluded.processor,
			runtime = excluded.runtime, algorithms = excluded.algorithms, registered_at = excluded.registered_at`),
		address, connection, processor, runtime, algorithms, at); err != nil {
		return err
	}
	forgotten := make([]string, len(c.Forgotten))
	for i, address := range c.Forgotten {
		forgotten[i] = stored(address)
	}
	_, err = tx.Exec(ctx, s.names.in(`DELETE FROM {instance} WHERE address = ANY($1::text[])`), forgotten)
	return err
}
