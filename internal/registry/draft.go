package registry

import (
	"maps"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// draft is the next snapshot while it is made, with the change that leads to it.
type draft struct {
	base, next *Snapshot
	change     orca.RegistryChange
}

// draft begins the next snapshot with a copy of this one.
func (s *Snapshot) draft() *draft {
	return &draft{
		base: s,
		next: &Snapshot{
			Version:     s.Version + 1,
			windowTypes: maps.Clone(s.windowTypes),
			processors:  maps.Clone(s.processors),
			instances:   maps.Clone(s.instances),
			algorithms:  maps.Clone(s.algorithms),
		},
		change: orca.RegistryChange{Base: s.Version},
	}
}

func (d *draft) setWindowType(t orca.WindowType) {
	d.next.windowTypes[t.ID] = t
	d.change.WindowTypes = append(d.change.WindowTypes, t)
}

func (d *draft) setProcessor(p orca.Processor) {
	d.next.processors[p.Name] = p
	d.change.Processors = append(d.change.Processors, p)
}

func (d *draft) setInstance(i orca.Instance) {
	d.next.instances[i.Address] = i
	d.change.Instances = append(d.change.Instances, i)
}

func (d *draft) forget(address string) {
	delete(d.next.instances, address)
	d.change.Forgotten = append(d.change.Forgotten, address)
}

// setAlgorithm shares the definition of the window type with the registry's where they are equal: most registrations
// repeat it with every algorithm.
func (d *draft) setAlgorithm(a orca.KnownAlgorithm, definition orca.DefinitionHash) {
	own := &a.Algorithm.WindowType
	shared, known := d.next.windowTypes[own.ID]
	if known && own.Description == shared.Description && slices.Equal(own.Fields, shared.Fields) {
		*own = shared
	}
	d.next.algorithms[a.Algorithm.ID] = &Algorithm{KnownAlgorithm: a, definition: definition}
	d.change.Algorithms = append(d.change.Algorithms, a)
}

// retire marks the algorithms of a processor that nobody announces any more: neither its newest registration nor a
// remembered instance. It returns them by identity.
func (d *draft) retire(processor string, now orca.Time) []orca.AlgorithmID {
	announced := map[orca.AlgorithmID]bool{}
	for _, id := range d.next.processors[processor].Newest {
		announced[id] = true
	}
	for _, i := range d.next.instances {
		if i.Processor != processor {
			continue
		}
		for id := range i.Algorithms {
			announced[id] = true
		}
	}
	var retired []orca.AlgorithmID
	for id, a := range d.next.algorithms {
		if id.Processor == processor && !a.Retired && !announced[id] {
			retired = append(retired, id)
		}
	}
	slices.SortFunc(retired, orca.AlgorithmID.Compare)
	for _, id := range retired {
		a := d.next.algorithms[id]
		known := a.KnownAlgorithm
		known.Retired, known.RetiredAt = true, now
		d.setAlgorithm(known, a.definition)
	}
	return retired
}

// unchanged reports whether a registration has nothing to write.
func (d *draft) unchanged() bool {
	c := &d.change
	return len(c.WindowTypes)+len(c.Processors)+len(c.Algorithms)+len(c.Instances) == 0
}
