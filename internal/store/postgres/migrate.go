package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// migrations are applied in the order of their names; the n-th brings the schema to version n.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrateTries bounds how often a migration is begun that others begin at the same time.
const migrateTries = 20

// migrate brings the schema up to date, in one transaction that holds a lock on the table of versions: of cores that start
// at once one does it, and the others wait. A schema that is up to date is only looked at, so that a role without the right
// to change it can serve.
func migrate(ctx context.Context, conn *pgx.Conn, n *names) error {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		version, err := schemaVersion(ctx, conn, n)
		switch {
		case err != nil:
			return fmt.Errorf("read the version of schema %s: %w", n.schema, err)
		case version > len(files):
			return orca.Errorf(orca.Precondition, "its schema %s was written by a newer orca (schema %d, this one knows %d); "+
				"start that version, or choose another schema", n.schema, version, len(files))
		case version == len(files):
			return nil
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return upgrade(ctx, tx, n, files) })
		if err != nil && (!isRace(err) || try == migrateTries) {
			return fmt.Errorf("bring schema %s up to date: %w", n.schema, err)
		}
	}
}

// schemaVersion returns the version of the schema, 0 when there is none.
func schemaVersion(ctx context.Context, conn *pgx.Conn, n *names) (version int, err error) {
	err = conn.QueryRow(ctx, n.in(`SELECT coalesce(max(version), 0) FROM {schema_version}`)).Scan(&version)
	if c := code(err); c == noTable || c == noSchema {
		return 0, nil
	}
	return version, err
}

// isRace reports whether somebody else made the same schema or table at the same time.
func isRace(err error) bool {
	switch code(err) {
	case uniqueViolation, "42P06", "42P07", "42710":
		return true
	}
	return isConflict(err)
}

func upgrade(ctx context.Context, tx pgx.Tx, n *names, files []string) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)`, n.schema).Scan(&there); err != nil {
		return err
	}
	if !there { // IF NOT EXISTS would ask for the right to make one even when it is there
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{n.schema}.Sanitize()); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS {schema_version} (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
		`LOCK TABLE {schema_version} IN ACCESS EXCLUSIVE MODE`,
	} {
		if _, err := tx.Exec(ctx, n.in(statement)); err != nil {
			return err
		}
	}
	var version int
	if err := tx.QueryRow(ctx, n.in(`SELECT coalesce(max(version), 0) FROM {schema_version}`)).Scan(&version); err != nil {
		return err
	}
	for i := version; i < len(files); i++ {
		if err := apply(ctx, tx, n, files[i], i+1); err != nil {
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, n *names, file string, version int) error {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().Exec(ctx, n.in(string(text))).ReadAll() // it has many statements
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, n.in(`INSERT INTO {schema_version} (version) VALUES ($1)`), version)
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("its version was not written")
	}
	return err
}
