package registry

import (
	"maps"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// step is a change to the registry, worked out and not yet made.
type step struct {
	next   *Snapshot
	change orca.RegistryChange
	// unchanged: the registry is that already; next is the snapshot itself.
	unchanged bool
	// takenFrom is the processor that lost its address, empty when none did.
	takenFrom string
	// retired by this step, by identity.
	retired []orca.AlgorithmID
}

// announce works out what a registration makes of the registry, as a whole, or why it is refused. The snapshot keeps
// the slices of the registration.
func announce(s *Snapshot, r orca.Registration, now orca.Time) (step, error) {
	if err := checkRegistration(r); err != nil {
		return step{}, err
	}
	if err := s.checkProject(r); err != nil {
		return step{}, err
	}
	if err := s.checkImmutables(r); err != nil {
		return step{}, err
	}
	d := s.draft()
	d.announceWindowTypes(r)
	definitions := d.announceAlgorithms(r)
	d.announceProcessor(r)
	takenFrom := d.announceInstance(r, definitions, now)
	retired := d.retire(r.Processor, now)
	if takenFrom != "" {
		retired = append(retired, d.retire(takenFrom, now)...)
		slices.SortFunc(retired, orca.AlgorithmID.Compare)
	}
	if d.unchanged() {
		return step{next: s, change: d.change, unchanged: true}, nil
	}
	if err := d.next.checkCycles(r); err != nil {
		return step{}, err
	}
	d.next.derive(s)
	return step{next: d.next, change: d.change, takenFrom: takenFrom, retired: retired}, nil
}

// forget works out the registry without one instance.
func forget(s *Snapshot, address string, now orca.Time) step {
	i, known := s.instances[address]
	if !known {
		return step{next: s, unchanged: true}
	}
	d := s.draft()
	d.forget(address)
	retired := d.retire(i.Processor, now)
	d.next.derive(s)
	return step{next: d.next, change: d.change, retired: retired}
}

// announceWindowTypes takes over the registration's definitions where they are new or describe otherwise. Of several
// of one type in a registration the last holds.
func (d *draft) announceWindowTypes(r orca.Registration) {
	announced := map[orca.WindowTypeID]orca.WindowType{}
	var order []orca.WindowTypeID
	for _, a := range r.Algorithms {
		if _, seen := announced[a.WindowType.ID]; !seen {
			order = append(order, a.WindowType.ID)
		}
		announced[a.WindowType.ID] = a.WindowType
	}
	for _, id := range order {
		known, ok := d.base.windowTypes[id]
		if !ok || !sameWindowType(known, announced[id]) {
			d.setWindowType(announced[id])
		}
	}
}

// sameWindowType compares definitions; the order of fields does not count.
func sameWindowType(a, b orca.WindowType) bool {
	return a.Description == b.Description && slices.Equal(sortedFields(a), sortedFields(b))
}

func sortedFields(t orca.WindowType) []orca.MetadataField {
	return slices.SortedFunc(slices.Values(t.Fields), func(a, b orca.MetadataField) int { return strings.Compare(a.Name, b.Name) })
}

// announceAlgorithms takes over the definitions that are new or differ, brings retired algorithms back, and returns
// the definition of each.
func (d *draft) announceAlgorithms(r orca.Registration) map[orca.AlgorithmID]orca.DefinitionHash {
	definitions := make(map[orca.AlgorithmID]orca.DefinitionHash, len(r.Algorithms))
	for _, a := range r.Algorithms {
		hash := plan.Definition(a)
		definitions[a.ID] = hash
		known := d.base.algorithms[a.ID]
		if known != nil && known.definition == hash {
			a = known.Algorithm // the same, if with another order of metadata fields
			if known.Runtime == r.Runtime && !known.Retired {
				continue
			}
		}
		d.setAlgorithm(orca.KnownAlgorithm{Algorithm: a, Runtime: r.Runtime}, hash)
	}
	return definitions
}

func (d *draft) announceProcessor(r orca.Registration) {
	p := orca.Processor{Name: r.Processor, Project: r.Project}
	for _, a := range r.Algorithms {
		p.Newest = append(p.Newest, a.ID)
	}
	slices.SortFunc(p.Newest, orca.AlgorithmID.Compare)
	known, ok := d.base.processors[r.Processor]
	if p.Project == "" {
		p.Project = known.Project
	}
	if !ok || known.Project != p.Project || !sameAlgorithms(known.Newest, p.Newest) {
		d.setProcessor(p)
	}
}

// sameAlgorithms compares with a list that is sorted; known comes in no particular order.
func sameAlgorithms(known, sorted []orca.AlgorithmID) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(known), orca.AlgorithmID.Compare), sorted)
}

// announceInstance replaces what the address announced before, and returns the other processor that lost it.
func (d *draft) announceInstance(r orca.Registration, definitions map[orca.AlgorithmID]orca.DefinitionHash, now orca.Time) (takenFrom string) {
	i := orca.Instance{
		Address:      orca.AddressOf(r.Connection),
		Connection:   r.Connection,
		Processor:    r.Processor,
		Runtime:      r.Runtime,
		Algorithms:   definitions,
		RegisteredAt: now,
	}
	known, ok := d.base.instances[i.Address]
	if ok && known.Connection == i.Connection && known.Processor == i.Processor && known.Runtime == i.Runtime &&
		maps.Equal(known.Algorithms, i.Algorithms) {
		return ""
	}
	d.setInstance(i)
	if ok && known.Processor != r.Processor {
		return known.Processor
	}
	return ""
}
