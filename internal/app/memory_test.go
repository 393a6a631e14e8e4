package app_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	pb "github.com/orca-telemetry/orca/contract/go"
	"github.com/orca-telemetry/orca/internal/orcatest"
	orca "github.com/orca-telemetry/orca/sdk/go"
	memory "github.com/orca-telemetry/orca/sdk/go/orcatest"
)

// What users test on the core in memory of the SDK holds on a real one: any algorithms and any windows, emitted in one
// order, give the same rows, results and outcomes. The real core runs the windows at the same time.
func TestTheCoreInMemoryGivesTheSameRows(t *testing.T) {
	t.Parallel()
	core := orcatest.Start(t)
	client, err := orca.NewClient(orca.WithCore(core.Addresses.GRPC), orca.WithoutEnvironment())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	drawn := 0
	rapid.Check(t, func(t *rapid.T) {
		drawn++
		c := drawCase(t, drawn)
		want, got := c.inMemory(t), c.onCore(t, core, client)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\nin memory (-), on the core (+):\n%s", c, diff)
		}
	})
}

// memoryCase is algorithms and the windows to emit.
type memoryCase struct {
	name       string
	types      []orca.WindowType
	algorithms []drawnAlgorithm
	windows    []orca.Window
}

type drawnAlgorithm struct {
	on    int // its window type
	needs []drawnNeed
	self  orca.Lookback
}

type drawnNeed struct {
	of   int // an earlier algorithm
	back orca.Lookback
}

func (c *memoryCase) String() string {
	var b strings.Builder
	for i, a := range c.algorithms {
		fmt.Fprintf(&b, "A%d on %s: needs %v, self %v\n", i, c.types[a.on].Name, a.needs, a.self)
	}
	for _, on := range c.types {
		fmt.Fprintf(&b, "%s has %+v\n", on.Name, on.Fields)
	}
	for _, w := range c.windows {
		fmt.Fprintln(&b, label(w), w.Metadata["machine"])
	}
	return b.String()
}

func drawCase(t *rapid.T, number int) *memoryCase {
	c := &memoryCase{name: fmt.Sprintf("case-%d", number)}
	for i := range rapid.IntRange(1, 3).Draw(t, "types") {
		filter := rapid.Bool().Draw(t, "filter")
		c.types = append(c.types, orca.WindowType{
			Name: fmt.Sprintf("Case%dType%d", number, i), Version: "1.0.0",
			Fields: []orca.Field{{Name: "n"}, {Name: "machine", Filter: filter, NoStore: filter && rapid.Bool().Draw(t, "noStore")}},
		})
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "algorithms") {
		a := drawnAlgorithm{on: rapid.IntRange(0, len(c.types)-1).Draw(t, "on"), self: drawLookback(t, false)}
		seen := map[drawnNeed]bool{}
		for range rapid.IntRange(0, 3).Draw(t, "needs") {
			if i == 0 {
				break
			}
			of := rapid.IntRange(0, i-1).Draw(t, "of")
			need := drawnNeed{of, drawLookback(t, c.algorithms[of].on != a.on)}
			if !seen[need] {
				seen[need] = true
				a.needs = append(a.needs, need)
			}
		}
		c.algorithms = append(c.algorithms, a)
	}
	began := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for n := range rapid.IntRange(1, 20).Draw(t, "windows") {
		from := began.Add(time.Duration(rapid.IntRange(0, 12).Draw(t, "from")) * time.Second)
		c.windows = append(c.windows, orca.Window{
			Type: rapid.SampledFrom(c.types).Draw(t, "type"), Origin: "test",
			From: from, To: from.Add(time.Duration(rapid.IntRange(0, 4).Draw(t, "length")) * time.Second),
			Metadata: map[string]any{"n": n, "machine": rapid.SampledFrom([]any{"a", "b", nil, math.NaN()}).Draw(t, "machine")},
		})
	}
	return c
}

// drawLookback returns any lookback. A gap alone has a meaning over another window type only.
func drawLookback(t *rapid.T, gapAlone bool) orca.Lookback {
	var back orca.Lookback
	switch rapid.IntRange(0, 2).Draw(t, "lookback") {
	case 1:
		back = orca.Last(rapid.IntRange(1, 5).Draw(t, "count"))
	case 2:
		back = orca.Past(time.Duration(rapid.IntRange(1, 8).Draw(t, "time")) * time.Second)
	}
	if back == (orca.Lookback{}) && !gapAlone {
		return back
	}
	switch rapid.IntRange(0, 2).Draw(t, "gap") {
	case 1:
		back = back.Skip(rapid.IntRange(1, 2).Draw(t, "gap count"))
	case 2:
		back = back.SkipTime(rapid.SampledFrom([]time.Duration{1, time.Second, 3 * time.Second}).Draw(t, "gap time"))
	}
	return back
}

// journal is what algorithms were given, by window and algorithm.
type journal struct {
	mu    sync.Mutex
	given map[string]string
}

// define returns two processors that share the algorithms.
func (c *memoryCase) define(j *journal, options ...orca.ProcessorOption) []*orca.Processor {
	procs := []*orca.Processor{orca.NewProcessor(c.name+"-even", options...), orca.NewProcessor(c.name+"-odd", options...)}
	var defined []*orca.Algorithm[float32]
	for i, a := range c.algorithms {
		overs := make([]orca.Dependency[float32], len(a.needs))
		var more []orca.AlgorithmOption
		for k, need := range a.needs {
			overs[k] = defined[need.of].Over(need.back)
			more = append(more, orca.Needs(overs[k]))
		}
		if a.self != (orca.Lookback{}) {
			more = append(more, orca.NeedsSelf(a.self))
		}
		defined = append(defined, orca.Value(procs[i%2], fmt.Sprintf("A%d", i), "1.0.0", c.types[a.on], func(_ context.Context, run *orca.Run) (float32, error) {
			text := "self " + texts(orca.Self[float32](run))
			for _, over := range overs {
				_, own := over.Current(run)
				text += fmt.Sprintf("; own %v, %s", own, texts(over.Rows(run)))
			}
			return j.compute(fmt.Sprintf("%s A%d", label(run.Window), i), text)
		}, more...))
	}
	return procs
}

// compute notes what an algorithm was given, and returns a result that depends on it, or fails.
func (j *journal) compute(key, text string) (float32, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.given[key] = text
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(key + text))
	if sum.Sum32()%6 == 0 {
		return 0, orca.Failf("no result of %s", key)
	}
	return float32(sum.Sum32() % 1000), nil
}

func label(w orca.Window) string {
	return fmt.Sprintf("%v %s %d-%d", w.Metadata["n"], w.Type.Name, w.From.Unix()%100, w.To.Unix()%100)
}

func texts(rows orca.Rows[float32]) string {
	var out []string
	for _, row := range rows {
		out = append(out, fmt.Sprintf("%s %s %v: %v", label(row.Window), row.Window.Origin, row.Window.Metadata, row.Value))
	}
	return strings.Join(out, ", ")
}

// add takes up a run's outcome: state and reason of each node. Which of several dependencies a reason names depends on
// which is the first to fail.
func (c *memoryCase) add(j *journal, w orca.Window, o *orca.Outcome) {
	for _, node := range o.Nodes {
		text := node.State.String()
		if node.State == orca.NodeHandledFailed || node.State == orca.NodeSkipped && c.edges(node.Algorithm.Name) == 1 {
			text += ": " + node.Reason
		}
		j.given[fmt.Sprintf("%s %s is", label(w), node.Algorithm.Name)] = text
	}
	j.given[label(w)+" is"] = o.State.String()
}

// edges returns on how many algorithms of its own window type an algorithm depends.
func (c *memoryCase) edges(name string) int {
	number, err := strconv.Atoi(name[1:])
	if err != nil {
		panic(err)
	}
	a, needed := c.algorithms[number], map[int]bool{}
	for _, need := range a.needs {
		if c.algorithms[need.of].on == a.on {
			needed[need.of] = true
		}
	}
	return len(needed)
}

func (c *memoryCase) inMemory(t *rapid.T) map[string]string {
	j := &journal{given: map[string]string{}}
	core, err := memory.New(c.define(j, orca.WithoutEnvironment())...)
	if err != nil {
		t.Fatalf("%s\nin memory: %v", c, err)
	}
	for _, w := range c.triggering() {
		outcome, err := core.Emit(t.Context(), w)
		if err != nil {
			t.Fatalf("%s\nin memory: %v", c, err)
		}
		c.add(j, w, outcome)
	}
	return j.given
}

// triggering returns the windows that algorithms are there for. The types of the others are not registered.
func (c *memoryCase) triggering() (windows []orca.Window) {
	used := map[string]bool{}
	for _, a := range c.algorithms {
		used[c.types[a.on].Name] = true
	}
	for _, w := range c.windows {
		if used[w.Type.Name] {
			windows = append(windows, w)
		}
	}
	return windows
}

func (c *memoryCase) onCore(t *rapid.T, core *orcatest.Core, client *orca.Client) map[string]string {
	j := &journal{given: map[string]string{}}
	procs := c.define(j, orca.WithoutEnvironment(), orca.WithCore(core.Addresses.GRPC), orca.WithListen("127.0.0.1:0"))
	ctx, cancel := context.WithTimeout(t.Context(), orcatest.Patience)
	defer cancel()
	for _, proc := range procs {
		defer c.run(ctx, t, proc, core)()
	}
	windows, ids := c.triggering(), []string(nil)
	for _, w := range windows {
		emission, err := client.Emit(ctx, w)
		if err != nil {
			t.Fatalf("%s\n%v", c, err)
		}
		ids = append(ids, emission.WindowID)
	}
	outcomes := make([]*orca.Outcome, len(ids))
	for i, id := range ids {
		var err error
		if outcomes[i], err = client.Wait(ctx, id); err != nil {
			t.Fatalf("%s\n%v", c, err)
		}
	}
	for i, w := range windows {
		c.add(j, w, outcomes[i])
	}
	return j.given
}

// run runs a processor, and returns what ends it.
func (c *memoryCase) run(ctx context.Context, t *rapid.T, proc *orca.Processor, core *orcatest.Core) (end func()) {
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- proc.Run(running) }()
	select {
	case <-proc.Registered():
	case err := <-done:
		cancel()
		t.Fatalf("%s\nprocessor: %v", c, err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("processor: %v", err)
		}
		if _, err := core.ForgetProcessor(t.Context(), &pb.ForgetProcessorRequest{Name: proc.Name()}); err != nil {
			t.Errorf("forget the processor: %v", err)
		}
	}
}
