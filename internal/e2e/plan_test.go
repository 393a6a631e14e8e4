package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// versions are algorithms of one processor that write down by which definition they were asked for and how many
// dependencies they were given.
type versions struct {
	*orcatest.Processor
	begun chan struct{}
	free  chan struct{} // closed when First may end

	mu    sync.Mutex
	asked map[string][]string // by origin of the window
}

func startVersions(t *testing.T, names ...string) *versions {
	v := &versions{begun: make(chan struct{}, 10), free: make(chan struct{}), asked: map[string][]string{}}
	var run []orcatest.Algorithm
	for _, name := range names {
		run = append(run, orcatest.Algorithm{Algorithm: orcatest.Define("W", name), Run: v.run})
	}
	v.Processor = orcatest.NewProcessor(t, "p", run...)
	return v
}

func (v *versions) run(ctx context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
	a := x.GetAlgorithm()
	if a.GetName() == "First" {
		v.begun <- struct{}{}
		select {
		case <-v.free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	origin := req.GetWindow().GetOrigin()
	v.asked[origin] = append(v.asked[origin], fmt.Sprintf("%s %s %d", a.GetName(), a.GetDescription(), len(x.GetDependencies())))
	return orcatest.Value(1), nil
}

// A run that a crash interrupts goes on by the plan that it began with, whatever is registered before it goes on.
// Windows after that have the new plan.
func TestPlanThatChangesBetweenCrashAndRestart(t *testing.T) {
	t.Parallel()
	define := func(name, description string, needs ...*pb.AlgorithmDependency) *pb.Algorithm {
		a := orcatest.Define("W", name, needs...)
		a.Description = description
		return a
	}
	p := startVersions(t, "First", "Second", "Third", "Fourth")
	c := startCore(t)
	announce := func(algorithms ...*pb.Algorithm) {
		r := p.Registration()
		r.SupportedAlgorithms = algorithms
		if _, err := c.RegisterProcessor(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	announce(define("First", "old"), define("Second", "old", orcatest.On("p", "First")), define("Third", "old"))
	emit := func(i int, origin string) {
		w := orcatest.Window("W", "1.0.0", i, nil)
		w.Origin = origin
		if _, err := c.EmitWindow(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	emit(0, "before")
	await := func() {
		select {
		case <-p.begun:
		case <-time.After(orcatest.Patience):
			t.Fatal("First is not asked for")
		}
	}
	await()
	c.kill()
	c.start()
	announce(define("First", "new"), define("Second", "new"), define("Fourth", "new"),
		define("Third", "new", orcatest.On("p", "First"), orcatest.On("p", "Second")))
	close(p.free)
	await()
	emit(1, "after")
	c.waitIdle()

	nodes := map[string][]string{}
	for _, w := range c.windows() {
		var names []string
		for _, n := range w.GetNodes() {
			names = append(names, n.GetAlgorithm().GetName()+" "+strings.TrimPrefix(n.GetOutcome().String(), "OUTCOME_"))
		}
		slices.Sort(names)
		nodes[w.GetWindow().GetWindow().GetOrigin()] = names
	}
	want := map[string][]string{
		"before": {"First SUCCEEDED", "Second SUCCEEDED", "Third SUCCEEDED"},
		"after":  {"First SUCCEEDED", "Fourth SUCCEEDED", "Second SUCCEEDED", "Third SUCCEEDED"},
	}
	if diff := cmp.Diff(want, nodes); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := map[string][]string{}
	for origin, list := range p.asked {
		slices.Sort(list)
		asked[origin] = slices.Compact(list) // what was under way in the crash may have run twice
	}
	want = map[string][]string{
		"before": {"First old 0", "Second old 1", "Third old 0"},
		"after":  {"First new 0", "Fourth new 0", "Second new 0", "Third new 2"},
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
