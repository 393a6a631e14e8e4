package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// migrations are applied in the order of their names; the n-th brings the schema to version n. Cores of two versions may share a
// ledger while one after the other is upgraded: a core that knows fewer migrations than the schema has goes on, and starts, as
// long as the schema does not ask for more. A migration that breaks those before it says so in a line of its own,
//
//	-- needs: 7
//
// which names the lowest version that a core has to know. It stands until a later one names another.
//
//go:embed migrations/*.sql
var migrations embed.FS

// migrateTries bounds how often a migration is begun that others begin at the same time.
const migrateTries = 20

// migrate brings the schema up to date, in one transaction that holds a lock on the table of versions: of cores that start
// at once one does it, and the others wait. A schema that is up to date is only looked at, so that a role without the right
// to change it can serve.
func migrate(ctx context.Context, conn *pgx.Conn, n *names, from fs.FS) error {
	files, err := fs.Glob(from, "migrations/*.sql")
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		version, needs, err := schemaVersion(ctx, conn, n)
		switch {
		case err != nil:
			return fmt.Errorf("read the version of schema %s: %w", n.schema, err)
		case needs > len(files):
			return orca.Errorf(orca.Precondition, "its schema %s was written by a newer orca (schema %d, which needs %d; this one knows %d); "+
				"start that version, or choose another schema", n.schema, version, needs, len(files))
		case version >= len(files):
			return nil
		}
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return upgrade(ctx, tx, n, from, files) })
		if err != nil && (!isRace(err) || try == migrateTries) {
			return fmt.Errorf("bring schema %s up to date: %w", n.schema, err)
		}
	}
}

// schemaVersion returns the version of the schema, 0 when there is none, and the lowest that a core has to know.
func schemaVersion(ctx context.Context, conn *pgx.Conn, n *names) (version, needs int, err error) {
	err = conn.QueryRow(ctx, n.in(`SELECT coalesce(max(version), 0), coalesce(max(needs), 0) FROM {schema_version}`)).Scan(&version, &needs)
	if c := code(err); c == noTable || c == noSchema {
		return 0, 0, nil
	}
	return version, needs, err
}

// needsLine is what a migration says of the cores before it.
var needsLine = regexp.MustCompile(`(?m)^-- needs: (\d+)$`)

// needsOf returns the lowest version that a core has to know once a migration was applied; 1 when it does not say.
func needsOf(migration []byte) (int, error) {
	m := needsLine.FindSubmatch(migration)
	if m == nil {
		return 1, nil
	}
	return strconv.Atoi(string(m[1]))
}

// isRace reports whether somebody else made the same schema or table at the same time.
func isRace(err error) bool {
	switch code(err) {
	case uniqueViolation, "42P06", "42P07", "42710":
		return true
	}
	return isConflict(err)
}

func upgrade(ctx context.Context, tx pgx.Tx, n *names, from fs.FS, files []string) error {
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
		`CREATE TABLE IF NOT EXISTS {schema_version} (version integer PRIMARY KEY, needs integer NOT NULL,
			applied_at timestamptz NOT NULL DEFAULT now())`,
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
		if err := apply(ctx, tx, n, from, files[i], i+1); err != nil {
			return fmt.Errorf("%s: %w", files[i], err)
		}
	}
	return nil
}

func apply(ctx context.Context, tx pgx.Tx, n *names, from fs.FS, file string, version int) error {
	text, err := fs.ReadFile(from, file)
	if err != nil {
		return err
	}
	needs, err := needsOf(text)
	if err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().Exec(ctx, n.in(string(text))).ReadAll() // it has many statements
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, n.in(`INSERT INTO {schema_version} (version, needs) VALUES ($1, $2)`), version, needs)
	if err == nil && tag.RowsAffected() != 1 {
		err = errors.New("its version was not written")
	}
	return err
}
