package app

import (
	"context"
	"log/slog"

	"github.com/orca-telemetry/orca/internal/cluster"
	"github.com/orca-telemetry/orca/internal/config"
	"github.com/orca-telemetry/orca/internal/engine"
	"github.com/orca-telemetry/orca/internal/registry"
	"github.com/orca-telemetry/orca/internal/rpc"
	"github.com/orca-telemetry/orca/internal/store/postgres"
	"github.com/orca-telemetry/orca/internal/store/sqlite"
)

// durable is what a core needs of a store.
type durable interface {
	engine.Ledger
	registry.Store
	rpc.Ledger
	// Serve writes what is queued until ctx is done, then the rest, and returns.
	Serve(ctx context.Context) error
	Close() error
	// Failing returns why nothing can be written, as far as is known; nil when it can.
	Failing() error
}

// shared is what several cores need of a store that they share.
type shared interface {
	cluster.Ledger
	engine.Shared
}

var (
	_ durable = (*sqlite.Store)(nil)
	_ durable = (*postgres.Store)(nil)
	_ shared  = (*postgres.Store)(nil)
)

// store is the one that the settings name.
type store struct {
	durable
	// name is for people and has no password.
	name string
	// path of the file; empty when it is not on this machine.
	path string
	// shared is the store too when several cores may share it, else nil.
	shared shared
	// commits counts transactions since the start.
	commits func() uint64
}

func openStore(ctx context.Context, cfg config.Config, log *slog.Logger) (*store, error) {
	if config.IsPostgres(cfg.Store) {
		s, err := postgres.Open(ctx, cfg.Store, postgres.Config{Schema: cfg.Schema, Direct: cfg.StoreDirect, IdempotencyTTL: cfg.IdempotencyTTL, Logger: log})
		if err != nil {
			return nil, err
		}
		return &store{durable: s, shared: s, name: config.ShownStore(cfg.Store), commits: func() uint64 { return s.Stats().Commits }}, nil
	}
	path, err := config.SQLitePath(cfg.Store)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path, sqlite.Config{IdempotencyTTL: cfg.IdempotencyTTL, Logger: log})
	if err != nil {
		return nil, err
	}
	return &store{durable: s, name: "sqlite:" + path, path: path, commits: func() uint64 { return s.Stats().Commits }}, nil
}
