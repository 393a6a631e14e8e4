package postgres

import (
	"context"
	"testing"

	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
	"github.com/orca-telemetry/orca/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		url, schema := pgtest.Schema(t)
		return func(ctx context.Context) (storetest.Service, error) { return Open(ctx, url, Config{Schema: schema}) }
	})
}
