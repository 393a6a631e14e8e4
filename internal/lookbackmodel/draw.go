package lookbackmodel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Unit is what the times of drawn windows are multiples of, and drawn spans close to multiples of.
const Unit = 10

// first is where the drawn times begin.
const first orca.Time = 1000

// filterFields are what drawn window types may mark filter.
var filterFields = []orca.MetadataField{
	{Name: "asset", Description: "stored", Filter: true},
	{Name: "line", Description: "not stored", Filter: true, NoStore: true},
}

// DrawRegistries draws what is announced first, and after a while: with more algorithms, other dependencies and other
// lookbacks. Algorithms depend on such of any window type that were drawn before them, so there is no cycle.
func DrawRegistries(r *rand.Rand, processors ...string) (early, late Registry) {
	types := make([]orca.WindowType, 1+r.IntN(3))
	left := make([]int, len(types)) // algorithms that a type may still get
	for i := range types {
		types[i] = orca.WindowType{ID: orca.WindowTypeID{Name: fmt.Sprintf("Type%d", i), Version: "1.0.0"}, Description: "drawn"}
		for _, f := range filterFields {
			switch r.IntN(3) {
			case 0:
				types[i].Fields = append(types[i].Fields, f)
			case 1:
				f.Filter = false // carried, and of no concern to lookbacks
				types[i].Fields = append(types[i].Fields, f)
			}
		}
		left[i] = 5
	}
	early, late = Registry{}, Registry{}
	var before []orca.AlgorithmID
	for i := range 1 + r.IntN(5*len(types)) {
		t := r.IntN(len(types))
		if left[t]--; left[t] < 0 {
			continue
		}
		id := orca.AlgorithmID{Processor: processors[r.IntN(len(processors))], Name: fmt.Sprintf("A%02d", i), Version: "1.0.0"}
		late[id] = drawAlgorithm(r, id, types[t], before)
		if len(early) == i && r.IntN(8) > 0 { // so that what it depends on is there early as well
			early[id] = late[id]
			if r.IntN(3) == 0 {
				early[id] = drawAlgorithm(r, id, types[t], before)
			}
		}
		before = append(before, id)
	}
	return early, late
}

func drawAlgorithm(r *rand.Rand, id orca.AlgorithmID, t orca.WindowType, before []orca.AlgorithmID) orca.Algorithm {
	types := []orca.ResultType{orca.ResultStruct, orca.ResultValue, orca.ResultArray, orca.ResultStruct, orca.ResultArray, orca.ResultNone}
	a := orca.Algorithm{ID: id, WindowType: t, ResultType: types[int(id.Name[2])%len(types)], Description: "drawn"} // one type per version
	for range min(r.IntN(4), 2*len(before)) {
		d := orca.Dependency{On: before[r.IntN(len(before))], Runtime: "go-test", Lookback: drawLookback(r)}
		same := func(o orca.Dependency) bool { return o.On == d.On && o.Lookback == d.Lookback }
		if !slices.ContainsFunc(a.Dependencies, same) {
			a.Dependencies = append(a.Dependencies, d)
		}
	}
	if r.IntN(2) == 0 {
		a.Self = drawLookback(r)
	}
	return a
}

func drawLookback(r *rand.Rand) orca.Lookback {
	return orca.Lookback{Range: drawExtent(r, 1, 1, 2, 3, 5, 100), Gap: drawExtent(r, 1, 1, 2, 3)}
}

func drawExtent(r *rand.Rand, counts ...uint32) orca.Extent {
	switch r.IntN(3) {
	case 0:
		return orca.Extent{Count: counts[r.IntN(len(counts))]}
	case 1:
		span := Unit * uint64(r.IntN(6))
		switch r.IntN(6) {
		case 0:
			return orca.Extent{Span: span + 1}
		case 1:
			return orca.Extent{Span: max(span, 1) - 1}
		case 2:
			return orca.Extent{Span: []uint64{math.MaxUint64, math.MaxInt64, 1 << 63}[r.IntN(3)]}
		}
		return orca.Extent{Span: span}
	}
	return orca.Extent{}
}

// DrawWindow draws a window of a type of a registry, among so few times and values that many are equal.
func DrawWindow(r *rand.Rand, types []orca.WindowType, values []any) *Window {
	t := types[r.IntN(len(types))]
	w := &Window{Window: orca.Window{Type: t.ID}, Fields: map[string]any{}}
	w.From = first + Unit*orca.Time(r.IntN(7))
	w.To = w.From + Unit*[]orca.Time{0, 1, 1, 1, 2, 2, 4}[r.IntN(7)]
	for _, f := range t.Fields {
		w.Fields[f.Name] = values[r.IntN(len(values))]
	}
	return w
}

// WindowTypes returns the window types of a registry, by identity.
func (g Registry) WindowTypes() (types []orca.WindowType) {
	for _, a := range g {
		types = append(types, a.WindowType)
	}
	slices.SortFunc(types, func(a, b orca.WindowType) int { return a.ID.Compare(b.ID) })
	return slices.CompactFunc(types, func(a, b orca.WindowType) bool { return a.ID == b.ID })
}

// Triggered returns the algorithms of a window type, in no order.
func (g Registry) Triggered(t orca.WindowTypeID) (list []orca.Algorithm) {
	for _, a := range g {
		if a.WindowType.ID == t {
			list = append(list, a)
		}
	}
	return list
}
