package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Import fills a schema with the ledger of another store. The tables are made and filled in a schema beside it, from which
// Finish moves them in one transaction: no core ever sees a part of a ledger. It goes on where an import of the same ledger
// was left. One goroutine at a time may use it.
type Import struct {
	target *target
	conn   *pgx.Conn
	// final is where the ledger will be, and staged where it is until then.
	final, staged *names
	done          bool
}

// importSuffix is of the schema beside.
const importSuffix = "_copy"

// OpenImport begins, or goes on with, the import of the ledger of a tag, in a state. It refuses a schema with anything else
// in it than a ledger that was never used, and one that began from another state.
func OpenImport(ctx context.Context, url, schema, tag, state string) (*Import, error) {
	i := &Import{final: &names{schema: schema}, staged: &names{schema: schema + importSuffix}}
	var err error
	if i.target, err = parseTarget("store", url); err != nil {
		return nil, err
	}
	if i.conn, err = i.target.connect(ctx); err == nil {
		err = i.begin(ctx, tag, state)
	}
	if err != nil {
		_ = i.Close() //nolint:contextcheck // it has a time limit of its own
		return nil, i.target.explain(schema, err)
	}
	return i, nil
}

// Close gives the connection up.
func (i *Import) Close() error {
	if i.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	return i.conn.Close(ctx)
}

// Done says that the schema has the whole ledger already.
func (i *Import) Done() bool { return i.done }

func (i *Import) begin(ctx context.Context, tag, state string) (err error) {
	if err := i.target.check(ctx, i.conn, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	there, err := i.ledger(ctx, i.conn, tag)
	if i.done = there == sameLedger; err != nil || i.done {
		return err
	}
	if err := migrate(ctx, i.conn, i.staged, migrations); err != nil {
		return err
	}
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS {copying} (tag text NOT NULL, state text NOT NULL, one boolean PRIMARY KEY CHECK (one))`,
		`CREATE TABLE IF NOT EXISTS {copied} (name text PRIMARY KEY, after bigint[] NOT NULL, whole boolean NOT NULL)`,
	} {
		if _, err := i.conn.Exec(ctx, i.staged.in(statement)); err != nil {
			return err
		}
	}
	var begun, from string
	err = i.conn.QueryRow(ctx, i.staged.in(`WITH mine AS (INSERT INTO {copying} VALUES ($1, $2, true) ON CONFLICT DO NOTHING RETURNING tag, state)
		SELECT tag, state FROM mine UNION ALL SELECT tag, state FROM {copying}`), tag, state).Scan(&begun, &from)
	if err == nil && (begun != tag || from != state) {
		err = orca.Errorf(orca.Precondition, "its schema %s holds a part of %s, which a copy has left: go on with that, or begin anew after DROP SCHEMA %s CASCADE",
			i.staged.schema, otherLedger(begun == tag), i.staged.schema)
	}
	return err
}

func otherLedger(earlier bool) string {
	if earlier {
		return "this ledger as it was before a core worked on it again"
	}
	return "another ledger"
}

// What a schema has in it.
const (
	nothing = iota
	unusedLedger
	sameLedger
)

// ledger looks at what the final schema has in it, and refuses what is neither nothing, nor an unused ledger, nor the one
// of the tag.
func (i *Import) ledger(ctx context.Context, db querier, tag string) (int, error) {
	var tables int
	if err := db.QueryRow(ctx, `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`, i.final.schema).Scan(&tables); err != nil || tables == 0 {
		return nothing, err
	}
	var theirs string
	err := db.QueryRow(ctx, i.final.in(`SELECT tag FROM {ledger}`)).Scan(&theirs)
	if c := code(err); c == noTable || c == "42703" {
		return 0, orca.Errorf(orca.Precondition, "its schema %s has tables of another program: choose another schema with --schema", i.final.schema)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	if theirs == tag {
		return sameLedger, nil
	}
	var used bool
	if err := db.QueryRow(ctx, i.final.in(`SELECT (SELECT position > 0 FROM {counter}) OR EXISTS (SELECT 1 FROM {window_type}) OR EXISTS (SELECT 1 FROM {instance})
		OR EXISTS (SELECT 1 FROM {processor}) OR EXISTS (SELECT 1 FROM {core} WHERE expires_at > now())`)).Scan(&used); err != nil {
		return 0, err
	}
	if used {
		return 0, orca.Errorf(orca.Precondition, "its schema %s has another ledger, or a core works there: choose another schema with --schema", i.final.schema)
	}
	return unusedLedger, nil
}

// Progress says after which key of a table it is to go on, nil at its beginning, and whether all of it is there.
func (i *Import) Progress(ctx context.Context, table string) (after []int64, whole bool, err error) {
	err = i.conn.QueryRow(ctx, i.staged.in(`SELECT after, whole FROM {copied} WHERE name = $1`), table).Scan(&after, &whole)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if len(after) == 0 {
		after = nil
	}
	return after, whole, i.explain(err)
}

// Put adds rows to a table, in one transaction with the progress. whole says that these are the last ones.
func (i *Import) Put(ctx context.Context, table string, columns []string, rows [][]any, after []int64, whole bool) error {
	for _, row := range rows {
		for j, v := range row {
			if text, ok := v.(string); ok {
				row[j] = stored(text)
			}
		}
	}
	if after == nil {
		after = []int64{}
	}
	err := pgx.BeginFunc(ctx, i.conn, func(tx pgx.Tx) error {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{i.staged.schema, table}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, i.staged.in(`INSERT INTO {copied} (name, after, whole) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET after = excluded.after, whole = excluded.whole`), table, after, whole)
		return err
	})
	if err != nil {
		return fmt.Errorf("write table %s: %w", table, i.explain(err))
	}
	return nil
}

// Rows calls take with the columns of a table's rows, in the order of the first ones, which are its key. Integers are int64.
func (i *Import) Rows(ctx context.Context, table string, columns []string, key int, take func([]any) error) error {
	quoted := make([]string, len(columns))
	for j, c := range columns {
		quoted[j] = pgx.Identifier{c}.Sanitize()
	}
	rows, err := i.conn.Query(ctx, `SELECT `+strings.Join(quoted, ", ")+` FROM `+pgx.Identifier{i.staged.schema, table}.Sanitize()+
		` ORDER BY `+strings.Join(quoted[:key], ", "))
	if err != nil {
		return i.explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return fmt.Errorf("read table %s: %w", table, err)
		}
		for j, v := range values {
			values[j] = widened(v)
		}
		if err := take(values); err != nil {
			return err
		}
	}
	return i.explain(rows.Err())
}

func widened(v any) any {
	switch v := v.(type) {
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case string:
		return restored(v)
	}
	return v
}

// Finish makes the ledger what the schema has in it.
func (i *Import) Finish(ctx context.Context, tag string) error {
	if err := pgx.BeginFunc(ctx, i.conn, func(tx pgx.Tx) error { return i.finish(ctx, tx, tag) }); err != nil {
		return fmt.Errorf("move the tables to schema %s: %w", i.final.schema, i.explain(err))
	}
	_, err := i.conn.Exec(ctx, `ANALYZE`) // the planner knows nothing of them yet
	return i.explain(err)
}

func (i *Import) finish(ctx context.Context, tx pgx.Tx, tag string) error {
	there, err := i.ledger(ctx, tx, tag)
	if err != nil {
		return err
	}
	statements := []string{
		`INSERT INTO {setback} (state, "window", position) SELECT state, "window", position FROM {run} WHERE state > 1`,
		`UPDATE {counter} SET position = (SELECT coalesce(max(position), 0) FROM {run})`,
		`DROP TABLE {copied}, {copying}`,
	}
	for _, table := range []string{"window_type", "algorithm", "plan", "lot"} {
		statements = append(statements, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%s', 'id'), max(id)) FROM {%s}`,
			pgx.Identifier{i.staged.schema, table}.Sanitize(), table))
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, i.staged.in(statement)); err != nil {
			return err
		}
	}
	return i.move(ctx, tx, there == unusedLedger)
}

// move moves the tables, after those of an unused ledger are gone.
func (i *Import) move(ctx context.Context, tx pgx.Tx, replace bool) error {
	tables, err := tablesOf(ctx, tx, i.staged.schema)
	if err != nil {
		return err
	}
	var schemas int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_namespace WHERE nspname = $1`, i.final.schema).Scan(&schemas); err != nil {
		return err
	}
	final := pgx.Identifier{i.final.schema}.Sanitize()
	if schemas == 0 {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+final); err != nil {
			return err
		}
	}
	for _, table := range tables {
		if replace {
			if _, err := tx.Exec(ctx, `DROP TABLE IF EXISTS `+pgx.Identifier{i.final.schema, table}.Sanitize()); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `ALTER TABLE `+pgx.Identifier{i.staged.schema, table}.Sanitize()+` SET SCHEMA `+final); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `DROP SCHEMA `+pgx.Identifier{i.staged.schema}.Sanitize())
	return err
}

func tablesOf(ctx context.Context, tx pgx.Tx, schema string) (tables []string, err error) {
	var name string
	err = each(ctx, tx, `SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' ORDER BY 1`, []any{schema}, []any{&name}, func() error {
		tables = append(tables, name)
		return nil
	})
	return tables, err
}

func (i *Import) explain(err error) error {
	if err == nil {
		return nil
	}
	return i.target.explain(i.final.schema, err)
}
