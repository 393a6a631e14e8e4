package lookback_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
)

// nanos is a window in nanoseconds, and point one without length.
func nanos(from, to int) orca.Window {
	return orca.Window{From: 1e18 + orca.Time(from), To: 1e18 + orca.Time(to)}
}

func point(at int) orca.Window { return nanos(at, at) }

// Points are windows like others: (to, from) says what is past, and a range of time holds both of its ends.
func TestPointWindows(t *testing.T) {
	t.Parallel()
	back := func(d uint64) orca.Lookback { return orca.Lookback{Range: orca.Extent{Span: d}} }
	after := func(gap uint64, l orca.Lookback) orca.Lookback {
		l.Gap = orca.Extent{Span: gap}
		return l
	}
	all := orca.Lookback{Range: count(9)}
	const hit = 100 // where the point is that looks back, and where intervals that look back end
	for name, c := range map[string]struct {
		spec  orca.Lookback
		other bool // type of the window that looks back
		w     orca.Window
		runs  []orca.PastRun
		rows  []orca.Position
	}{
		"windows that end at a point are past, other points there are not": {
			spec: all, w: point(hit), runs: past(nanos(90, hit), nanos(99, hit), point(hit), point(99), point(101)), rows: []orca.Position{2, 1, 4}},
		"a point where a window ends is not past": {
			spec: all, w: nanos(90, hit), runs: past(point(hit), point(99), point(90), nanos(89, hit)), rows: []orca.Position{4, 2, 3}},
		"of another type, points at the same time are past": {
			spec: all, other: true, w: point(hit), runs: past(nanos(90, hit), point(hit), point(hit), point(101)), rows: []orca.Position{3, 2, 1}},
		"of another type, a point where a window ends is past": {
			spec: all, other: true, w: nanos(90, hit), runs: past(point(hit), point(90), point(101)), rows: []orca.Position{1, 2}},
		"a span before a point": {
			spec: back(10), w: point(hit), runs: past(point(hit), point(99), point(90), point(89), nanos(90, hit), nanos(89, hit)), rows: []orca.Position{5, 2, 3}},
		"a span of a nanosecond": {
			spec: back(1), w: point(hit), runs: past(point(98), point(99), nanos(99, hit), nanos(98, hit)), rows: []orca.Position{3, 2}},
		"a gap of a nanosecond moves both ends of a span": {
			spec: after(1, back(10)), w: point(hit), runs: past(point(88), point(89), point(90), point(99), nanos(89, 99), nanos(90, hit)), rows: []orca.Position{4, 5, 3, 2}},
		"a gap of a nanosecond and a count": {
			spec: after(1, all), w: point(hit), runs: past(nanos(90, hit), point(99), nanos(80, 99), point(98)), rows: []orca.Position{2, 3, 4}},
		"a gap of two nanoseconds": {
			spec: after(2, all), w: point(hit), runs: past(point(99), point(98)), rows: []orca.Position{2}},
		"a point where a window begins is in its span": {
			spec: back(10), w: nanos(hit, 200), runs: past(point(hit), point(101), point(90), point(89), point(200)), rows: []orca.Position{1, 3}},
		"unless a nanosecond is left out": {
			spec: after(1, back(10)), w: nanos(hit, 200), runs: past(point(hit), point(99), point(89), point(88)), rows: []orca.Position{2, 3}},
		"a count takes points within a window": {
			spec: all, w: nanos(hit, 200), runs: past(point(hit), point(101), point(199), point(200)), rows: []orca.Position{3, 2, 1}},
		"a window over the points of another type, both ends included": {
			spec: back(100), other: true, w: nanos(hit, 200), runs: past(point(99), point(hit), point(150), point(200), point(201)), rows: []orca.Position{4, 3, 2}},
		"a nanosecond left out at its end": {
			spec: after(1, back(99)), other: true, w: nanos(hit, 200), runs: past(point(99), point(hit), point(199), point(200)), rows: []orca.Position{3, 2}},
		"a point over windows of another type": {
			spec: back(10), other: true, w: point(hit), runs: past(nanos(90, hit), nanos(89, hit), nanos(90, 99), point(90), point(89)), rows: []orca.Position{1, 3, 4}},
		"the newest of another type without a lookback": {
			other: true, w: point(hit), runs: past(nanos(90, hit), point(99), point(101)), rows: []orca.Position{1}},
		"the newest of another type after a nanosecond": {
			spec: after(1, orca.Lookback{}), other: true, w: point(hit), runs: past(nanos(90, hit), point(99), point(hit)), rows: []orca.Position{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rangeOf(c.spec, c.w, !c.other)
			rows, _ := walked(r, scan(r.Limit(orca.PastQuery{}), c.runs))
			slow, _ := reference(c.spec, c.w, !c.other, c.runs)
			for of, got := range map[string][]orca.Position{"walk": positions(rows), "reference": positions(slow), "model": modelled(c.spec, c.w, c.other, c.runs)} {
				if diff := cmp.Diff(c.rows, got); diff != "" {
					t.Errorf("rows of the %s (-want +got):\n%s", of, diff)
				}
			}
		})
	}
}

// modelled returns what the model of whole histories says of the past runs of an algorithm.
func modelled(l orca.Lookback, w orca.Window, other bool, runs []orca.PastRun) (rows []orca.Position) {
	of := orca.Algorithm{ID: orca.AlgorithmID{Name: "Of"}, WindowType: orca.WindowType{ID: orca.WindowTypeID{Name: "Type"}}}
	looks := orca.Algorithm{ID: orca.AlgorithmID{Name: "Looks"}, WindowType: of.WindowType, Dependencies: []orca.Dependency{{On: of.ID, Lookback: l}}}
	if other {
		looks.WindowType.ID.Name = "Another"
	}
	m := lookbackmodel.Model{Execute: func(w *lookbackmodel.Window, _ *orca.AlgorithmExecution) lookbackmodel.Outcome {
		return lookbackmodel.Outcome{Kind: orca.Succeeded, Result: []byte(w.Origin)}
	}}
	accept := func(w orca.Window, a orca.Algorithm) *lookbackmodel.Run {
		w.Type = a.WindowType.ID
		r := &lookbackmodel.Run{Window: &lookbackmodel.Window{Window: w}, Registry: lookbackmodel.Registry{of.ID: of, looks.ID: looks}}
		m.Accept(r)
		return r
	}
	for _, p := range runs {
		accept(orca.Window{From: p.From, To: p.To, Origin: strconv.Itoa(int(p.Position))}, of)
	}
	for _, row := range accept(w, looks).Given[looks.ID].Dependencies[0].Past {
		position, _ := strconv.Atoi(string(row.Result))
		rows = append(rows, orca.Position(position))
	}
	return rows
}

func positions(runs []orca.PastRun) (list []orca.Position) {
	for _, r := range runs {
		list = append(list, r.Position)
	}
	return list
}
