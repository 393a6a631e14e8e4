package sqlite

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"
	"testing"

	"github.com/orca-telemetry/orca/internal/orca"
)

// TestQueriesUseTheirIndexes holds the plans that SQLite makes: a page must not cost a walk over the whole ledger.
func TestQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	s, _, _ := benched(t, Config{})
	typ := orca.WindowTypeID{Name: "Tick", Version: "1.0.0"}
	windows := func(q orca.WindowQuery) (string, []any) {
		column := walkedType
		if q.From != 0 {
			column = indexedType
		}
		c := windowCondition(q, column)
		return windowsQuery(c), append(c.args, 10)
	}
	history := func(q orca.ResultQuery) (string, []any) {
		c := historyCondition(q, 1, 1)
		return historyQuery(c), append(c.args, 10)
	}
	byTime := func(q orca.WindowQuery, after orca.WindowKey) (string, []any) {
		c := byTimeCondition(q, after)
		return byTimeQuery(c), append(c.args, 10)
	}
	query := func(q string, args ...any) func() (string, []any) { return func() (string, []any) { return q, args } }
	for name, c := range map[string]struct {
		query func() (string, []any)
		want  string
		never string
	}{
		"windows, newest": {func() (string, []any) { return windows(orca.WindowQuery{}) },
			"SCAN w", "TEMP B-TREE"},
		"windows of a type": {func() (string, []any) { return windows(orca.WindowQuery{Type: typ, Before: 7}) },
			"SEARCH w USING INTEGER PRIMARY KEY (rowid<?)", "TEMP B-TREE"},
		"windows of a type since": {func() (string, []any) { return windows(orca.WindowQuery{Type: typ, From: 7}) },
			"SEARCH w USING COVERING INDEX window_time (type=? AND time_to>?)", "SCAN w"},
		"windows with an open run": {func() (string, []any) { return windows(orca.WindowQuery{HasState: true}) },
			"SCAN parked USING COVERING INDEX parked_lot", "SCAN w"},
		"windows with a failed run": {func() (string, []any) { return windows(orca.WindowQuery{HasState: true, State: orca.RunFailed}) },
			"SEARCH run USING COVERING INDEX run_unsuccessful (state=?)", "SCAN w"},
		"history": {func() (string, []any) { return history(orca.ResultQuery{}) },
			"SEARCH w USING COVERING INDEX window_time (type=?)", "TEMP B-TREE FOR ORDER BY"},
		"history, next page": {func() (string, []any) { return history(orca.ResultQuery{From: 3, Before: &orca.ResultKey{To: 9}}) },
			"SEARCH w USING COVERING INDEX window_time (type=? AND time_to>? AND (time_to,time_from)<(?,?))", "TEMP B-TREE FOR ORDER BY"},
		"windows by time": {func() (string, []any) { return byTime(orca.WindowQuery{Type: typ, Before: 9}, orca.WindowKey{To: 7}) },
			"SEARCH w USING COVERING INDEX window_time (type=? AND (time_to,time_from)>(?,?))", "TEMP B-TREE FOR ORDER BY"},
		"outcomes of a run":      {query(runOutcomesQuery, 1), "SEARCH o USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SCAN"},
		"open runs":              {query(freeQuery, 0, 10), "SEARCH pending USING INTEGER PRIMARY KEY (rowid>?)", "TEMP B-TREE"},
		"parked runs":            {query(parkedQuery, 0, 10), "SEARCH parked USING INTEGER PRIMARY KEY (rowid>?)", "TEMP B-TREE"},
		"runs in a lot":          {query(inLotQuery, []byte{1}, 0, 10), "SEARCH parked USING COVERING INDEX parked_lot (lot=? AND position>?)", "TEMP B-TREE"},
		"open runs by position":  {query(openQuery, "[1]"), "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", "SCAN r"},
		"outcomes of open runs":  {query(openOutcomesQuery, "[1]"), "SEARCH o USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SCAN o"},
		"a result":               {query(resultQuery, "p", "n", "v", 1, 1), "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)", "SCAN"},
		"a revision of a window": {query(runQuery, 1, 2), "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", "SCAN r"},
		"past by filters": {query(keyedPastQuery, 1, 2, 3, 4, 5, 6, []byte{7}, []byte{8}),
			"SEARCH w USING PRIMARY KEY (type=? AND filter_key=? AND time_to>? AND (time_to,time_from)<(?,?))", "TEMP B-TREE"},
		"past by filters, with rows": {query(keyedRowsQuery, 1, 2, 3, 4, 5, 6, []byte{7}, []byte{8}),
			"SEARCH w USING PRIMARY KEY (type=? AND filter_key=? AND time_to>? AND (time_to,time_from)<(?,?))", "TEMP B-TREE"},
		"copies for the past": {query(keepPastQuery, 1, []byte{2}, 3, 4, 5, []byte{6}, []byte{7}),
			"SEARCH past USING PRIMARY KEY (type=? AND filter_key=? AND time_to=? AND time_from=? AND window=?)", "SCAN"},
		"no copies for the past": {query(forgetPastQuery, 1),
			"SEARCH past USING PRIMARY KEY (type=? AND filter_key=? AND time_to=? AND time_from=? AND window=?)", "SCAN"},
		"windows to be copied":  {query(endedWindowsQuery, "[1]"), "SEARCH w USING INTEGER PRIMARY KEY (rowid=?)", "SCAN w"},
		"outcomes to be copied": {query(endedOutcomesQuery, "[1]"), "SEARCH o USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SCAN o"},
		"past": {query(wholePastQuery, 1, 2, 3, 4, 5, 6),
			"SEARCH w USING COVERING INDEX window_time (type=? AND time_to>? AND (time_to,time_from)<(?,?))", "TEMP B-TREE"},
		"past with filters": {query(comparedPastQuery, 1, 2, 3, 4, 5, 6),
			"SEARCH w USING INDEX window_time (type=? AND time_to>? AND (time_to,time_from)<(?,?))", "TEMP B-TREE FOR ORDER BY"},
		"later revisions in the past": {query(keyedPastQuery, 1, 2, 3, 4, 5, 6, []byte{7}, []byte{8}),
			"SEARCH r USING INDEX run_revision (window=? AND revision>?)", "SCAN"},
		"past results":       {query(pastRowsQuery, 1, "[1]"), "SEARCH w USING INTEGER PRIMARY KEY (rowid=?)", "SCAN o"},
		"later past results": {query(laterRowsQuery, 1, "[1]"), "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)", "SCAN o"},
		"since when":         {query(pastQuery, 1, "p", "n", "v"), "SEARCH e USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN", "SCAN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, args := c.query()
			steps := s.planOf(t, q, args)
			scans := slices.ContainsFunc(steps, func(step string) bool {
				return strings.HasPrefix(step, c.never) || strings.HasPrefix(step, "USE "+c.never)
			})
			if !slices.Contains(steps, c.want) || scans {
				t.Errorf("want a step %q and none %q in\n\t%s", c.want, c.never, strings.Join(steps, "\n\t"))
			}
		})
	}
}

// planOf returns the steps of SQLite's plan for a query.
func (s *Store) planOf(t *testing.T, query string, args []any) []string {
	t.Helper()
	values := make([]driver.Value, len(args))
	for i, a := range args {
		values[i] = a
	}
	var steps []string
	err := s.read(t.Context(), "explain", func(ctx context.Context, tx snapshot) error {
		return tx.each(ctx, "EXPLAIN QUERY PLAN "+query, func(row []driver.Value) error {
			steps = append(steps, text(row, 3))
			return nil
		}, values...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// TestManyWindowsAreNotSorted: a bound in time that leaves many windows is no reason to sort them all for a page.
func TestManyWindowsAreNotSorted(t *testing.T) {
	t.Parallel()
	s := opened(t, Config{})
	serve(t, s)
	var last <-chan accepted
	for i := range fewWindows + 10 {
		last = accept(s, ticking(i))
	}
	if a := <-last; a.err != nil {
		t.Fatal(a.err)
	}
	for from, want := range map[orca.Time]string{0: walkedType, 1e9: walkedType, 20e9: indexedType, 10_000e9: indexedType} {
		err := s.read(t.Context(), "test", func(ctx context.Context, tx snapshot) error {
			got, err := tx.typeColumn(ctx, orca.WindowQuery{Type: tick.ID, From: from})
			if got != want {
				t.Errorf("windows after %v are found by %s, want %s", from, got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	records, err := s.Windows(t.Context(), orca.WindowQuery{Type: tick.ID, From: 1e9, To: 9_000e9, Limit: 2})
	if err != nil || len(records) != 2 || records[0].ID != 9_000 || records[1].ID != 8_999 {
		t.Errorf("the newest two before second 9,000 are %+v (%v)", records, err)
	}
}
