package app_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
)

// TestMain makes properties as many random runs as fit beside all other tests; -rapid.checks asks for more.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "30"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// shape is a DAG over processors: each node with the nodes that it needs.
type shape struct {
	name  string
	nodes []node
}

type node struct {
	name, processor string
	needs           []string
}

func shapes() []shape {
	chain := func(processors ...string) (nodes []node) {
		for i := range 5 {
			n := node{name: fmt.Sprintf("C%d", i), processor: processors[i%len(processors)]}
			if i > 0 {
				n.needs = []string{fmt.Sprintf("C%d", i-1)}
			}
			nodes = append(nodes, n)
		}
		return nodes
	}
	fan := []node{{name: "Root", processor: "p"}}
	var leaves []string
	for i := range 20 {
		leaves = append(leaves, fmt.Sprintf("Leaf%d", i))
		fan = append(fan, node{name: leaves[i], processor: "p", needs: []string{"Root"}})
	}
	fan = append(fan, node{name: "Join", processor: "p", needs: leaves})
	return []shape{
		{"single", []node{{name: "A", processor: "p"}}},
		{"chain", chain("p")},
		{"diamond", []node{
			{name: "A", processor: "p"}, {name: "B", processor: "p", needs: []string{"A"}}, {name: "C", processor: "p", needs: []string{"A"}},
			{name: "D", processor: "p", needs: []string{"A"}}, {name: "E", processor: "p", needs: []string{"B", "C", "D"}},
		}},
		{"fan", fan},
		{"chain across two processors", chain("p", "q")},
		{"branches with a shortcut", []node{
			{name: "A", processor: "p"}, {name: "B", processor: "q", needs: []string{"A"}},
			{name: "C", processor: "p", needs: []string{"B"}}, {name: "D", processor: "q", needs: []string{"B", "A"}},
		}},
	}
}

// Each algorithm of every shape runs once, after its dependencies, with exactly their results in the new request
// fields, and with those of the current window in the deprecated ones.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			core := orcatest.Start(t)
			run := playShape(t, core, s)
			const windows = 20
			ids := make([]string, windows)
			for i := range windows {
				var status pb.WindowEmitStatus_StatusEnum
				if ids[i], status = core.Emit(orcatest.Window("W", "1.0.0", i, nil)); status != pb.WindowEmitStatus_PROCESSING_TRIGGERED {
					t.Fatalf("emit answered %v", status)
				}
			}
			for i, id := range ids {
				checkRun(t, s, i, core.Wait(id))
			}
			run.check(t, s, windows)
		})
	}
}

// value is what the scripted algorithm of a node returns for window i: a function of the node, the window and its
// inputs, so that a wrong input changes everything below it.
func value(i int, name string, inputs []float32) float32 {
	v := float32(i + 1)
	for _, c := range name {
		v += float32(c) / 64
	}
	for k, in := range inputs {
		v += in / float32(k+2)
	}
	return v
}

// played collects what the processors of a shape were asked.
type played struct {
	mu   sync.Mutex
	runs map[string]int // by node and window
	bad  []string
}

func playShape(t *testing.T, core *orcatest.Core, s shape) *played {
	t.Helper()
	p := &played{runs: map[string]int{}}
	byProcessor := map[string][]orcatest.Algorithm{}
	processorOf := map[string]string{}
	for _, n := range s.nodes {
		processorOf[n.name] = n.processor
		var needs []*pb.AlgorithmDependency
		for _, d := range n.needs {
			needs = append(needs, orcatest.On(processorOf[d], d))
		}
		byProcessor[n.processor] = append(byProcessor[n.processor], orcatest.Algorithm{
			Algorithm: orcatest.Define("W", n.name, needs...),
			Run: func(_ context.Context, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) (*pb.Result, error) {
				return p.run(n, req, x), nil
			},
		})
	}
	for _, name := range slices.Sorted(mapsKeys(byProcessor)) {
		core.Processor(name, byProcessor[name]...)
	}
	return p
}

func mapsKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (p *played) run(n node, req *pb.ExecutionRequest, x *pb.ExecuteAlgorithm) *pb.Result {
	i := int(req.GetWindow().GetTimeFrom().GetSeconds() - orcatest.Window("W", "1.0.0", 0, nil).GetTimeFrom().GetSeconds())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[fmt.Sprintf("%s/%d", n.name, i)]++
	legacy := map[string]*pb.AlgorithmResult{}
	for _, r := range req.GetAlgorithmResults() { //nolint:staticcheck // older processors read it
		legacy[r.GetAlgorithm().GetName()] = r
	}
	var inputs []float32
	var names []string
	for _, d := range x.GetDependencies() {
		names = append(names, d.GetAlgorithm().GetName())
		if len(d.GetResult()) != 1 {
			p.bad = append(p.bad, fmt.Sprintf("%s was given %d rows of %s", n.name, len(d.GetResult()), d.GetAlgorithm().GetName()))
			continue
		}
		row := d.GetResult()[0]
		inputs = append(inputs, row.GetResult().GetSingleValue())
		if diff := cmp.Diff(req.GetWindow(), row.GetWindow(), protocmp.Transform()); diff != "" {
			p.bad = append(p.bad, fmt.Sprintf("%s: a row has another window: %s", n.name, diff))
		}
		if diff := cmp.Diff(row.GetResult(), legacy[d.GetAlgorithm().GetName()].GetResult(), protocmp.Transform()); diff != "" {
			p.bad = append(p.bad, fmt.Sprintf("%s: new and deprecated fields differ: %s", n.name, diff))
		}
	}
	if diff := cmp.Diff(n.needs, names); diff != "" {
		p.bad = append(p.bad, fmt.Sprintf("%s: dependencies (-want +got): %s", n.name, diff))
	}
	return orcatest.Value(value(i, n.name, inputs))
}

func (p *played) check(t *testing.T, s shape, windows int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	want := map[string]int{}
	for _, n := range s.nodes {
		for i := range windows {
			want[fmt.Sprintf("%s/%d", n.name, i)] = 1
		}
	}
	if diff := cmp.Diff(want, p.runs); diff != "" {
		t.Errorf("executions (-want +got):\n%s", diff)
	}
	for _, b := range p.bad {
		t.Error(b)
	}
}

// checkRun compares the results of a finished run with those that the shape's nodes give when worked out by hand.
func checkRun(t *testing.T, s shape, i int, w *pb.GetWindowResponse) {
	t.Helper()
	if got := w.GetRun().GetState(); got != pb.RunState_RUN_STATE_SUCCEEDED {
		t.Errorf("window %d: the run is %v", i, got)
	}
	want := map[string]float32{}
	for _, n := range s.nodes {
		var inputs []float32
		for _, d := range n.needs {
			inputs = append(inputs, want[d])
		}
		want[n.name] = value(i, n.name, inputs)
	}
	got := map[string]float32{}
	for _, n := range w.GetNodes() {
		got[n.GetAlgorithm().GetName()] = n.GetResult().GetSingleValue()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("window %d: results (-want +got):\n%s", i, diff)
	}
}
