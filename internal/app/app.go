// Package app puts a core together from its parts, and is the one place that knows them all.
package app

import (
	"context"
	"errors"
	"log/slog"

	"github.com/orca-telemetry/orca/internal/config"
)

// Addresses are where a core listens.
type Addresses struct {
	// GRPC is host:port with the actual port.
	GRPC string
	// HTTP is host:port with the actual port; empty when HTTP is switched off.
	HTTP string
}

// Run runs a core until ctx ends. It calls ready once, when it takes windows.
func Run(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(Addresses)) error {
	return errors.New("not built yet")
}
