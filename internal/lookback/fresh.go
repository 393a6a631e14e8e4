package lookback

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Freshness says whether a look gives what it gave.
type Freshness uint8

// The verdicts.
const (
	// Current: it would give the same results of the same windows in the same order.
	Current Freshness = iota + 1
	// Stale: it would give others.
	Stale
	// NotCompared: the rows that were compared are the same, and there are more.
	NotCompared
)

func (f Freshness) String() string {
	names := [...]string{"", "current", "stale", "not compared"}
	if f > 0 && int(f) < len(names) {
		return names[f]
	}
	return fmt.Sprintf("freshness %d", uint8(f))
}

// Records have the past and its results.
type Records interface {
	Ledger
	// PastRows returns results of an algorithm in runs where it succeeded, in the order asked.
	PastRows(ctx context.Context, id orca.AlgorithmID, runs []orca.Position) ([]orca.PastRow, error)
}

// everything is the position of a run that sees all others.
const everything orca.Position = math.MaxInt64

// Freshness compares the rows that a look gave to the run of a window at a position with those that it would give to a
// run that comes now. It compares at most so many rows.
//
// A run that comes now would wait at what is not settled: from there on nothing is known, so that nothing is stale. A
// later run of a window that has kept the result gives the same row.
func (l *Look) Freshness(ctx context.Context, from Records, window orca.WindowID, at orca.Position, most int) (Freshness, error) {
	// What was not settled when the run looked is settled by now, or was passed over.
	given, err := l.Part(ctx, from, View{Window: window, At: at, Available: true}, Place{}, most)
	if err != nil {
		return 0, err
	}
	now, err := l.Part(ctx, from, View{Window: window, At: everything}, Place{}, most)
	if err != nil {
		return 0, err
	}
	verdict, doubts := compare(given, now)
	for some := range slices.Chunk(doubts, doubtsAtOnce) {
		if verdict == Stale {
			break
		}
		same, err := l.sameResults(ctx, from, some)
		if err != nil {
			return 0, err
		}
		if !same {
			verdict = Stale
		}
	}
	return verdict, nil
}

// doubtsAtOnce is how many rows are looked at together.
const doubtsAtOnce = 64

// doubt is a row for which another run of the same window has come.
type doubt struct{ given, now orca.Position }

// compare compares two views of one look. Rows of other runs of the same windows are left in doubt.
func compare(given, now Part) (verdict Freshness, doubts []doubt) {
	for i := range min(len(given.Rows), len(now.Rows)) {
		g, n := given.Rows[i], now.Rows[i]
		if g.Window != n.Window {
			return Stale, nil
		}
		if g.Position != n.Position {
			doubts = append(doubts, doubt{g.Position, n.Position})
		}
	}
	another := len(now.Rows) > len(given.Rows) || now.More && !given.More
	fewer := len(now.Rows) < len(given.Rows) || given.More && !now.More
	switch {
	case another || fewer && now.Open == nil:
		return Stale, nil
	case given.More && now.More:
		return NotCompared, doubts
	}
	return Current, doubts
}

// sameResults reports whether the later runs have kept the results of the earlier ones.
func (l *Look) sameResults(ctx context.Context, from Records, doubts []doubt) (bool, error) {
	var positions []orca.Position
	for _, d := range doubts {
		positions = append(positions, d.given, d.now)
	}
	rows, err := from.PastRows(ctx, l.Of, positions)
	if err != nil {
		return false, err
	}
	for pair := range slices.Chunk(rows, 2) {
		if pair[0].ProducedAt != pair[1].ProducedAt {
			return false, nil
		}
	}
	return true, nil
}
