// Package pgtest gives tests a PostgreSQL: the server that ORCA_TEST_POSTGRES names, else one that is started with the
// first test that asks and ends with the test binary.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orca-telemetry/orca/internal/pgserver"
)

// Env names a server to test against: a URL of a role that may make schemas in the database.
const Env = "ORCA_TEST_POSTGRES"

var shared = sync.OnceValues(func() (string, error) {
	if url := os.Getenv(Env); url != "" {
		return url, nil
	}
	s, err := pgserver.Start(context.Background()) // ends with this process
	if err != nil {
		return "", err
	}
	return s.URL(), nil
})

// URL returns the URL of the server that all tests of the process share. Where there is no PostgreSQL the test is skipped,
// but on CI it fails.
func URL(tb testing.TB) string {
	tb.Helper()
	url, err := shared()
	switch {
	case errors.Is(err, pgserver.ErrNone) && os.Getenv("CI") == "":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	return url
}

// Schema returns the URL of the shared server and the name of a schema of the test's own, which is not there yet and is
// dropped when the test ends.
func Schema(tb testing.TB) (url, schema string) {
	tb.Helper()
	url, schema = URL(tb), "test_"+strings.ToLower(rand.Text()[:12])
	if os.Getenv(Env) == "" {
		return url, schema // it goes with the server
	}
	tb.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			tb.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
			tb.Error(err)
		}
	})
	return url, schema
}

// Own starts a server for the test alone, for tests that break it, and stops it when the test ends.
func Own(tb testing.TB, settings ...string) *pgserver.Server {
	tb.Helper()
	s, err := pgserver.Start(tb.Context(), settings...)
	switch {
	case errors.Is(err, pgserver.ErrNone) && os.Getenv("CI") == "":
		tb.Skip(err)
	case err != nil:
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return s
}
