package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// graph is who depends on whom, by name.
type graph map[string][]string

func (g graph) ids() []orca.AlgorithmID {
	var ids []orca.AlgorithmID
	for name := range g {
		ids = append(ids, id(name))
	}
	return ids
}

func (g graph) dependencies(of orca.AlgorithmID) []orca.AlgorithmID {
	var ids []orca.AlgorithmID
	for _, name := range g[of.Name] {
		ids = append(ids, id(name))
	}
	return ids
}

func TestCycle(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		graph graph
		want  string
	}{
		"nothing":                       {graph{}, ""},
		"a diamond":                     {graph{"D": {"B", "C"}, "B": {"A"}, "C": {"A"}, "A": nil}, ""},
		"the same twice":                {graph{"B": {"A", "A"}, "A": nil}, ""},
		"unknown":                       {graph{"B": {"Ghost"}}, ""},
		"itself":                        {graph{"A": {"A"}}, "A 1.0.0 → A 1.0.0"},
		"two":                           {graph{"A": {"B"}, "B": {"A"}}, "A 1.0.0 → B 1.0.0 → A 1.0.0"},
		"beside the way to it":          {graph{"A": {"C"}, "C": {"B"}, "B": {"C"}}, "B 1.0.0 → C 1.0.0 → B 1.0.0"},
		"the shortest through A":        {graph{"A": {"B"}, "B": {"C", "D"}, "C": {"E"}, "E": {"A"}, "D": {"A"}}, "A 1.0.0 → B 1.0.0 → D 1.0.0 → A 1.0.0"},
		"a longer way is seen first":    {graph{"A": {"C", "B"}, "C": {"E"}, "E": {"D"}, "B": {"D"}, "D": {"A"}}, "A 1.0.0 → B 1.0.0 → D 1.0.0 → A 1.0.0"},
		"the smaller of two apart":      {graph{"D": {"E"}, "E": {"D"}, "A": {"B"}, "B": {"A"}}, "A 1.0.0 → B 1.0.0 → A 1.0.0"},
		"begins with the smallest name": {graph{"Z": {"M"}, "M": {"K"}, "K": {"Z"}}, "K 1.0.0 → Z 1.0.0 → M 1.0.0 → K 1.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := plan.CycleText(plan.Cycle(test.graph.ids(), test.graph.dependencies)); got != test.want {
				t.Errorf("cycle %q, want %q", got, test.want)
			}
		})
	}
}

func TestCycleIsFoundExactlyWhereThereIsOne(t *testing.T) {
	t.Parallel()
	names := []string{"A", "B", "C", "D", "E", "F", "G"}
	rapid.Check(t, func(t *rapid.T) {
		g := graph{}
		for _, name := range names {
			g[name] = rapid.SliceOfN(rapid.SampledFrom(names), 0, 2).Draw(t, name)
		}
		ids := rapid.Permutation(g.ids()).Draw(t, "ids")
		cycle := plan.Cycle(ids, g.dependencies)
		if exists := g.cyclic(names); exists != (cycle != nil) {
			t.Fatalf("a cycle exists: %v; found %s", exists, plan.CycleText(cycle))
		}
		if cycle == nil {
			return
		}
		seen := map[orca.AlgorithmID]bool{}
		for i, next := range cycle[1:] {
			if seen[next] {
				t.Fatalf("%s visits %s twice", plan.CycleText(cycle), next)
			}
			seen[next] = true
			if !strings.Contains(fmt.Sprint(g.dependencies(cycle[i])), next.String()) {
				t.Fatalf("%s: %s does not depend on %s", plan.CycleText(cycle), cycle[i], next)
			}
		}
		if cycle[0] != cycle[len(cycle)-1] {
			t.Fatalf("%s is not closed", plan.CycleText(cycle))
		}
		again := plan.Cycle(rapid.Permutation(g.ids()).Draw(t, "other order"), g.dependencies)
		if diff := cmp.Diff(cycle, again); diff != "" {
			t.Fatalf("another order gives another cycle (-first +second):\n%s", diff)
		}
	})
}

// cyclic removes what depends on nothing that is left until nothing changes; what remains then lies on or above a cycle.
func (g graph) cyclic(names []string) bool {
	left := map[string]bool{}
	for _, n := range names {
		left[n] = true
	}
	for range names {
		for n := range left {
			free := true
			for _, d := range g[n] {
				free = free && !left[d]
			}
			if free {
				delete(left, n)
			}
		}
	}
	return len(left) > 0
}

func TestCycleOfTenThousand(t *testing.T) {
	t.Parallel()
	const n = 10_000
	g := graph{}
	for i := range n {
		g[fmt.Sprintf("A%05d", i)] = []string{fmt.Sprintf("A%05d", (i+1)%n)}
	}
	cycle := plan.Cycle(g.ids(), g.dependencies)
	if len(cycle) != n+1 {
		t.Fatalf("cycle of %d", len(cycle))
	}
	text := plan.CycleText(cycle)
	if !strings.HasPrefix(text, "A00000 1.0.0 → A00001 1.0.0 → ") || !strings.Contains(text, "A00049 1.0.0 → (9901 more) → A09951 1.0.0") || !strings.HasSuffix(text, " → A00000 1.0.0") {
		t.Errorf("cycle %s", text)
	}
	delete(g, "A05000")
	if cycle := plan.Cycle(g.ids(), g.dependencies); cycle != nil {
		t.Errorf("a chain is no cycle: %s", plan.CycleText(cycle))
	}
}

func TestCycleTextNamesProcessorsWhereNamesAreAlike(t *testing.T) {
	t.Parallel()
	a, b := id("A"), id("A")
	b.Processor = "web"
	want := `A 1.0.0 of processor "stats" → A 1.0.0 of processor "web" → A 1.0.0 of processor "stats"`
	if got := plan.CycleText([]orca.AlgorithmID{a, b, a}); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
