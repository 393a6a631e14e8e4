package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// State is where an announced algorithm stands.
type State uint8

// The states.
const (
	// Active algorithms are triggered by their window type.
	Active State = iota + 1
	// Waiting algorithms need, directly or not, one that nobody has announced yet. They trigger nothing.
	Waiting
	// Retired algorithms are announced by nobody any more. They trigger nothing, and their past results stay.
	Retired
)

func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Waiting:
		return "waiting"
	case Retired:
		return "retired"
	}
	return fmt.Sprintf("algorithm state %d", uint8(s))
}

// Algorithm is an algorithm with what follows for it from all others.
type Algorithm struct {
	orca.KnownAlgorithm
	State State
	// Awaited are, of a waiting algorithm, the dependencies that are not announced or wait themselves, in the order of
	// the definition.
	Awaited []orca.AlgorithmID

	definition orca.DefinitionHash
}

// Snapshot is the registry at one version. It never changes, and is safe for concurrent use; nothing that it hands out
// may be changed.
type Snapshot struct {
	Version int64

	windowTypes map[orca.WindowTypeID]orca.WindowType
	processors  map[string]orca.Processor
	instances   map[string]orca.Instance // by address
	algorithms  map[orca.AlgorithmID]*Algorithm
	plans       map[orca.WindowTypeID]*lazyPlan // one per window type
	sorted      func() []Algorithm
}

// emptySnapshot is the registry before anything was announced.
func emptySnapshot() *Snapshot {
	s := &Snapshot{
		windowTypes: map[orca.WindowTypeID]orca.WindowType{},
		processors:  map[string]orca.Processor{},
		instances:   map[string]orca.Instance{},
		algorithms:  map[orca.AlgorithmID]*Algorithm{},
	}
	s.derive(s)
	return s
}

// snapshotOf is the registry as the store has it. Plans that are still right are taken over from prev.
func snapshotOf(r orca.Registry, prev *Snapshot) (*Snapshot, error) {
	d := emptySnapshot().draft()
	d.next.Version = r.Version
	for _, t := range r.WindowTypes {
		d.setWindowType(t)
	}
	for _, p := range r.Processors {
		d.setProcessor(p)
	}
	for _, a := range r.Algorithms {
		d.setAlgorithm(a, plan.Definition(a.Algorithm))
	}
	for _, i := range r.Instances {
		d.setInstance(i)
	}
	d.next.derive(prev)
	return d.next, d.next.check()
}

// check makes sure that every window type can be planned.
func (s *Snapshot) check() error {
	ids := make([]orca.AlgorithmID, 0, len(s.algorithms))
	for id, a := range s.algorithms {
		if _, ok := s.windowTypes[a.Algorithm.WindowType.ID]; !ok {
			return fmt.Errorf("the stored registry contradicts itself: it lacks window type %v of %s", a.Algorithm.WindowType.ID, id.Full())
		}
		ids = append(ids, id)
	}
	if cycle := plan.Cycle(ids, s.dependencies); cycle != nil {
		return fmt.Errorf("the stored registry contradicts itself: dependencies form a cycle: %s", plan.CycleText(cycle))
	}
	return nil
}

// dependencies returns what an algorithm needs, once per entry. A retired one needs nothing: it never runs.
func (s *Snapshot) dependencies(id orca.AlgorithmID) []orca.AlgorithmID {
	a := s.algorithms[id]
	if a == nil || a.Retired {
		return nil
	}
	needs := make([]orca.AlgorithmID, len(a.Algorithm.Dependencies))
	for i, d := range a.Algorithm.Dependencies {
		needs[i] = d.On
	}
	return needs
}

// WindowType returns the definition of a window type.
func (s *Snapshot) WindowType(id orca.WindowTypeID) (orca.WindowType, bool) {
	t, ok := s.windowTypes[id]
	return t, ok
}

// Algorithm returns an algorithm that was announced at some time.
func (s *Snapshot) Algorithm(id orca.AlgorithmID) (Algorithm, bool) {
	a := s.algorithms[id]
	if a == nil {
		return Algorithm{}, false
	}
	return *a, true
}

// Plan returns the plan of a window type, which may have no nodes; nil when the type is not registered. It is worked
// out on first use and shared.
func (s *Snapshot) Plan(id orca.WindowTypeID) *plan.Plan {
	p, _ := s.planOf(id)
	return p
}

func (s *Snapshot) planOf(id orca.WindowTypeID) (*plan.Plan, error) {
	lazy := s.plans[id]
	if lazy == nil {
		return nil, nil
	}
	return lazy.get()
}

// Algorithms returns every algorithm that was ever announced, by identity.
func (s *Snapshot) Algorithms() []Algorithm { return s.sorted() }

// Processors returns every processor that ever registered, by name.
func (s *Snapshot) Processors() []orca.Processor {
	return slices.SortedFunc(maps.Values(s.processors), func(a, b orca.Processor) int { return strings.Compare(a.Name, b.Name) })
}

// Instances returns the remembered instances, by address.
func (s *Snapshot) Instances() []orca.Instance {
	return slices.SortedFunc(maps.Values(s.instances), func(a, b orca.Instance) int { return strings.Compare(a.Address, b.Address) })
}

// WindowTypes returns every window type that was ever announced, by identity.
func (s *Snapshot) WindowTypes() []orca.WindowType {
	return slices.SortedFunc(maps.Values(s.windowTypes), func(a, b orca.WindowType) int { return a.ID.Compare(b.ID) })
}

// derive works out everything that follows from what was announced. Prev may be any earlier snapshot.
func (s *Snapshot) derive(prev *Snapshot) {
	s.deriveStates()
	s.derivePlans(prev)
	s.sorted = sync.OnceValue(func() []Algorithm {
		all := make([]Algorithm, 0, len(s.algorithms))
		for _, a := range s.algorithms {
			all = append(all, *a)
		}
		slices.SortFunc(all, func(a, b Algorithm) int { return a.Algorithm.ID.Compare(b.Algorithm.ID) })
		return all
	})
}

// deriveStates says of every algorithm whether it is active. Entries are shared with the snapshot before and are
// replaced, not changed.
func (s *Snapshot) deriveStates() {
	waiting := s.waiting()
	for id, a := range s.algorithms {
		state, awaited := Active, []orca.AlgorithmID(nil)
		switch {
		case a.Retired:
			state = Retired
		case waiting[id]:
			state, awaited = Waiting, s.awaited(a, waiting)
		}
		if a.State != state || !slices.Equal(a.Awaited, awaited) {
			derived := *a
			derived.State, derived.Awaited = state, awaited
			s.algorithms[id] = &derived
		}
	}
}

// waiting returns the algorithms that need, directly or not, one that nobody has announced.
func (s *Snapshot) waiting() map[orca.AlgorithmID]bool {
	waiting := map[orca.AlgorithmID]bool{}
	var queue []orca.AlgorithmID
	for id, a := range s.algorithms {
		if !a.Retired && slices.ContainsFunc(a.Algorithm.Dependencies, s.unknown) {
			waiting[id] = true
			queue = append(queue, id)
		}
	}
	if len(queue) == 0 {
		return nil
	}
	dependents := map[orca.AlgorithmID][]orca.AlgorithmID{}
	for id := range s.algorithms {
		for _, on := range s.dependencies(id) {
			dependents[on] = append(dependents[on], id)
		}
	}
	for next := 0; next < len(queue); next++ {
		for _, id := range dependents[queue[next]] {
			if !waiting[id] {
				waiting[id] = true
				queue = append(queue, id)
			}
		}
	}
	return waiting
}

func (s *Snapshot) unknown(d orca.Dependency) bool { return s.algorithms[d.On] == nil }

func (s *Snapshot) awaited(a *Algorithm, waiting map[orca.AlgorithmID]bool) []orca.AlgorithmID {
	var awaited []orca.AlgorithmID
	for _, d := range a.Algorithm.Dependencies {
		if (s.unknown(d) || waiting[d.On]) && !slices.Contains(awaited, d.On) {
			awaited = append(awaited, d.On)
		}
	}
	return awaited
}

// lazyPlan is the plan of one window type, built when it is first asked for.
type lazyPlan struct {
	get   func() (*plan.Plan, error)
	built atomic.Pointer[plan.Plan]
	// last is the plan of this window type in an earlier snapshot, nil when there was none.
	last *plan.Plan
}

// newest returns the plan that was built last, here or in an earlier snapshot.
func (l *lazyPlan) newest() *plan.Plan {
	if l == nil {
		return nil
	}
	if p := l.built.Load(); p != nil {
		return p
	}
	return l.last
}

// derivePlans gives each window type a plan. One that was built before is shared when nothing in it has changed; one
// that was not is never shared, since it would keep the earlier snapshot in memory.
func (s *Snapshot) derivePlans(prev *Snapshot) {
	touched := s.touched(prev)
	active := map[orca.WindowTypeID][]*Algorithm{}
	for _, a := range s.algorithms {
		if t := a.Algorithm.WindowType.ID; a.State == Active {
			active[t] = append(active[t], a)
		}
	}
	s.plans = make(map[orca.WindowTypeID]*lazyPlan, len(s.windowTypes))
	for t := range s.windowTypes {
		before := prev.plans[t]
		if !touched[t] && before != nil && before.built.Load() != nil {
			s.plans[t] = before
			continue
		}
		s.plans[t] = newLazyPlan(t, active[t], s.lookup, before.newest())
	}
}

func newLazyPlan(t orca.WindowTypeID, active []*Algorithm, lookup plan.Lookup, last *plan.Plan) *lazyPlan {
	l := &lazyPlan{last: last}
	l.get = sync.OnceValues(func() (*plan.Plan, error) {
		triggered := make([]orca.Algorithm, len(active))
		for i, a := range active {
			triggered[i] = a.Algorithm
		}
		p, err := plan.Build(t, triggered, lookup)
		if err != nil {
			return nil, err
		}
		if last != nil && last.Content().Hash == p.Content().Hash {
			p = last
		}
		l.built.Store(p)
		return p, nil
	})
	return l
}

func (s *Snapshot) lookup(id orca.AlgorithmID) (a orca.Algorithm, retired, ok bool) {
	known := s.algorithms[id]
	if known == nil {
		return orca.Algorithm{}, false, false
	}
	return known.Algorithm, known.Retired, true
}

// touched returns the window types whose plans may differ from those of prev: one of their algorithms or of the
// dependencies of these has another definition or state.
func (s *Snapshot) touched(prev *Snapshot) map[orca.WindowTypeID]bool {
	changed := map[orca.AlgorithmID]bool{}
	for id, a := range s.algorithms {
		if before := prev.algorithms[id]; before == nil || before.definition != a.definition || before.State != a.State {
			changed[id] = true
		}
	}
	touched := map[orca.WindowTypeID]bool{}
	if len(changed) == 0 {
		return touched
	}
	for id, a := range s.algorithms {
		onChanged := func(d orca.Dependency) bool { return changed[d.On] }
		if changed[id] || slices.ContainsFunc(a.Algorithm.Dependencies, onChanged) {
			touched[a.Algorithm.WindowType.ID] = true
		}
	}
	return touched
}
