package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

var (
	lap    = orca.WindowType{ID: orca.WindowTypeID{Name: "Lap", Version: "1.0.0"}, Description: "a lap", Fields: []orca.MetadataField{{Name: "car", Filter: true}, {Name: "driver", NoStore: true}}}
	season = orca.WindowType{ID: orca.WindowTypeID{Name: "Season", Version: "1.0.0"}}
)

func id(name string) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: "stats", Name: name, Version: "1.0.0"}
}

// algorithm returns an algorithm of processor "stats" that Lap triggers.
func algorithm(name string, needs ...string) orca.Algorithm {
	a := orca.Algorithm{ID: id(name), WindowType: lap, ResultType: orca.ResultValue}
	for _, n := range needs {
		a.Dependencies = append(a.Dependencies, orca.Dependency{On: id(n), Runtime: "go1.26"})
	}
	return a
}

// world is everything that was ever announced.
type world struct {
	algorithms map[orca.AlgorithmID]orca.Algorithm
	retired    map[orca.AlgorithmID]bool
}

func worldOf(algorithms ...orca.Algorithm) world {
	w := world{algorithms: map[orca.AlgorithmID]orca.Algorithm{}, retired: map[orca.AlgorithmID]bool{}}
	for _, a := range algorithms {
		w.algorithms[a.ID] = a
	}
	return w
}

func (w world) lookup(id orca.AlgorithmID) (orca.Algorithm, bool, bool) {
	a, ok := w.algorithms[id]
	return a, w.retired[id], ok
}

// triggered returns the active algorithms of type t, by identity.
func (w world) triggered(t orca.WindowTypeID) []orca.Algorithm {
	var found []orca.Algorithm
	for _, id := range slices.SortedFunc(maps.Keys(w.algorithms), orca.AlgorithmID.Compare) {
		if w.algorithms[id].WindowType.ID == t && !w.retired[id] {
			found = append(found, w.algorithms[id])
		}
	}
	return found
}

func (w world) build(t testing.TB) *plan.Plan {
	t.Helper()
	p, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// drawWorld draws algorithms of two processors and two window types whose dependencies form no cycle, some of them
// retired. The order of their names says nothing of the order in which they depend on each other.
func drawWorld(t *rapid.T) world {
	w := worldOf()
	names := rapid.Permutation([]string{"A", "B", "C", "D", "E", "F", "G", "H", "I", "J"}).Draw(t, "names")
	names = names[:rapid.IntRange(0, len(names)).Draw(t, "count")]
	var ids []orca.AlgorithmID
	for _, name := range names {
		a := orca.Algorithm{
			ID:          orca.AlgorithmID{Processor: rapid.SampledFrom([]string{"stats", "health"}).Draw(t, "processor"), Name: name, Version: "1.0.0"},
			Description: rapid.String().Draw(t, "description"),
			WindowType:  rapid.SampledFrom([]orca.WindowType{lap, lap, lap, season}).Draw(t, "type"),
			ResultType:  orca.ResultType(rapid.IntRange(1, 4).Draw(t, "result")),
			Self:        drawLookback(t),
		}
		for range rapid.IntRange(0, min(3, len(ids))).Draw(t, "dependencies") {
			a.Dependencies = append(a.Dependencies, orca.Dependency{On: rapid.SampledFrom(ids).Draw(t, "on"), Runtime: "go", Lookback: drawLookback(t)})
		}
		ids = append(ids, a.ID)
		w.algorithms[a.ID] = a
		if rapid.IntRange(0, 9).Draw(t, "retired") == 0 {
			w.retired[a.ID] = true
		}
	}
	return w
}

func drawLookback(t *rapid.T) orca.Lookback {
	extent := rapid.OneOf(
		rapid.Just(orca.Extent{}),
		rapid.Map(rapid.Uint32(), func(n uint32) orca.Extent { return orca.Extent{Count: n} }),
		rapid.Map(rapid.Uint64(), func(n uint64) orca.Extent { return orca.Extent{Span: n} }),
	)
	return orca.Lookback{Range: extent.Draw(t, "range"), Gap: extent.Draw(t, "gap")}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	yearly := algorithm("Yearly")
	yearly.WindowType = season
	elsewhere := algorithm("Spread", "Mean")
	elsewhere.ID.Processor = "health"
	twice := algorithm("Trend", "Mean", "Yearly", "Mean")
	twice.Dependencies[2].Lookback.Range.Count = 3
	w := worldOf(algorithm("Mean"), elsewhere, twice, yearly)
	mean, spread := w.algorithms[id("Mean")], w.algorithms[elsewhere.ID]

	got := w.build(t)
	want := []plan.Node{
		{Algorithm: mean, Dependents: []int{1, 2}},
		{Algorithm: spread, Inputs: []plan.Input{{Node: 0, Algorithm: &mean}}, Needs: []int{0}},
		{
			Algorithm: twice,
			Inputs:    []plan.Input{{Node: 0, Algorithm: &mean}, {Node: -1, Algorithm: &yearly}, {Node: 0, Algorithm: &mean}},
			Needs:     []int{0},
		},
	}
	// Layer 0 is Mean; in layer 1 processor "health" comes before "stats".
	if diff := cmp.Diff(want, got.Nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	for i, n := range want {
		if got.Definition(i) != plan.Definition(n.Algorithm) {
			t.Errorf("the definition of node %d is not that of %s", i, n.Algorithm.ID.Full())
		}
	}
	if i, ok := got.Index(elsewhere.ID); i != 1 || !ok {
		t.Errorf("Index(Spread) = %d, %v; want 1, true", i, ok)
	}
	if i, ok := got.Index(yearly.ID); ok {
		t.Errorf("Index(Yearly) = %d, although another window type triggers it", i)
	}
}

func TestBuildBlocksWhatNeedsARetiredAlgorithm(t *testing.T) {
	t.Parallel()
	yearly := algorithm("Yearly")
	yearly.WindowType = season
	yearly.ID.Processor = "archive"
	longterm := algorithm("LongTerm")
	longterm.Dependencies = []orca.Dependency{{On: yearly.ID}}
	w := worldOf(algorithm("Mean"), algorithm("Old"), algorithm("Spread", "Mean", "Old"), algorithm("Trend", "Mean"),
		algorithm("Health", "Trend", "Spread"), longterm, yearly)
	w.retired[id("Old")] = true
	w.retired[yearly.ID] = true

	blocked := map[string]string{}
	for _, n := range w.build(t).Nodes {
		blocked[n.Algorithm.ID.Name] = n.Blocked
	}
	want := map[string]string{
		"Mean":     "",
		"Trend":    "",
		"Spread":   "needs Old 1.0.0, which is retired",
		"Health":   "needs Spread 1.0.0, which was skipped",
		"LongTerm": `needs Yearly 1.0.0 of processor "archive", which is retired`,
	}
	if diff := cmp.Diff(want, blocked); diff != "" {
		t.Errorf("blocked (-want +got):\n%s", diff)
	}
}

func TestBuildRefusesAContradictoryRegistry(t *testing.T) {
	t.Parallel()
	yearly := algorithm("Yearly")
	yearly.WindowType = season
	for name, test := range map[string]struct {
		triggered []orca.Algorithm
		known     world
		want      string
	}{
		"a dependency that nobody knows": {
			[]orca.Algorithm{algorithm("Mean", "Ghost")}, worldOf(),
			`plan windows of type Lap 1.0.0: Mean 1.0.0 of processor "stats" needs Ghost 1.0.0 of processor "stats", which is not known`,
		},
		"an algorithm of another type": {
			[]orca.Algorithm{yearly}, worldOf(),
			`plan windows of type Lap 1.0.0: Yearly 1.0.0 of processor "stats" is triggered by Season 1.0.0`,
		},
		"an algorithm twice": {
			[]orca.Algorithm{algorithm("Mean"), algorithm("Mean")}, worldOf(),
			`plan windows of type Lap 1.0.0: Mean 1.0.0 of processor "stats" is there twice`,
		},
		"a dependency of the type that is not triggered": {
			[]orca.Algorithm{algorithm("Mean", "Waiting")}, worldOf(algorithm("Waiting")),
			`plan windows of type Lap 1.0.0: Mean 1.0.0 of processor "stats" needs Waiting 1.0.0 of processor "stats", which is of the same window type and not among its active algorithms`,
		},
		"a cycle": {
			[]orca.Algorithm{algorithm("B", "A"), algorithm("A", "B"), algorithm("C", "B")}, worldOf(),
			`plan windows of type Lap 1.0.0: dependencies form a cycle: A 1.0.0 → B 1.0.0 → A 1.0.0`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := plan.Build(lap.ID, test.triggered, test.known.lookup)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\n want %s", err, test.want)
			}
		})
	}
}

func TestNodesAreInOrderOfLayerAndIdentity(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Nodes) != len(w.triggered(lap.ID)) {
			t.Fatalf("%d nodes for %d algorithms", len(p.Nodes), len(w.triggered(lap.ID)))
		}
		layer := make([]int, len(p.Nodes))
		for i, n := range p.Nodes {
			for _, j := range n.Needs {
				if j >= i {
					t.Fatalf("node %d needs node %d, which comes after it", i, j)
				}
				layer[i] = max(layer[i], layer[j]+1)
			}
			if i == 0 {
				continue
			}
			if layer[i-1] > layer[i] || layer[i-1] == layer[i] && p.Nodes[i-1].Algorithm.ID.Compare(n.Algorithm.ID) >= 0 {
				t.Fatalf("node %d (layer %d, %s) after node %d (layer %d, %s)", i, layer[i], n.Algorithm.ID.Full(), i-1, layer[i-1], p.Nodes[i-1].Algorithm.ID.Full())
			}
		}
	})
}

func TestNodesAreLinkedAsTheirDefinitionsSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		var want []plan.Node
		for i, n := range p.Nodes {
			node := plan.Node{Algorithm: w.algorithms[n.Algorithm.ID]}
			for _, d := range node.Algorithm.Dependencies {
				on := w.algorithms[d.On]
				in := plan.Input{Node: -1, Algorithm: &on}
				if on.WindowType.ID == lap.ID && !w.retired[on.ID] {
					in.Node, _ = p.Index(on.ID)
				}
				node.Inputs = append(node.Inputs, in)
			}
			for j := range p.Nodes {
				if dependsOn(n.Algorithm, p.Nodes[j].Algorithm.ID) {
					node.Needs = append(node.Needs, j)
				}
				if dependsOn(p.Nodes[j].Algorithm, p.Nodes[i].Algorithm.ID) {
					node.Dependents = append(node.Dependents, j)
				}
			}
			if (n.Blocked != "") != canNeverRun(w, n.Algorithm.ID) {
				t.Fatalf("%s: blocked %q", n.Algorithm.ID.Full(), n.Blocked)
			}
			node.Blocked = n.Blocked
			want = append(want, node)
		}
		if diff := cmp.Diff(want, p.Nodes, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("nodes (-want +got):\n%s", diff)
		}
	})
}

func dependsOn(a orca.Algorithm, on orca.AlgorithmID) bool {
	return slices.ContainsFunc(a.Dependencies, func(d orca.Dependency) bool { return d.On == on })
}

// canNeverRun is the definition of a blocked node, taken literally.
func canNeverRun(w world, id orca.AlgorithmID) bool {
	for _, d := range w.algorithms[id].Dependencies {
		on := w.algorithms[d.On]
		if w.retired[on.ID] || on.WindowType.ID == w.algorithms[id].WindowType.ID && canNeverRun(w, on.ID) {
			return true
		}
	}
	return false
}

func TestEqualRegistriesGiveEqualPlans(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		first, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := rapid.Permutation(w.triggered(lap.ID)).Draw(t, "shuffled")
		second, err := plan.Build(lap.ID, shuffled, w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first.Nodes, second.Nodes); diff != "" {
			t.Fatalf("nodes (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(string(first.Content().Content), string(second.Content().Content)); diff != "" {
			t.Fatalf("content (-first +second):\n%s", diff)
		}
	})
}

// deep returns layers × width algorithms, each of which needs three of the layer before.
func deep(layers, width int) world {
	w := worldOf()
	name := func(l, i int) string { return fmt.Sprintf("A%d", (l*width+i)*7919%(layers*width*10)) }
	for l := range layers {
		for i := range width {
			a := algorithm(name(l, i))
			for k := range 3 {
				if l > 0 {
					a.Dependencies = append(a.Dependencies, orca.Dependency{On: id(name(l-1, (i+k)%width)), Runtime: "go"})
				}
			}
			w.algorithms[a.ID] = a
		}
	}
	return w
}

func TestLargePlan(t *testing.T) {
	t.Parallel()
	w := deep(1_000, 10)
	if len(w.algorithms) != 10_000 {
		t.Fatalf("%d algorithms", len(w.algorithms))
	}
	p := w.build(t)
	again, err := plan.Parse(p.Content().Content)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Nodes) != len(p.Nodes) || again.Content().Hash != p.Content().Hash {
		t.Error("the plan did not come back")
	}
	if skips := p.Skips(func(int) bool { return false }, 0, orca.UnhandledFailed); len(skips) < 9_000 {
		t.Errorf("the failure of one node of the first layer takes %d nodes with it", len(skips))
	}
	g := plan.NewProgress(p)
	queue := g.Ready()
	for next := 0; next < len(queue); next++ {
		queue = append(queue, g.Settle(queue[next], orca.Succeeded)...)
	}
	if g.End() != orca.RunSucceeded {
		t.Errorf("the run ended %v with %d open nodes", g.End(), g.Open())
	}
}

func BenchmarkBuild(b *testing.B) {
	w := deep(1_000, 10)
	triggered := w.triggered(lap.ID)
	for b.Loop() {
		if _, err := plan.Build(lap.ID, triggered, w.lookup); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkContent(b *testing.B) {
	w := deep(1_000, 10)
	triggered := w.triggered(lap.ID)
	for b.Loop() {
		b.StopTimer()
		p, err := plan.Build(lap.ID, triggered, w.lookup)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		p.Content()
	}
}

func BenchmarkParse(b *testing.B) {
	content := deep(1_000, 10).build(b).Content().Content
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := plan.Parse(content); err != nil {
			b.Fatal(err)
		}
	}
}
