package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/orca"
)

// TestReadsAreCutOff: a search that does not end is interrupted, and the error says what to do.
func TestReadsAreCutOff(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{ReadTimeout: 20 * time.Millisecond})
	err := s.read(t.Context(), "count for ever", func(ctx context.Context, tx snapshot) error {
		return tx.each(ctx, "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
			func([]driver.Value) error { return nil })
	})
	const want = "count for ever: it took longer than 20ms; ask for less, such as a shorter range of time"
	if !errors.Is(err, orca.Unavailable) || err.Error() != want {
		t.Errorf("it gives %v, want %s", err, want)
	}
	s.cfg.ReadTimeout = time.Minute
	if _, err := s.Backlog(t.Context()); err != nil {
		t.Errorf("the next read gives %v", err)
	}
}

// TestReadersCannotWrite: what reads has no way to change anything.
func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	if _, err := s.readers.ExecContext(t.Context(), "DELETE FROM window_type"); err == nil {
		t.Error("a reader deletes")
	}
}

// TestReadersDoNotWait: reads go on while the writer is in a transaction, and see what was committed before it.
func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	for _, q := range []string{"BEGIN IMMEDIATE", "UPDATE ledger SET registry_version = 7"} {
		if err := s.writer.conn.exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	reg, err := s.LoadRegistry(t.Context())
	if err != nil || reg.Version != 1 {
		t.Errorf("version %d (%v), want 1", reg.Version, err)
	}
	if err := s.writer.conn.exec(t.Context(), "ROLLBACK"); err != nil {
		t.Error(err)
	}
}

// TestWriterSettings holds what durability and secrecy rest on, of every connection that writes. What syncs each commit is in
// sync_test.go.
func TestWriterSettings(t *testing.T) {
	t.Parallel()
	s, first, _, _ := faulty(t, func(context.Context, *writer) error { return errDisk })
	check := func(when string) {
		got := map[string]driver.Value{}
		for _, pragma := range []string{"journal_mode", "synchronous", "secure_delete", "page_size"} {
			row, err := s.writer.conn.row(t.Context(), "PRAGMA "+pragma)
			if err != nil {
				t.Fatal(err)
			}
			got[pragma] = row[0]
		}
		want := map[string]driver.Value{"journal_mode": "wal", "synchronous": int64(1), "secure_delete": int64(1), "page_size": int64(pageSize)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings %s (-want +got):\n%s", when, diff)
		}
	}
	check("of a new store")
	stop := serve(t, s)
	<-first
	if a := <-accept(s, ticking(1)); a.err != nil {
		t.Fatal(a.err)
	}
	stop()
	check("after a failure")
}
