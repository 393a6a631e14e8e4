package engine

import (
	"context"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

var windowType = orca.WindowType{ID: orca.WindowTypeID{Name: "Lap", Version: "1.0.0"}}

// gone is an algorithm that is retired.
var gone = orca.AlgorithmID{Processor: "p", Name: "Gone", Version: "1.0.0"}

// dag plans the algorithms of the given lines, each written "NAME" or "NAME < NAME NAME" with what it needs. A name
// stands for an algorithm of processor p; "q/NAME" is one of processor q, and "q/NAME < Gone" needs a retired one.
func dag(t fataler, lines ...string) *plan.Plan {
	t.Helper()
	algorithms := make([]orca.Algorithm, len(lines))
	for i, line := range lines {
		name, needs, _ := strings.Cut(line, "<")
		algorithms[i] = orca.Algorithm{ID: idOf(name), WindowType: windowType, ResultType: orca.ResultValue}
		for _, need := range strings.Fields(needs) {
			algorithms[i].Dependencies = append(algorithms[i].Dependencies, orca.Dependency{On: idOf(need), Runtime: "go1.26"})
		}
	}
	return build(t, algorithms)
}

// fataler is any kind of test.
type fataler interface {
	Helper()
	Fatal(...any)
}

func build(t fataler, algorithms []orca.Algorithm) *plan.Plan {
	t.Helper()
	p, err := plan.Build(windowType.ID, algorithms, func(id orca.AlgorithmID) (orca.Algorithm, bool, bool) {
		return orca.Algorithm{ID: gone, WindowType: windowType, ResultType: orca.ResultValue}, true, id == gone
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func idOf(name string) orca.AlgorithmID {
	processor, rest, found := strings.Cut(strings.TrimSpace(name), "/")
	if !found {
		processor, rest = "p", processor
	}
	return orca.AlgorithmID{Processor: processor, Name: rest, Version: "1.0.0"}
}

// planner knows one plan, that of windowType.
type planner struct{ plan *plan.Plan }

func (p planner) Plan(_ context.Context, t orca.WindowTypeID) (*plan.Plan, error) {
	if t != windowType.ID {
		return nil, orca.Errorf(orca.NotFound, "window type %v is not registered", t)
	}
	return p.plan, nil
}
