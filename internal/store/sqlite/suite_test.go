package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/orca-telemetry/orca/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		path := filepath.Join(t.TempDir(), "orca.db")
		return func(ctx context.Context) (storetest.Service, error) { return Open(ctx, path, Config{keepAtOnce: 3}) }
	})
}
