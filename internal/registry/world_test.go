package registry_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/registry"
)

var (
	lap = orca.WindowType{
		ID: orca.WindowTypeID{Name: "Lap", Version: "1.0.0"}, Description: "one lap",
		Fields: []orca.MetadataField{{Name: "car", Description: "number of the car", Filter: true}, {Name: "driver", NoStore: true}},
	}
	season = orca.WindowType{ID: orca.WindowTypeID{Name: "Season", Version: "1.0.0"}}
)

func id(processor, name string) orca.AlgorithmID {
	return orca.AlgorithmID{Processor: processor, Name: name, Version: "1.0.0"}
}

// algorithm returns an algorithm that Lap triggers.
func algorithm(id orca.AlgorithmID, needs ...orca.AlgorithmID) orca.Algorithm {
	a := orca.Algorithm{ID: id, WindowType: lap, ResultType: orca.ResultValue}
	for _, n := range needs {
		a.Dependencies = append(a.Dependencies, orca.Dependency{On: n, Runtime: "go1.26"})
	}
	return a
}

// on returns the algorithm triggered by another window type.
func on(t orca.WindowType, a orca.Algorithm) orca.Algorithm {
	a.WindowType = t
	return a
}

func registration(processor, address string, algorithms ...orca.Algorithm) orca.Registration {
	return orca.Registration{Processor: processor, Runtime: "go1.26", Connection: address, Algorithms: algorithms}
}

// memory is a store that lasts as long as the test.
type memory struct {
	mu       sync.Mutex
	registry orca.Registry
	changes  []orca.RegistryChange
	loads    int
	// change, when set, is called in place of writing, with what would write.
	change func(write func() error) error
}

func (m *memory) LoadRegistry(context.Context) (orca.Registry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	r := m.registry
	r.WindowTypes = slices.Clone(r.WindowTypes)
	r.Processors = slices.Clone(r.Processors)
	r.Algorithms = slices.Clone(r.Algorithms)
	r.Instances = slices.Clone(r.Instances)
	return r, nil
}

func (m *memory) ChangeRegistry(_ context.Context, c orca.RegistryChange) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.change != nil {
		return m.change(func() error { return m.write(c) })
	}
	return m.write(c)
}

func (m *memory) write(c orca.RegistryChange) error {
	r := &m.registry
	if c.Base != r.Version {
		return orca.Errorf(orca.Precondition, "the registry has version %d, not %d", r.Version, c.Base)
	}
	r.Version++
	r.WindowTypes = replace(r.WindowTypes, c.WindowTypes, func(t orca.WindowType) orca.WindowTypeID { return t.ID })
	r.Processors = replace(r.Processors, c.Processors, func(p orca.Processor) string { return p.Name })
	r.Algorithms = replace(r.Algorithms, c.Algorithms, func(a orca.KnownAlgorithm) orca.AlgorithmID { return a.Algorithm.ID })
	r.Instances = replace(r.Instances, c.Instances, func(i orca.Instance) string { return i.Address })
	r.Instances = slices.DeleteFunc(r.Instances, func(i orca.Instance) bool { return slices.Contains(c.Forgotten, i.Address) })
	m.changes = append(m.changes, c)
	return nil
}

func replace[T any, K comparable](all, changed []T, key func(T) K) []T {
	byKey := map[K]T{}
	for _, v := range all {
		byKey[key(v)] = v
	}
	for _, v := range changed {
		byKey[key(v)] = v
	}
	return slices.Collect(maps.Values(byKey))
}

func (m *memory) written() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.changes)
}

func (m *memory) version() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.registry.Version
}

// clock counts how often it was asked.
type clock struct{ now atomic.Int64 }

func (c *clock) Now() orca.Time { return orca.Time(c.now.Add(1)) }

// failer is what a test, a benchmark and a property have in common.
type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// world is a registry on a store of its own.
type world struct {
	t failer
	*registry.Registry
	store *memory
	clock *clock
}

func newWorld(t failer) *world {
	w := &world{t: t, store: &memory{}, clock: &clock{}}
	w.Registry = registry.New(registry.Config{Store: w.store, Now: w.clock.Now})
	return w
}

// register fails the test when the registration is refused.
func (w *world) register(r orca.Registration) (message string) {
	w.t.Helper()
	message, err := w.Register(context.Background(), r)
	if err != nil {
		w.t.Fatalf("register processor %q at %s: %v", r.Processor, r.Connection, err)
	}
	return message
}

func (w *world) forget(address string) {
	w.t.Helper()
	if err := w.Forget(context.Background(), address); err != nil {
		w.t.Fatalf("forget %s: %v", address, err)
	}
}

// states returns the state of every algorithm, by "processor/name".
func (w *world) states() map[string]string {
	states := map[string]string{}
	for _, a := range w.Snapshot().Algorithms() {
		states[a.Algorithm.ID.Processor+"/"+a.Algorithm.ID.Name] = a.State.String()
	}
	return states
}

// planned returns the names of the nodes in the plan of Lap, in its order.
func (w *world) planned() []string {
	p := w.Snapshot().Plan(lap.ID)
	if p == nil {
		return nil
	}
	names := []string{}
	for _, n := range p.Nodes {
		names = append(names, n.Algorithm.ID.Name)
	}
	return names
}

func sortRegistry(r orca.Registry) orca.Registry {
	slices.SortFunc(r.WindowTypes, func(a, b orca.WindowType) int { return a.ID.Compare(b.ID) })
	slices.SortFunc(r.Processors, func(a, b orca.Processor) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Algorithms, func(a, b orca.KnownAlgorithm) int { return a.Algorithm.ID.Compare(b.Algorithm.ID) })
	slices.SortFunc(r.Instances, func(a, b orca.Instance) int { return cmp.Compare(a.Address, b.Address) })
	return r
}
