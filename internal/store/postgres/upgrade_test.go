package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/pgserver/pgtest"
)

// version has the migrations of some version: those that are, and one more for each text.
func version(tb testing.TB, later ...string) fs.FS {
	tb.Helper()
	all := fstest.MapFS{}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		text, err := migrations.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	for i, text := range later {
		all[fmt.Sprintf("migrations/9%03d_later.sql", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

// TestRollingUpgrade: while cores of a newer version come, one after the other, those of the version before go on, and start
// again, on the schema that the first newer one has brought up to date; until a migration says that it needs newer cores.
func TestRollingUpgrade(t *testing.T) {
	t.Parallel()
	url, schema := pgtest.Schema(t)
	before := share(t, url, schema, time.Hour)
	before.announceAll()
	open := func(later ...string) error {
		s, err := Open(t.Context(), url, Config{Schema: schema, migrations: version(t, later...)})
		if err != nil {
			return err
		}
		return s.Close()
	}
	works := func(when string, s *sharer) {
		t.Helper()
		p, err := s.accept(false)
		if err == nil {
			err = s.settle(p)
		}
		if err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	const adds = "ALTER TABLE {window} ADD COLUMN colour text NOT NULL DEFAULT 'grey'"
	if err := open(adds); err != nil {
		t.Fatalf("the newer version does not start on the older schema: %v", err)
	}
	works("a core of the older version on the newer schema", before)
	works("one that is started on it", share(t, url, schema, time.Hour))
	if err := open(adds, "-- needs: 4\nALTER TABLE {window} DROP COLUMN colour"); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, orca.Precondition) || !strings.Contains(err.Error(), "newer orca") {
		t.Errorf("a core starts on a schema that needs newer ones: %v", err)
	}
	if err := open(adds, "-- needs: 4\nALTER TABLE {window} DROP COLUMN colour", "SELECT 1"); err != nil {
		t.Errorf("a core that is new enough does not start: %v", err)
	}
}
