package app

import (
	"context"
	"errors"

	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/store/postgres"
	"github.com/orca-telemetry/orca/internal/store/sqlite"
	"github.com/orca-telemetry/orca/internal/store/transfer"
)

// Copy copies the ledger of a store of the form sqlite:PATH, which no core uses meanwhile, to a schema of the database that
// a URL names. See transfer.Copy.
func Copy(ctx context.Context, from, to, schema string, progress func(table string, rows int64)) (r transfer.Report, err error) {
	if config.IsPostgres(from) || !config.IsPostgres(to) {
		return r, orca.Errorf(orca.Invalid, "from %s to %s: a ledger is copied from sqlite:PATH to postgres://USER:PASSWORD@HOST:PORT/DATABASE, and not the other way",
			config.ShownStore(from), config.ShownStore(to))
	}
	path, err := config.SQLitePath(from)
	if err != nil {
		return r, err
	}
	source, err := sqlite.OpenExport(ctx, path)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	state, err := source.State(ctx)
	if err != nil {
		return r, err
	}
	target, err := postgres.OpenImport(ctx, to, schema, source.Tag(), state)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, target.Close()) }() //nolint:contextcheck // it has a time limit of its own
	return transfer.Copy(ctx, source, target, progress)
}
