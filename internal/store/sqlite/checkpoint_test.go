package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// holdSnapshot begins a read that sees the ledger as it is now, and returns how to end it.
func holdSnapshot(t *testing.T, s *Store) (release func()) {
	t.Helper()
	tx, err := s.readers.BeginTx(t.Context(), &sql.TxOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM run").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			t.Error(err)
		}
	}
}

// fill writes windows of 64 KiB until the log is longer than size, and returns how many it took.
func fill(t *testing.T, s *Store, size int64) int {
	t.Helper()
	e := ticking(1)
	e.Window.Metadata = make([]byte, 64<<10)
	for n := 1; ; n++ {
		if a := <-accept(s, e); a.err != nil {
			t.Fatal(a.err)
		}
		if s.logSize() > size {
			return n
		}
		if n > 2000 {
			t.Fatalf("%d windows of 64 KiB, and the log has %d bytes", n, s.logSize())
		}
	}
}

// settled waits until the checkpoint after the last batch is done: the next answer comes after it.
func drained(t *testing.T, s *Store) {
	t.Helper()
	if err := <-settle(s, orca.Settlement{Position: 1}); err != nil {
		t.Fatal(err)
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	const bound = 512 << 10
	s := opened(t, Config{WALBytes: bound})
	serve(t, s)
	e := ticking(1)
	e.Window.Metadata = make([]byte, 64<<10)
	longest := int64(0)
	for range 100 {
		if a := <-accept(s, e); a.err != nil {
			t.Fatal(a.err)
		}
		longest = max(longest, s.logSize())
	}
	if longest < bound/2 || longest > 2*bound {
		t.Errorf("writing %d MiB made a log of %d bytes, want about %d", 100*64>>10, longest, bound)
	}
}

// TestLongReadersDoNotHoldTheLogForEver: readers that follow on each other, so that one is always there, keep the log
// growing only so far.
func TestLongReadersDoNotHoldTheLogForEver(t *testing.T) {
	t.Parallel()
	const bound = 256 << 10
	s := opened(t, Config{WALBytes: bound, CheckpointWait: time.Millisecond, ReadTimeout: time.Minute})
	serve(t, s)
	first := holdSnapshot(t, s)
	if n := fill(t, s, 3*bound); n < 5 {
		t.Fatalf("%d windows made the log %d bytes long", n, s.logSize())
	}
	second := holdSnapshot(t, s)
	first()
	fill(t, s, 4*bound) // the checkpoint behind this one waits for the second reader
	third := holdSnapshot(t, s)
	next := settle(s, orca.Settlement{Position: 1})
	select {
	case err := <-next:
		t.Fatalf("nothing waits for the readers that are in the way (%v)", err)
	case <-time.After(50 * time.Millisecond): // that nothing comes cannot be waited for otherwise
	}
	second()
	third()
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	drained(t, s)
	if size := s.logSize(); size > bound {
		t.Errorf("the log has %d bytes after the readers have ended", size)
	}
}

// files returns the bytes of the database and of its logs. Reading them drops SQLite's own locks in this process, so
// that a test does this last, or knows that nothing else is going on.
func files(t *testing.T, s *Store) []byte {
	t.Helper()
	var all []byte
	for _, name := range []string{s.path, s.path + "-wal", s.path + "-redo"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}

// TestNoStoreMetadataIsScrubbed: after the end of the run neither the database nor a log has the bytes, not even
// those that filled many pages.
func TestNoStoreMetadataIsScrubbed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		padding int
		redo    int64
	}{"small": {0, 1}, "many pages": {100_000, 1}, "in the redo log": {0, 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, Config{ScrubAfter: time.Nanosecond, RedoBytes: c.redo})
			committed, commit := make(chan struct{}, 1), s.commit
			s.commit = func(ctx context.Context, w *writer) error {
				select {
				case committed <- struct{}{}:
				default:
				}
				return commit(ctx, w)
			}
			serve(t, s)
			secret := []byte("a token that nobody may find")
			var last orca.Position
			for i := range 20 {
				e := ticking(i)
				e.FullMetadata = append(append(bytes.Repeat([]byte("x"), c.padding), secret...), fmt.Sprint(i)...)
				a := <-accept(s, e)
				if a.err != nil {
					t.Fatal(a.err)
				}
				last = a.Position
			}
			if n := bytes.Count(files(t, s), secret); n < 20 {
				t.Fatalf("the secret of 20 open runs is in the files %d times", n)
			}
			for p := last; p >= 1; p-- {
				if err := <-settle(s, finish(p)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-committed:
			default:
			}
			drained(t, s)
			<-committed // what is settled
			drained(t, s)
			if n := bytes.Count(files(t, s), secret); n > 0 {
				t.Errorf("the secret is still in the files %d times", n)
			}
		})
	}
}

// TestScrubbingNeedsNoTraffic: the alarm goes off by itself.
func TestScrubbingNeedsNoTraffic(t *testing.T) {
	t.Parallel()
	c := newCheckpointer(Config{ScrubAfter: time.Millisecond, WALBytes: 1})
	c.scrubLater()
	batch := newQueue(Config{}.withDefaults()).take(t.Context(), c.alarm.C, nil, nil)
	if batch == nil || len(batch) != 0 {
		t.Errorf("the alarm gives the batch %v, want an empty one", batch)
	}
	if _, due := c.due(0); !due {
		t.Error("the alarm has gone off and nothing is due")
	}
	c.tried(0, false)
	if c.scrubBy.IsZero() {
		t.Error("after a failed attempt there is no other")
	}
	c.tried(0, true)
	if _, due := c.due(0); due {
		t.Error("after a successful attempt something is due")
	}
}
