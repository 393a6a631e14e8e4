package lookback_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/orca"
)

const minute = 60_000_000_000

// between is a window in minutes.
func between(from, to int) orca.Window {
	return orca.Window{From: 1e18 + orca.Time(from)*minute, To: 1e18 + orca.Time(to)*minute}
}

func count(n uint32) orca.Extent { return orca.Extent{Count: n} }

func span(minutes uint64) orca.Extent { return orca.Extent{Span: minutes * minute} }

// past makes runs of the intervals, which are succeeded, with positions from 1.
func past(windows ...orca.Window) []orca.PastRun {
	var runs []orca.PastRun
	for i, w := range windows {
		runs = append(runs, orca.PastRun{Window: orca.WindowID(i + 1), Position: orca.Position(i + 1), From: w.From, To: w.To, Kind: orca.Succeeded})
	}
	return runs
}

func with(kind orca.OutcomeKind, at int, runs []orca.PastRun) []orca.PastRun {
	runs[at-1].Kind = kind
	return runs
}

func TestRows(t *testing.T) {
	t.Parallel()
	// Six windows of ten minutes up to the seventh, which looks back, and windows of ten minutes that slide by five.
	tens := func() []orca.PastRun {
		return past(between(0, 10), between(10, 20), between(20, 30), between(30, 40), between(40, 50), between(50, 60))
	}
	seventh := between(60, 70)
	sliding := past(between(45, 55), between(50, 60), between(55, 65))
	for name, c := range map[string]struct {
		spec  orca.Lookback
		other bool // type of the window that looks back
		w     orca.Window
		runs  []orca.PastRun
		rows  []orca.Position
		waits orca.Position
	}{
		"a count takes the newest": {
			spec: orca.Lookback{Range: count(2)}, w: seventh, runs: tens(), rows: []orca.Position{6, 5}},
		"a count counts successes": {
			spec: orca.Lookback{Range: count(2)}, w: seventh, runs: with(orca.HandledFailed, 6, with(orca.Skipped, 4, tens())), rows: []orca.Position{5, 3}},
		"15 minutes back give one window of ten": {
			spec: orca.Lookback{Range: span(15)}, w: seventh, runs: tens(), rows: []orca.Position{6}},
		"20 minutes back give two, both ends included": {
			spec: orca.Lookback{Range: span(20)}, w: seventh, runs: tens(), rows: []orca.Position{6, 5}},
		"a nanosecond of gap drops the neighbour": {
			spec: orca.Lookback{Range: count(2), Gap: orca.Extent{Span: 1}}, w: seventh, runs: tens(), rows: []orca.Position{5, 4}},
		"a nanosecond of gap drops the window that ends with another type's": {
			spec: orca.Lookback{Gap: orca.Extent{Span: 1}}, other: true, w: between(50, 60), runs: tens(), rows: []orca.Position{5}},
		"a gap moves a span": {
			spec: orca.Lookback{Range: span(20), Gap: span(10)}, w: seventh, runs: tens(), rows: []orca.Position{5, 4}},
		"a gap of a count in a span": {
			spec: orca.Lookback{Range: span(30), Gap: count(1)}, w: seventh, runs: tens(), rows: []orca.Position{5, 4}},
		"a gap of a count skips successes": {
			spec: orca.Lookback{Range: count(1), Gap: count(2)}, w: seventh, runs: with(orca.UnhandledFailed, 5, tens()), rows: []orca.Position{3}},
		"a count includes windows that overlap": {
			spec: orca.Lookback{Range: count(2)}, w: seventh, runs: sliding, rows: []orca.Position{3, 2}},
		"a span does not": {
			spec: orca.Lookback{Range: span(60)}, w: seventh, runs: sliding, rows: []orca.Position{2, 1}},
		"nothing of one's own type without a lookback": {
			spec: orca.Lookback{Gap: count(1)}, w: seventh, runs: tens()},
		"the newest of another type without a lookback": {
			other: true, w: seventh, runs: with(orca.Skipped, 6, tens()), rows: []orca.Position{5}},
		"the newest of another type after a gap of a count": {
			spec: orca.Lookback{Gap: count(2)}, other: true, w: seventh, runs: tens(), rows: []orca.Position{4}},
		"the newest of another type after a gap of time": {
			spec: orca.Lookback{Gap: span(25)}, other: true, w: seventh, runs: tens(), rows: []orca.Position{4}},
		"a daily window over its hours": {
			spec: orca.Lookback{Range: span(60)}, other: true, w: between(0, 60), runs: tens(), rows: []orca.Position{6, 5, 4, 3, 2, 1}},
		"windows of the same interval are not each other's past": {
			spec: orca.Lookback{Range: count(9)}, w: between(10, 20), runs: past(between(10, 20), between(0, 10)), rows: []orca.Position{2}},
		"of another type they are": {
			spec: orca.Lookback{Range: count(9)}, other: true, w: between(10, 20), runs: past(between(10, 20), between(0, 10)), rows: []orca.Position{1, 2}},
		"of the same end the longer one is past": {
			spec: orca.Lookback{Range: count(9)}, w: between(10, 20), runs: past(between(15, 20), between(5, 20)), rows: []orca.Position{2}},
		"equal intervals come by position": {
			spec: orca.Lookback{Range: count(9)}, w: seventh, runs: past(between(0, 10), between(10, 20), between(0, 10)), rows: []orca.Position{2, 3, 1}},
		"point windows": {
			spec: orca.Lookback{Range: span(5)}, w: between(7, 7), runs: past(between(1, 1), between(2, 2), between(6, 6), between(7, 7)), rows: []orca.Position{3, 2}},
		"an hour's point belongs to the windows that end there": {
			spec: orca.Lookback{Range: span(5)}, other: true, w: between(7, 7), runs: past(between(1, 1), between(2, 2), between(7, 7), between(8, 8)), rows: []orca.Position{3, 2}},
		"a span beyond all time takes everything": {
			spec: orca.Lookback{Range: orca.Extent{Span: math.MaxUint64}}, w: seventh, runs: tens(), rows: []orca.Position{6, 5, 4, 3, 2, 1}},
		"a gap beyond all time leaves nothing": {
			spec: orca.Lookback{Range: count(1), Gap: orca.Extent{Span: math.MaxUint64}}, w: seventh, runs: tens()},
		"what is not settled is waited for": {
			spec: orca.Lookback{Range: count(2)}, w: seventh, runs: with(0, 5, tens()), rows: []orca.Position{6}, waits: 5},
		"not beyond what is full": {
			spec: orca.Lookback{Range: count(1)}, w: seventh, runs: with(0, 5, tens()), rows: []orca.Position{6}},
		"not what a span leaves out": {
			spec: orca.Lookback{Range: span(15)}, w: seventh, runs: with(0, 5, tens()), rows: []orca.Position{6}},
		"not what a gap of time leaves out": {
			spec: orca.Lookback{Range: count(1), Gap: span(10)}, w: seventh, runs: with(0, 6, tens()), rows: []orca.Position{5}},
		"what a gap of a count may skip is": {
			spec: orca.Lookback{Range: count(1), Gap: count(1)}, w: seventh, runs: with(0, 6, tens()), waits: 6},
		"nothing is waited for without a lookback": {
			w: seventh, runs: with(0, 6, tens())},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rangeOf(c.spec, c.w, !c.other)
			rows, waits := walked(r, scan(r.Limit(orca.PastQuery{}), c.runs))
			got := positions(rows)
			if waits == nil {
				waits = &orca.PastRun{}
			}
			if diff := cmp.Diff([]any{c.rows, c.waits}, []any{got, waits.Position}, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("rows, and what is waited for (-want +got):\n%s", diff)
			}
		})
	}
}
