package lookbackmodel

import (
	"fmt"
	"math/rand/v2"

	"github.com/orca-telemetry/orca/internal/orca"
)

// DrawMutual draws window types, at least two, whose algorithms look back at each other across the types in both directions,
// as far as that makes no cycle: on each of three levels every type has one algorithm, which looks back at those of the
// level below of all other types, and often depends on that of its own. So runs of windows that end at the same time
// wait for each other, each node for a lower position.
func DrawMutual(r *rand.Rand, types int, processors ...string) Registry {
	g := Registry{}
	var below []orca.AlgorithmID // by window type
	for level := range 3 {
		var here []orca.AlgorithmID
		for t := range types {
			a := orca.Algorithm{
				ID:         orca.AlgorithmID{Processor: processors[r.IntN(len(processors))], Name: fmt.Sprintf("L%dT%d", level, t), Version: "1.0.0"},
				WindowType: mutualType(t), ResultType: orca.ResultStruct, Description: "drawn",
			}
			for of, on := range below {
				if of != t || r.IntN(2) == 0 {
					a.Dependencies = append(a.Dependencies, orca.Dependency{On: on, Runtime: "go-test", Lookback: drawLookback(r)})
				}
			}
			if r.IntN(3) > 0 {
				a.Self = drawLookback(r)
			}
			g[a.ID] = a
			here = append(here, a.ID)
		}
		below = here
	}
	return g
}

func mutualType(i int) orca.WindowType {
	return orca.WindowType{ID: orca.WindowTypeID{Name: fmt.Sprintf("Type%d", i), Version: "1.0.0"}, Description: "drawn", Fields: filterFields[:1]}
}

// DrawMutualWindows draws windows of all types of a registry in a random order. Of each type as many end at every one of
// a few times; some are points.
func DrawMutualWindows(r *rand.Rand, types []orca.WindowType, each int, values ...any) (windows []*Window) {
	for end := range orca.Time(each) {
		for i, t := range types {
			w := &Window{Window: orca.Window{Type: t.ID}, Fields: map[string]any{}}
			w.To = first + Unit*(end+5)
			w.From = w.To - Unit*orca.Time((i+r.IntN(2))%3)
			for _, f := range t.Fields {
				w.Fields[f.Name] = values[r.IntN(len(values))]
			}
			windows = append(windows, w)
		}
	}
	r.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
	return windows
}
