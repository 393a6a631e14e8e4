package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orca-telemetry/orca/internal/app"
	"github.com/orca-telemetry/orca/internal/config"
)

// copiedView is a row of what orca copy prints.
type copiedView struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Hash  string `json:"hash"`
}

// copyFlags are what orca copy is told.
type copyFlags struct {
	from, to, schema string
	jsonFlag
}

func (s *shell) copy() *cobra.Command {
	f := &copyFlags{}
	c := &cobra.Command{
		Use:   "copy",
		Short: "Copy a ledger from SQLite to PostgreSQL",
		Long: "Copies a whole ledger, from a file that no core uses meanwhile to a schema that is not there yet, or whose ledger was\n" +
			"never used. The copy gives the same answers, and a core that is started on it goes on where the last one on the file\n" +
			"stopped, with what is unfinished too. Start no core on the file any more: from then on there would be two ledgers.\n\n" +
			"It can be interrupted at any moment and started again. Until all rows are there and have the same hashes as those in\n" +
			"the file, everything is in a schema beside (SCHEMA_copy), so that no core sees a part of a ledger.",
		Example: "  orca copy --from sqlite:/var/lib/orca/orca.db --to postgres://orca@db.example:5432/orca\n" +
			"  ORCA_STORE=postgres://orca:PASSWORD@db.example:5432/orca orca copy --from sqlite:orca.db",
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return s.runCopy(c, f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.from, "from", "", "copy the ledger in this `STORE`, sqlite:PATH")
	flags.StringVar(&f.to, "to", "", "to this `STORE`, postgres://USER:PASSWORD@HOST:PORT/DATABASE; also in ORCA_STORE, where no list of processes shows the password")
	flags.StringVar(&f.schema, "schema", config.Default().Schema, "to this schema of the database; also in ORCA_SCHEMA")
	f.jsonFlag.add(c)
	return c
}

func (s *shell) runCopy(c *cobra.Command, f *copyFlags) error {
	f.to = cmp.Or(f.to, s.getenv("ORCA_STORE"))
	if env := s.getenv("ORCA_SCHEMA"); env != "" && !c.Flags().Changed("schema") {
		f.schema = env
	}
	if f.from == "" || f.to == "" {
		return wrong(c, "say which ledger with --from sqlite:PATH, and where to with --to postgres://… or ORCA_STORE")
	}
	target := config.Default()
	target.Store, target.Schema = f.to, f.schema
	if err := target.Validate(); err != nil {
		return wrong(c, "%v", err)
	}
	copied := int64(0)
	r, err := app.Copy(c.Context(), f.from, f.to, f.schema, func(table string, rows int64) {
		switch copied += rows; {
		case rows == 0:
			fmt.Fprintf(s.errs, "compare %s\n", table)
		case copied/progressRows != (copied-rows)/progressRows:
			fmt.Fprintf(s.errs, "%d rows, in %s\n", copied, table)
		}
	})
	if c.Context().Err() != nil {
		return errors.Join(context.Canceled, err)
	}
	if err != nil {
		return err
	}
	var lines [][]string
	for _, t := range r.Tables {
		lines = append(lines, []string{t.Name, fmt.Sprint(t.Rows), t.Hash})
		if !f.json {
			continue
		}
		if err := printJSON(s.out, copiedView{t.Name, t.Rows, t.Hash}); err != nil {
			return err
		}
	}
	if r.Before {
		fmt.Fprintf(s.errs, "schema %s of %s has this ledger already; nothing was copied\n", f.schema, config.ShownStore(f.to))
	}
	if f.json || r.Before {
		return nil
	}
	return printTable(s.out, []string{"TABLE", "ROWS", "HASH"}, lines)
}

// progressRows is after how many rows people are told.
const progressRows = 500_000
