package sqlite_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/orca-telemetry/orca/internal/store/sqlite"
	"github.com/orca-telemetry/orca/internal/store/storetest"
)

var _ storetest.Service = (*sqlite.Store)(nil)

// TestMain makes properties as many random runs as fit beside all other tests; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t testing.TB) storetest.Opener {
		path := filepath.Join(t.TempDir(), "orca.db")
		return func(ctx context.Context) (storetest.Service, error) { return sqlite.Open(ctx, path, sqlite.Config{}) }
	})
}
