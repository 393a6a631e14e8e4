package lookback_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

// history is a ledger of one algorithm's runs, in the order of their positions from 1, several of some windows.
type history []pastRun

type pastRun struct {
	orca.PastRun
	produced orca.Position
}

// Past shows the newest run of each window that counts, below a position.
func (h history) Past(_ context.Context, q orca.PastQuery, yield func(orca.PastRun) bool) error {
	newest := map[orca.WindowID]orca.PastRun{}
	for _, r := range h {
		if r.Position < q.Before && r.Kind != orca.Cancelled {
			newest[r.Window] = r.PastRun
		}
	}
	var runs []orca.PastRun
	for _, r := range newest {
		runs = append(runs, r)
	}
	for _, r := range scan(q, runs) {
		if !yield(r) {
			break
		}
	}
	return nil
}

func (h history) PastRows(_ context.Context, _ orca.AlgorithmID, at []orca.Position) ([]orca.PastRow, error) {
	var rows []orca.PastRow
	for _, p := range at {
		rows = append(rows, orca.PastRow{WindowID: h[p-1].Window, Position: p, ProducedAt: h[p-1].produced})
	}
	return rows, nil
}

// histories have few windows, so that most have several runs, of which some keep the result of the one before.
func histories() *rapid.Generator[history] {
	return rapid.Custom(func(t *rapid.T) (h history) {
		windows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) orca.Window {
			from := rapid.IntRange(0, 8).Draw(t, "from")
			return between(from, from+rapid.IntRange(0, 2).Draw(t, "length"))
		}), 1, 4).Draw(t, "windows")
		kinds := []orca.OutcomeKind{orca.Succeeded, orca.Succeeded, orca.Succeeded, orca.Succeeded, orca.HandledFailed, orca.Cancelled, 0}
		before := map[int]pastRun{}
		for i := range rapid.IntRange(3, 14).Draw(t, "runs") {
			k := rapid.IntRange(0, len(windows)-1).Draw(t, "window")
			r := pastRun{produced: orca.Position(i + 1)}
			r.Window, r.Position, r.From, r.To = orca.WindowID(k+1), r.produced, windows[k].From, windows[k].To
			r.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			if b, again := before[k]; again && b.Kind == orca.Succeeded && rapid.IntRange(0, 3).Draw(t, "keep") > 0 {
				r.Kind, r.produced = b.Kind, b.produced
			}
			before[k] = r
			h = append(h, r)
		}
		return h
	})
}

func looks() *rapid.Generator[*lookback.Look] {
	return rapid.Custom(func(t *rapid.T) *lookback.Look {
		l := orca.Lookback{Gap: orca.Extent{Count: rapid.Uint32Range(0, 2).Draw(t, "gap")}}
		if rapid.Bool().Draw(t, "by count") {
			l.Range = count(rapid.Uint32Range(1, 4).Draw(t, "count"))
		} else {
			l.Range = span(rapid.Uint64Range(1, 8).Draw(t, "span"))
		}
		return &lookback.Look{Range: lookback.Other(l, between(0, rapid.IntRange(3, 9).Draw(t, "to")))}
	})
}

// given is what a look gave to a run at a position: windows, and the runs that produced their results. It is read as the
// engine reads it.
func given(t *rapid.T, l *lookback.Look, h history, at orca.Position, available bool) (rows [][2]orca.Position, waits bool) {
	runs, open, err := l.Read(context.Background(), h, 99, at, available)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runs {
		rows = append(rows, [2]orca.Position{r.Window, h[r.Position-1].produced})
	}
	return rows, open != nil
}

// Stale is what would get other results of other windows, or in another order, from a ledger in which all is settled.
func TestFreshness(t *testing.T) {
	t.Parallel()
	seen := map[lookback.Freshness]int{}
	rapid.Check(t, func(t *rapid.T) {
		h, l := histories().Draw(t, "history"), looks().Draw(t, "look")
		at := orca.Position(len(h) - rapid.IntRange(0, len(h)-1).Draw(t, "later"))
		for i := range h { // what the run saw was settled
			if h[i].Kind == 0 && h[i].Position < at {
				h[i].Kind = orca.HandledFailed
			}
		}
		before, _ := given(t, l, h, at, false)
		got, err := l.Freshness(t.Context(), h, 99, at, 100)
		if err != nil {
			t.Fatal(err)
		}
		seen[got]++
		now, waits := given(t, l, h, math.MaxInt64, false)
		if !waits {
			want := lookback.Current
			if !slices.Equal(before, now) {
				want = lookback.Stale
			}
			if got != want {
				t.Fatalf("it is %v, want %v: given %v, now %v", got, want, before, now)
			}
			return
		}
		checkUnsettled(t, l, h, before, got)
	})
	if seen[lookback.Current] == 0 || seen[lookback.Stale] == 0 {
		t.Errorf("only %v were drawn", seen)
	}
}

// A later run of a window that has kept the result gives the same row, and one that has another result does not.
func TestAKeptResultIsTheSameRow(t *testing.T) {
	t.Parallel()
	h := history{}
	for i, r := range past(between(0, 1), between(1, 2), between(0, 1), between(0, 1)) {
		h = append(h, pastRun{r, orca.Position(i + 1)})
	}
	for i := range h[2:] {
		h[2+i].Window = 1
	}
	h[2].produced = 1
	l := &lookback.Look{Range: lookback.Other(orca.Lookback{Range: count(2)}, between(0, 9))}
	var got []string
	for until := 2; until <= 4; until++ {
		f, err := l.Freshness(t.Context(), h[:until], 99, 3, 100)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, f.String())
	}
	if diff := cmp.Diff([]string{"current", "current", "stale"}, got); diff != "" {
		t.Errorf("after two runs, a retry and a reprocess (-want +got):\n%s", diff)
	}
}

// checkUnsettled settles what is open in all ways that there are: what is stale already stays so whatever happens.
func checkUnsettled(t *rapid.T, l *lookback.Look, h history, before [][2]orca.Position, got lookback.Freshness) {
	if got != lookback.Stale {
		return
	}
	for _, kind := range []orca.OutcomeKind{orca.Succeeded, orca.HandledFailed, orca.Cancelled} {
		settled := slices.Clone(h)
		for i := range settled {
			if settled[i].Kind == 0 {
				settled[i].Kind = kind
			}
		}
		if now, _ := given(t, l, settled, math.MaxInt64, false); slices.Equal(before, now) {
			t.Fatalf("it is stale, and is given the same when all that is open is %v: %v", kind, before)
		}
	}
}

// Beyond as many rows as may be compared nothing is said of what looks the same.
func TestFreshnessIsBounded(t *testing.T) {
	t.Parallel()
	h := history{}
	for i, r := range past(between(0, 1), between(1, 2), between(2, 3)) {
		h = append(h, pastRun{r, orca.Position(i + 1)})
	}
	late := h[0]
	late.Window, late.Position, late.produced = 4, 4, 4
	h = append(h, late)
	l := &lookback.Look{Range: lookback.Other(orca.Lookback{Range: span(9)}, between(0, 9))}
	got := map[int]string{}
	for most := range 5 {
		f, err := l.Freshness(t.Context(), h, 99, 4, most)
		if err != nil {
			t.Fatal(err)
		}
		got[most] = f.String()
	}
	want := map[int]string{0: "not compared", 1: "not compared", 2: "not compared", 3: "stale", 4: "stale"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by how many are compared (-want +got):\n%s", diff)
	}
}

// Parts of any sizes come to what is read at once.
func TestParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, l := histories().Draw(t, "history"), looks().Draw(t, "look")
		view := lookback.View{Window: 99, At: orca.Position(rapid.IntRange(1, len(h)+1).Draw(t, "at")), Available: rapid.Bool().Draw(t, "available")}
		want, err := l.Part(t.Context(), h, view, lookback.Place{}, math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		var got lookback.Part
		var place lookback.Place
		for more := true; more; more = got.More {
			limit := rapid.IntRange(0, 3).Draw(t, "limit")
			part, err := l.Part(t.Context(), h, view, place, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(part.Rows) > limit || part.More && len(part.Rows) < limit {
				t.Fatalf("a part of %d has %d rows, and more: %v", limit, len(part.Rows), part.More)
			}
			for _, r := range part.Rows {
				place = place.Next(r)
			}
			got = lookback.Part{Rows: append(got.Rows, part.Rows...), Open: part.Open, More: part.More}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("in parts (-at once +in parts):\n%s", diff)
		}
	})
}
