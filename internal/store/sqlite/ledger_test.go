package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/orca"
)

// rowsOf returns the rows of a query, read as SQLite has them.
func rowsOf(t *testing.T, s *Store, query string, args ...driver.Value) (rows [][]driver.Value) {
	t.Helper()
	err := s.read(t.Context(), "test", func(ctx context.Context, tx snapshot) error {
		return tx.each(ctx, query, func(row []driver.Value) error {
			rows = append(rows, append([]driver.Value(nil), row...))
			return nil
		}, args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestBatchesAreBounded: what waits goes into as few transactions as the bounds allow, and a row that is larger than
// the bound goes alone.
func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg     Config
		sizes   []int
		commits uint64
	}{
		"all at once":      {Config{}, []int{1, 1, 1, 1, 1, 1, 1}, 1},
		"rows":             {Config{BatchRows: 3}, []int{1, 1, 1, 1, 1, 1, 1}, 3},
		"bytes":            {Config{BatchBytes: 10_000}, []int{4000, 4000, 4000, 4000, 4000}, 3},
		"one is too large": {Config{BatchBytes: 10_000}, []int{10, 50_000, 10, 10}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, c.cfg)
			var answers []<-chan accepted
			for i, size := range c.sizes {
				e := ticking(i)
				e.Window.Metadata = make([]byte, size)
				answers = append(answers, accept(s, e))
			}
			serve(t, s)
			for i, a := range answers {
				if got := <-a; got.err != nil || got.Position != orca.Position(i+1) {
					t.Errorf("window %d: %+v", i, got)
				}
			}
			if got := s.Stats(); got.Commits != c.commits || got.Rows != uint64(len(c.sizes)) {
				t.Errorf("%d rows in %d commits, want %d in %d", got.Rows, got.Commits, len(c.sizes), c.commits)
			}
		})
	}
}

// TestQueueIsBounded: above the bound emissions are refused, in their turn, and settlements are not.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{QueueBytes: 3000})
	big := ticking(1)
	big.Window.Metadata = make([]byte, 2000)
	var told []string
	tell := func(what string) func(orca.Accepted, error) {
		return func(_ orca.Accepted, err error) {
			told = append(told, fmt.Sprint(what, " ", errors.Is(err, orca.Exhausted)))
		}
	}
	s.Accept(big, tell("first"))
	s.Accept(big, tell("second"))
	s.Accept(ticking(2), tell("third"))
	long := finish(1)
	long.Outcomes[0].Reason = string(make([]byte, 2000))
	s.Settle(long, func(err error) { told = append(told, fmt.Sprint("settlement ", errors.Is(err, orca.Exhausted))) })
	if got := s.Stats(); got.QueuedRows != 4 || got.QueuedBytes < 4000 || got.QueuedBytes > 5500 {
		t.Errorf("%d rows of %d bytes are queued", got.QueuedRows, got.QueuedBytes)
	}
	stop := serve(t, s)
	stop()
	if diff := cmp.Diff([]string{"first false", "second true", "third false", "settlement false"}, told); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if got := s.Stats(); got.QueuedRows != 0 || got.QueuedBytes != 0 {
		t.Errorf("in the end %d rows of %d bytes are queued", got.QueuedRows, got.QueuedBytes)
	}
}

// TestQueueTakesAnEmissionLargerThanItself: alone in the queue, it is better tried than refused for ever.
func TestQueueTakesAnEmissionLargerThanItself(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{QueueBytes: 3000})
	big := ticking(1)
	big.Window.Metadata = make([]byte, 20_000)
	answer := accept(s, big)
	serve(t, s)
	if a := <-answer; a.err != nil {
		t.Error(a.err)
	}
}

// TestExpiredKeysAreDeleted: the table of keys stays as long as what lives.
func TestExpiredKeysAreDeleted(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{IdempotencyTTL: 50e9})
	serve(t, s)
	for i := range 300 { // one a second
		e := ticking(i)
		e.Key = orca.IdempotencyKey{Project: "p", Key: fmt.Sprint(i)}
		if a := <-accept(s, e); a.err != nil {
			t.Fatal(a.err)
		}
	}
	if n := rowsOf(t, s, "SELECT count(*), min(position) FROM emit_key")[0]; n[0] != int64(50) || n[1] != int64(251) {
		t.Errorf("%v keys are left, the oldest of window %v; want 50 from 251 on", n[0], n[1])
	}
}

func TestFiltersAreKept(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	e := ticking(1)
	e.Filters = []orca.FilterValue{{Field: "asset", Hash: [16]byte{1, 15: 2}}, {Field: "line", Hash: [16]byte{3}}}
	if a := <-accept(s, e); a.err != nil {
		t.Fatal(a.err)
	}
	want := "\x05asset\x01" + string(make([]byte, 14)) + "\x02\x04line\x03" + string(make([]byte, 15))
	if got := rowsOf(t, s, "SELECT filters FROM window")[0][0]; string(got.([]byte)) != want {
		t.Errorf("filters are stored as %q, want %q", got, want)
	}
}

// TestTextMayHoldNUL: SQLite's C strings end at one, and its text values do not.
func TestTextMayHoldNUL(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	e := ticking(1)
	e.Window.Origin = "a\x00b"
	if a := <-accept(s, e); a.err != nil {
		t.Fatal(a.err)
	}
	record, err := s.Window(t.Context(), 1)
	if err != nil || record.Window.Origin != e.Window.Origin {
		t.Errorf("the origin comes back as %q (%v)", record.Window.Origin, err)
	}
}

// revise makes the next revisions of windows by hand: position, window, revision and state, each with outcomes.
func revise(t *testing.T, s *Store, rows ...[4]int64) {
	t.Helper()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	for _, r := range rows {
		finished := any(5)
		if r[3] == 0 {
			finished = "NULL"
		}
		for _, q := range []string{
			fmt.Sprintf("INSERT INTO run VALUES (%d, %d, %d, 2, 1, %d, 7, %v)", r[0], r[1], r[2], r[3], finished),
			fmt.Sprintf("INSERT INTO pending SELECT %d, NULL WHERE %d = 0", r[0], r[3]),
			fmt.Sprintf("INSERT INTO outcome (key, kind, attempts, settled_at) VALUES (%d << 20 | 1, 1, 1, 6)", r[0]),
		} {
			if err := s.writer.conn.exec(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestRevisions: what reads windows and results knows later revisions, which nothing writes yet.
func TestRevisions(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	for i := range 3 {
		e := ticking(i / 2) // the first two have the same interval
		if a := <-accept(s, e); a.err != nil {
			t.Fatal(a.err)
		}
		if err := <-settle(s, finish(orca.Position(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	revise(t, s, [4]int64{4, 1, 2, 2}, [4]int64{5, 3, 2, 1}, [4]int64{6, 1, 3, 0})

	newest := func(records []orca.WindowRecord, err error) (list []orca.Position) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			list = append(list, r.ID, r.Newest.Position)
		}
		return list
	}
	check := func(what string, got, want []orca.Position) {
		t.Helper()
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("windows with their newest runs", newest(s.Windows(t.Context(), orca.WindowQuery{Limit: 9})), []orca.Position{3, 5, 2, 2, 1, 6})
	for state, want := range map[orca.RunState][]orca.Position{orca.RunOpen: {1, 6}, orca.RunSucceeded: {3, 5, 2, 2}, orca.RunFailed: nil} {
		check(state.String(), newest(s.Windows(t.Context(), orca.WindowQuery{State: state, HasState: true, Limit: 9})), want)
	}
	var revisions []orca.Position
	for revision := range 4 {
		r, err := s.Run(t.Context(), 1, revision)
		if err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, r.Run.Position)
	}
	check("revisions 0 to 3 of window 1", revisions, []orca.Position{6, 1, 4, 6})
	if _, err := s.Window(t.Context(), 4); !errors.Is(err, orca.NotFound) {
		t.Errorf("the position of a later revision, taken for a window, gives %v", err)
	}
	var results []orca.Position
	q := orca.ResultQuery{Algorithm: cpu, Limit: 2}
	for {
		page, err := s.History(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			results = append(results, r.Run.Position)
		}
		key := page[len(page)-1].Key()
		q.Before = &key
	}
	check("results", results, []orca.Position{5, 3, 6, 4, 2, 1})
	open, err := s.OpenRuns(t.Context(), 0, 9)
	if err != nil || len(open) != 1 || open[0].Position != 6 || open[0].Window != 1 || open[0].Revision != 3 || open[0].Kind != orca.RunRetry {
		t.Errorf("open runs are %+v (%v)", open, err)
	}
}
