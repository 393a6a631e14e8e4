package app

import (
	"context"

	"github.com/orca-telemetry/orca/internal/store/sqlite"
)

// Grow makes the store in a file large, for measurements, see sqlite.Grow.
func Grow(ctx context.Context, path string, windows int64, progress func(windows int64)) (sqlite.Grown, error) {
	return sqlite.Grow(ctx, path, windows, progress)
}
