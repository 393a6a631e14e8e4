package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

func TestSkips(t *testing.T) {
	t.Parallel()
	spread := algorithm("Spread", "Mean")
	elsewhere := algorithm("Report", "Spread")
	elsewhere.ID.Processor = "web"
	p := worldOf(algorithm("Mean"), spread, elsewhere, algorithm("Health", "Noise", "Spread", "Mean"), algorithm("Noise")).build(t)
	at := func(name string) int {
		i := slices.IndexFunc(p.Nodes, func(n plan.Node) bool { return n.Algorithm.ID.Name == name })
		if i < 0 {
			t.Fatalf("no node %s", name)
		}
		return i
	}
	none := func(int) bool { return false }
	for name, test := range map[string]struct {
		settled func(int) bool
		failed  string
		kind    orca.OutcomeKind
		want    []plan.Skip
	}{
		"handled": {none, "Mean", orca.HandledFailed, []plan.Skip{
			{at("Spread"), "needs Mean 1.0.0, which failed (handled)"},
			{at("Health"), "needs Mean 1.0.0, which failed (handled)"},
			{at("Report"), `needs Spread 1.0.0 of processor "stats", which was skipped`},
		}},
		"unhandled": {none, "Spread", orca.UnhandledFailed, []plan.Skip{
			{at("Health"), "needs Spread 1.0.0, which failed (unhandled)"},
			{at("Report"), `needs Spread 1.0.0 of processor "stats", which failed (unhandled)`},
		}},
		"skipped":       {none, "Noise", orca.Skipped, []plan.Skip{{at("Health"), "needs Noise 1.0.0, which was skipped"}}},
		"cancelled":     {none, "Noise", orca.Cancelled, []plan.Skip{{at("Health"), "needs Noise 1.0.0, which was cancelled"}}},
		"succeeded":     {none, "Mean", orca.Succeeded, nil},
		"nothing below": {none, "Report", orca.HandledFailed, nil},
		"settled before": {func(i int) bool { return i == at("Spread") }, "Mean", orca.HandledFailed, []plan.Skip{
			{at("Health"), "needs Mean 1.0.0, which failed (handled)"},
			{at("Report"), `needs Spread 1.0.0 of processor "stats", which was skipped`},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slices.SortFunc(test.want, func(a, b plan.Skip) int { return a.Node - b.Node })
			if diff := cmp.Diff(test.want, p.Skips(test.settled, at(test.failed), test.kind)); diff != "" {
				t.Errorf("skips (-want +got):\n%s", diff)
			}
		})
	}
}

// A node may be found through a shorter way than others of its layer or before it.
func TestSkipsAreInPlanOrder(t *testing.T) {
	t.Parallel()
	p := worldOf(algorithm("A"), algorithm("B", "A"), algorithm("C", "B"), algorithm("D", "B", "A"), algorithm("E", "C", "A")).build(t)
	var got []string
	for _, s := range p.Skips(func(int) bool { return false }, 0, orca.HandledFailed) {
		got = append(got, p.Nodes[s.Node].Algorithm.ID.Name+" "+s.Reason)
	}
	want := []string{
		"B needs A 1.0.0, which failed (handled)", "C needs B 1.0.0, which was skipped",
		"D needs A 1.0.0, which failed (handled)", "E needs A 1.0.0, which failed (handled)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("skips (-want +got):\n%s", diff)
	}
}

// model is a run in the plainest terms.
type model struct {
	plan  *plan.Plan
	kinds map[int]orca.OutcomeKind
}

func (m model) ready() []int {
	var ready []int
	for i, n := range m.plan.Nodes {
		_, settled := m.kinds[i]
		waits := slices.ContainsFunc(n.Needs, func(j int) bool { return m.kinds[j] != orca.Succeeded })
		if !settled && !waits && n.Blocked == "" {
			ready = append(ready, i)
		}
	}
	return ready
}

// reaches reports whether node to depends on node from, directly or not.
func (m model) reaches(from, to int) bool {
	return slices.ContainsFunc(m.plan.Nodes[to].Needs, func(j int) bool { return j == from || m.reaches(from, j) })
}

// A run driven with random outcomes agrees with the model at each step, and settles every node exactly once.
func TestRunsSettleEveryNodeOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		g := plan.NewProgress(p)
		m := model{plan: p, kinds: map[int]orca.OutcomeKind{}}
		settle := func(node int, kind orca.OutcomeKind) {
			if _, twice := m.kinds[node]; twice {
				t.Fatalf("node %d is settled twice", node)
			}
			before := m.ready()
			m.kinds[node] = kind
			after := m.ready()
			fresh := slices.DeleteFunc(slices.Clone(after), func(i int) bool { return slices.Contains(before, i) })
			if diff := cmp.Diff(fresh, g.Settle(node, kind), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("ready through node %d (-want +got):\n%s", node, diff)
			}
			if again := g.Settle(node, orca.Succeeded); again != nil || g.Kind(node) != kind {
				t.Fatalf("settling node %d again changed it to %v and made %v ready", node, g.Kind(node), again)
			}
			if diff := cmp.Diff(after, g.Ready(), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("ready after node %d (-want +got):\n%s", node, diff)
			}
			if got, want := g.Open(), len(p.Nodes)-len(m.kinds); got != want {
				t.Fatalf("%d nodes open, want %d", got, want)
			}
		}
		for i, n := range p.Nodes {
			if n.Blocked != "" {
				settle(i, orca.Skipped)
			}
		}
		for len(g.Ready()) > 0 {
			if g.End() != orca.RunOpen {
				t.Fatalf("ended %v while nodes are ready", g.End())
			}
			node := rapid.SampledFrom(g.Ready()).Draw(t, "node")
			kind := rapid.SampledFrom([]orca.OutcomeKind{orca.Succeeded, orca.Succeeded, orca.HandledFailed, orca.UnhandledFailed, orca.Skipped, orca.Cancelled}).Draw(t, "kind")
			settle(node, kind)
			for _, s := range p.Skips(func(i int) bool { return g.Kind(i) != 0 }, node, kind) {
				settle(s.Node, orca.Skipped)
			}
		}
		checkEnd(t, g, m)
		checkResumed(t, g, m)
	})
}

func checkEnd(t *rapid.T, g *plan.Progress, m model) {
	var kinds []orca.OutcomeKind
	for i := range m.plan.Nodes {
		kinds = append(kinds, m.kinds[i])
	}
	if slices.Contains(kinds, 0) {
		t.Fatalf("the run stands still: %v", kinds)
	}
	if got, want := g.End(), orca.EndOf(kinds); got != want {
		t.Fatalf("ended %v, want %v", got, want)
	}
}

// checkResumed: the same outcomes in any order, as a restart finds them, lead to the same place.
func checkResumed(t *rapid.T, g *plan.Progress, m model) {
	var nodes []int
	for i := range m.plan.Nodes {
		nodes = append(nodes, i)
	}
	if len(nodes) == 0 {
		return
	}
	nodes = rapid.Permutation(nodes).Draw(t, "resumed")
	some := nodes[:rapid.IntRange(0, len(nodes)).Draw(t, "durable")]
	resumed := plan.NewProgress(m.plan)
	known := model{plan: m.plan, kinds: map[int]orca.OutcomeKind{}}
	for _, i := range some {
		resumed.Settle(i, g.Kind(i))
		known.kinds[i] = g.Kind(i)
	}
	if diff := cmp.Diff(known.ready(), resumed.Ready(), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("ready after resuming (-want +got):\n%s", diff)
	}
}

func TestSkipsAreAllThatDependOnTheFailed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		p, err := plan.Build(lap.ID, w.triggered(lap.ID), w.lookup)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Nodes) == 0 {
			return
		}
		m := model{plan: p}
		failed := rapid.IntRange(0, len(p.Nodes)-1).Draw(t, "failed")
		settled := rapid.SliceOfN(rapid.Bool(), len(p.Nodes), len(p.Nodes)).Draw(t, "settled")
		var want, got []int
		for i := range p.Nodes {
			if m.reaches(failed, i) && !settled[i] {
				want = append(want, i)
			}
		}
		for _, s := range p.Skips(func(i int) bool { return settled[i] }, failed, orca.HandledFailed) {
			got = append(got, s.Node)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("skips (-want +got):\n%s", diff)
		}
	})
}

func TestAnEmptyPlanHasSucceeded(t *testing.T) {
	t.Parallel()
	g := plan.NewProgress(worldOf().build(t))
	if g.End() != orca.RunSucceeded || g.Open() != 0 || g.Ready() != nil {
		t.Errorf("end %v, %d open, ready %v", g.End(), g.Open(), g.Ready())
	}
}
