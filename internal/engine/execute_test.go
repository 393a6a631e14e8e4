package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// commitsTake makes every commit of a core take d.
func commitsTake(d time.Duration) func(*setUp) {
	return func(with *setUp) { with.session.commitTime = func() time.Duration { return d } }
}

func TestNodeIsReadyOnlyOnceWhatItNeedsIsDurable(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A"), commitsTake(time.Second))
		c.emit()
		c.succeed(c.next("1 p: A"))
		c.pass(999 * time.Millisecond)
		c.expect() // the commit is under way
		c.pass(time.Millisecond)
		c.expect("1 p: B")
	})
}

func TestSlowBranchHoldsNothingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "Slow", "p/AfterSlow < Slow", "q/Fast", "q/AfterFast < q/Fast", "q/End < q/AfterFast"))
		p := c.emit()
		calls := c.expect("1 p: Slow", "1 q: Fast")
		c.succeed(calls[1])
		c.succeed(c.next("1 q: AfterFast"))
		c.succeed(c.next("1 q: End"))
		c.check(p, "open", "AfterFast succeeded 1", "End succeeded 1", "Fast succeeded 1")
		c.succeed(calls[0])
		c.succeed(c.next("1 p: AfterSlow"))
		c.check(p, "succeeded", "AfterFast succeeded 1", "AfterSlow succeeded 1", "End succeeded 1", "Fast succeeded 1", "Slow succeeded 1")
		c.checkIdle()
	})
}

func TestReadyNodesOfOneRunOnOneProcessorTravelTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := startCore(t, newLedger(), dag(t, "A", "B < A", "q/C < A", "D < A", "q/E < A", "F < B", "q/G < B q/C"))
		c.emit()
		c.emit()
		calls := c.expect("1 p: A", "2 p: A")
		c.succeed(calls[1])
		c.succeed(calls[0])
		calls = c.expect("2 p: B D", "2 q: C E", "1 p: B D", "1 q: C E")
		c.succeed(calls[0], "B")
		c.succeed(calls[1])
		c.expect("2 p: F", "2 q: G")
	})
}

// Each shape is followed wave by wave: everything that is ready is answered, then comes the next wave.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		dag   []string
		waves [][]string
	}{
		{"single", []string{"A"}, [][]string{{"1 p: A"}}},
		{"chain", []string{"A", "B < A", "C < B"}, [][]string{{"1 p: A"}, {"1 p: B"}, {"1 p: C"}}},
		{"diamond", []string{"A", "B < A", "C < A", "D < B C"}, [][]string{{"1 p: A"}, {"1 p: B C"}, {"1 p: D"}}},
		{"fan", []string{"A", "B < A", "C < A", "D < A"}, [][]string{{"1 p: A"}, {"1 p: B C D"}}},
		{"chain across processors", []string{"A", "q/B < A", "C < q/B"}, [][]string{{"1 p: A"}, {"1 q: B"}, {"1 p: C"}}},
		{"edge over a layer", []string{"A", "B < A", "C < B", "D < B A"}, [][]string{{"1 p: A"}, {"1 p: B"}, {"1 p: C D"}}},
		{"one needed twice", []string{"A", "B < A A"}, [][]string{{"1 p: A"}, {"1 p: B"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), dag(t, test.dag...))
				p := c.emit()
				for _, wave := range test.waves {
					for _, call := range c.expect(wave...) {
						c.succeed(call)
					}
				}
				c.expect()
				if r := c.session.run(p); r.State != orca.RunSucceeded {
					t.Errorf("the run is %v", r.State)
				}
				c.checkIdle()
			})
		})
	}
}

// A node is handed exactly the results of its dependencies in the same run, wherever they come from.
func TestInputsAreTheResultsOfTheSameRun(t *testing.T) {
	t.Parallel()
	p := dag(t, "A", "q/B", "C < q/B A q/B", "D < A", "E")
	for name, change := range map[string]func(*setUp){
		"held in memory":       func(*setUp) {},
		"read from the ledger": func(with *setUp) { with.MaxHeldBytes = 1 },
		"some of both":         func(with *setUp) { with.MaxHeldBytes = int64(3 * len(encodedOf(1, idOf("A")))) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), p, change)
				c.emit()
				c.emit()
				calls := c.expect("1 p: A E", "1 q: B", "2 p: A E", "2 q: B")
				for _, call := range []*orca.Call{calls[3], calls[1], calls[2], calls[0]} {
					c.succeed(call)
					synctest.Wait()
				}
				for _, call := range c.expect("2 p: C D", "1 p: C D") {
					checkInputs(t, call, p)
					c.succeed(call)
				}
				c.checkIdle()
			})
		})
	}
}

// A call may be carried out in several requests, each more than once.
func TestPartsOfACallAreBuiltAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := dag(t, "A", "B", "C < A", "D < B A", "E < B")
		c := startCore(t, newLedger(), p, func(with *setUp) { with.MaxHeldBytes = int64(len(encodedOf(1, idOf("A")))) })
		c.emit()
		c.succeed(c.next("1 p: A B"))
		call := c.next("1 p: C D E")
		for range 2 {
			for _, part := range [][]orca.CalledAlgorithm{call.Algorithms[:1], call.Algorithms[1:2], call.Algorithms[2:], call.Algorithms[1:]} {
				checkInputs(t, &orca.Call{Position: 1, Algorithms: part, Build: call.Build}, p)
			}
		}
	})
}

// checkInputs builds a call and compares what it is handed.
func checkInputs(t testing.TB, call *orca.Call, p *plan.Plan) {
	t.Helper()
	em := emission()
	want := &orca.Execution{Input: em.Window, Stored: em.Window}
	want.Input.Metadata = em.FullMetadata
	for _, called := range call.Algorithms {
		i, _ := p.Index(called.ID)
		x := orca.AlgorithmExecution{Algorithm: &p.Nodes[i].Algorithm}
		for _, d := range p.Nodes[i].Algorithm.Dependencies {
			on, _ := p.Index(d.On)
			x.Dependencies = append(x.Dependencies, orca.DependencyRows{
				Algorithm: &p.Nodes[on].Algorithm, Current: encodedOf(call.Position, d.On),
			})
		}
		want.Algorithms = append(want.Algorithms, x)
	}
	got, err := call.Build(t.Context(), call.Algorithms)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("inputs of run %d (-want +got):\n%s", call.Position, diff)
	}
}

func TestCallsCarryDefinitionAndPreferredRuntime(t *testing.T) {
	t.Parallel()
	// The dependents of A are, in plan order, B (which does not say), C and D.
	algorithms := make([]orca.Algorithm, 4)
	for i, runtime := range []string{"", "", "go1.26", "python3.14"} {
		a := orca.Algorithm{ID: idOf(string(rune('A' + i))), WindowType: windowType, ResultType: orca.ResultValue}
		if i > 0 {
			a.Dependencies = []orca.Dependency{{On: idOf("A"), Runtime: runtime}}
		}
		algorithms[i] = a
	}
	built := build(t, algorithms)
	parsed, err := plan.Parse(built.Content().Content)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*plan.Plan{"built": built, "parsed": parsed} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := startCore(t, newLedger(), p)
				c.emit()
				call := c.next("1 p: A")
				c.succeed(call)
				got := [][]orca.CalledAlgorithm{call.Algorithms, c.next("1 p: B C D").Algorithms}
				want := [][]orca.CalledAlgorithm{
					{{ID: idOf("A"), Definition: plan.Definition(algorithms[0]), Runtime: "go1.26"}},
					{
						{ID: idOf("B"), Definition: plan.Definition(algorithms[1])},
						{ID: idOf("C"), Definition: plan.Definition(algorithms[2])},
						{ID: idOf("D"), Definition: plan.Definition(algorithms[3])},
					},
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("called algorithms (-want +got):\n%s", diff)
				}
			})
		})
	}
}
