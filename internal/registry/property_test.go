package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/registry"
)

// view is all that can be seen of a snapshot.
type view struct {
	Version     int64
	WindowTypes []orca.WindowType
	Algorithms  []registry.Algorithm
	Processors  []orca.Processor
	Instances   []orca.Instance
	Exposed     []orca.Registration
	Plans       map[orca.WindowTypeID]string
}

func viewOf(s *registry.Snapshot) view {
	v := view{
		Version: s.Version, WindowTypes: s.WindowTypes(), Algorithms: s.Algorithms(), Processors: s.Processors(),
		Instances: s.Instances(), Exposed: s.Expose(""), Plans: map[orca.WindowTypeID]string{},
	}
	for _, t := range v.WindowTypes {
		v.Plans[t.ID] = string(s.Plan(t.ID).Content().Content)
	}
	return v
}

var compareViews = cmp.Options{cmpopts.IgnoreUnexported(registry.Algorithm{}), cmpopts.EquateEmpty()}

func expectSame(t failer, want, got *registry.Snapshot) {
	t.Helper()
	if diff := cmp.Diff(viewOf(want), viewOf(got), compareViews); diff != "" {
		t.Fatalf("snapshot (-want +got):\n%s", diff)
	}
}

// drawAlgorithms draws some of a processor's algorithms. They need those of any processor, known or not; only what comes
// earlier in the alphabet, so that there is no cycle.
func drawAlgorithms(t *rapid.T, processor string) []orca.Algorithm {
	names := []string{"A", "B", "C", "D", "E"}
	var algorithms []orca.Algorithm
	for i, name := range names {
		if !rapid.Bool().Draw(t, "has "+name) {
			continue
		}
		a := algorithm(id(processor, name))
		if name == "C" { // a type of its own
			a.WindowType = season
		}
		a.Description = rapid.SampledFrom([]string{"", "first", "second"}).Draw(t, "description")
		a.WindowType.Description = rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "words")
		a.WindowType.Fields = rapid.Permutation(a.WindowType.Fields).Draw(t, "fields")
		if i > 0 {
			for range rapid.IntRange(0, 2).Draw(t, "dependencies") {
				on := id(rapid.SampledFrom(processors).Draw(t, "processor"), names[rapid.IntRange(0, i-1).Draw(t, "on")])
				if !slices.ContainsFunc(a.Dependencies, func(d orca.Dependency) bool { return d.On == on }) {
					a.Dependencies = append(a.Dependencies, orca.Dependency{On: on, Runtime: "go1.26"})
				}
			}
		}
		algorithms = append(algorithms, a)
	}
	return algorithms
}

var processors = []string{"p", "q", "r"}

// retirement is the rule, literally: who announced what, and nothing else.
type retirement struct {
	newest    map[string][]orca.AlgorithmID
	instances map[string]orca.Registration // by address
	known     map[orca.AlgorithmID]bool
}

func (m *retirement) register(r orca.Registration) {
	m.newest[r.Processor] = nil
	for _, a := range r.Algorithms {
		m.newest[r.Processor] = append(m.newest[r.Processor], a.ID)
		m.known[a.ID] = true
	}
	m.instances[r.Connection] = r
}

func (m *retirement) retired(id orca.AlgorithmID) bool {
	for _, r := range m.instances {
		if r.Processor == id.Processor && slices.ContainsFunc(r.Algorithms, func(a orca.Algorithm) bool { return a.ID == id }) {
			return false
		}
	}
	return !slices.Contains(m.newest[id.Processor], id)
}

// Whatever is registered and forgotten: algorithms are retired by the rule; the states follow from the definitions; the
// stored registry is the snapshot; every plan has exactly the active algorithms of its type.
func TestAnySequenceOfAnnouncements(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		model := &retirement{map[string][]orca.AlgorithmID{}, map[string]orca.Registration{}, map[orca.AlgorithmID]bool{}}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			address := rapid.SampledFrom([]string{"h:1", "h:2", "h:3", "h:4"}).Draw(t, "address")
			if rapid.IntRange(0, 4).Draw(t, "forget") == 0 {
				w.forget(address)
				delete(model.instances, address)
			} else {
				processor := rapid.SampledFrom(processors).Draw(t, "processor")
				r := registration(processor, address, drawAlgorithms(t, processor)...)
				r.Runtime = rapid.SampledFrom([]string{"go1.26", "python3.13"}).Draw(t, "runtime")
				w.register(r)
				model.register(r)
			}
			checkStates(t, w.Snapshot(), model)
			checkPlans(t, w.Snapshot())
		}
		checkReloaded(t, w)
	})
}

// checkReloaded: what the steps led to is what the store has.
func checkReloaded(t *rapid.T, w *world) {
	reloaded := w.peer()
	if err := reloaded.Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	expectSame(t, w.Snapshot(), reloaded.Snapshot())
}

func checkStates(t *rapid.T, s *registry.Snapshot, m *retirement) {
	want, got := map[string]string{}, map[string]string{}
	for id := range m.known {
		want[id.Full()] = stateOf(s, m, id).String()
	}
	for _, a := range s.Algorithms() {
		got[a.Algorithm.ID.Full()] = a.State.String()
		if (a.State == registry.Waiting) != (len(a.Awaited) > 0) {
			t.Fatalf("%s is %v and awaits %v", a.Algorithm.ID.Full(), a.State, a.Awaited)
		}
		if (a.RetiredAt != 0) != a.Retired {
			t.Fatalf("%s: retired %v at %d", a.Algorithm.ID.Full(), a.Retired, a.RetiredAt)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("states (-want +got):\n%s", diff)
	}
}

func stateOf(s *registry.Snapshot, m *retirement, id orca.AlgorithmID) registry.State {
	if m.retired(id) {
		return registry.Retired
	}
	a, _ := s.Algorithm(id)
	for _, d := range a.Algorithm.Dependencies {
		if !m.known[d.On] || stateOf(s, m, d.On) == registry.Waiting {
			return registry.Waiting
		}
	}
	return registry.Active
}

func checkPlans(t *rapid.T, s *registry.Snapshot) {
	want, got := map[string][]string{}, map[string][]string{}
	for _, a := range s.Algorithms() {
		if a.State == registry.Active {
			name := a.Algorithm.WindowType.ID.String()
			want[name] = append(want[name], a.Algorithm.ID.Full())
		}
	}
	for _, windowType := range s.WindowTypes() {
		for _, n := range s.Plan(windowType.ID).Nodes {
			got[windowType.ID.String()] = append(got[windowType.ID.String()], n.Algorithm.ID.Full())
			known, _ := s.Algorithm(n.Algorithm.ID)
			if diff := cmp.Diff(known.Algorithm, n.Algorithm); diff != "" {
				t.Fatalf("the plan has another definition (-registry +plan):\n%s", diff)
			}
			for _, in := range n.Inputs {
				known, _ := s.Algorithm(in.Algorithm.ID)
				if diff := cmp.Diff(known.Algorithm, *in.Algorithm); diff != "" {
					t.Fatalf("the plan has another definition (-registry +plan):\n%s", diff)
				}
			}
		}
		slices.Sort(got[windowType.ID.String()])
	}
	for _, names := range want {
		slices.Sort(names)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("nodes (-want +got):\n%s", diff)
	}
}

// Processors may start in any order and may need each other.
func TestTheOrderOfRegistrationDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var all []orca.Registration
		for i, p := range processors {
			r := registration(p, fmt.Sprintf("h:%d", i), drawAlgorithms(t, p)...)
			for j := range r.Algorithms { // whose words hold depends on the order, as does whose order of fields
				r.Algorithms[j].WindowType = map[orca.WindowTypeID]orca.WindowType{lap.ID: lap, season.ID: season}[r.Algorithms[j].WindowType.ID]
			}
			all = append(all, r)
		}
		settle := func(order []orca.Registration) view {
			w := newWorld(t)
			for _, r := range order {
				w.register(r)
			}
			v := viewOf(w.Snapshot())
			for i := range v.Instances {
				v.Instances[i].RegisteredAt = 0
			}
			return v
		}
		first := settle(all)
		if diff := cmp.Diff(first, settle(rapid.Permutation(all).Draw(t, "order")), compareViews); diff != "" {
			t.Fatalf("another order (-first +second):\n%s", diff)
		}
	})
}

// Registrations that contradict each other are refused or taken, and what is left can always be planned.
func TestNoRegistrationLeadsToAContradiction(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			processor := rapid.SampledFrom(processors).Draw(t, "processor")
			var algorithms []orca.Algorithm
			for range rapid.IntRange(0, 3).Draw(t, "algorithms") {
				a := algorithm(id(processor, rapid.SampledFrom([]string{"A", "B"}).Draw(t, "name")))
				a.WindowType = rapid.SampledFrom([]orca.WindowType{lap, season, {ID: lap.ID}}).Draw(t, "type")
				for range rapid.IntRange(0, 2).Draw(t, "dependencies") {
					on := id(rapid.SampledFrom(processors).Draw(t, "of"), rapid.SampledFrom([]string{"A", "B"}).Draw(t, "on"))
					a.Dependencies = append(a.Dependencies, orca.Dependency{On: on})
				}
				algorithms = append(algorithms, a)
			}
			before := w.Snapshot()
			r := registration(processor, rapid.SampledFrom([]string{"h:1", "h:2"}).Draw(t, "address"), algorithms...)
			r.Project = rapid.SampledFrom([]string{"", "racing", "sailing"}).Draw(t, "project")
			_, err := w.Register(context.Background(), r)
			refused := errors.Is(err, orca.Invalid) || errors.Is(err, orca.Precondition) || errors.Is(err, orca.Conflict)
			if err != nil && (!refused || w.Snapshot() != before) {
				t.Fatalf("error %v; changed: %v", err, w.Snapshot() != before)
			}
			checkPlans(t, w.Snapshot())
		}
		checkReloaded(t, w)
	})
}
