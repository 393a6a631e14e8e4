package postgres

import (
	"flag"
	"os"
	"testing"
)

// TestMain makes properties as many random runs as fit beside all other tests; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "15"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
