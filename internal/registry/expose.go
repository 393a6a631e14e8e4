package registry

import (
	"cmp"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Expose returns what processors announce, as registrations: one per processor name and runtime, each algorithm once,
// under the runtime of the instance that announced it last. Waiting algorithms are there, retired ones are not, and
// neither is a runtime without algorithms. The connection is that of the processor's newest instance of that runtime;
// when none is remembered, of its newest instance of any; empty when there is none.
//
// Processors of excludeProject are left out; an empty one leaves out none. Entries are in the order of processor and
// runtime, algorithms in that of their identities.
func (s *Snapshot) Expose(excludeProject string) []orca.Registration {
	type key struct{ processor, runtime string }
	instances := map[string][]orca.Instance{}
	for _, i := range s.Instances() {
		instances[i.Processor] = append(instances[i.Processor], i)
	}
	entries := map[key]int{}
	var exposed []orca.Registration
	for _, a := range s.Algorithms() {
		p := s.processors[a.Algorithm.ID.Processor]
		if a.State == Retired || excludeProject != "" && p.Project == excludeProject {
			continue
		}
		k := key{p.Name, a.Runtime}
		i, known := entries[k]
		if !known {
			i = len(exposed)
			entries[k] = i
			exposed = append(exposed, orca.Registration{
				Processor: p.Name, Project: p.Project, Runtime: a.Runtime, Connection: connection(instances[p.Name], a.Runtime),
			})
		}
		exposed[i].Algorithms = append(exposed[i].Algorithms, a.Algorithm)
	}
	slices.SortFunc(exposed, func(a, b orca.Registration) int {
		return cmp.Or(cmp.Compare(a.Processor, b.Processor), cmp.Compare(a.Runtime, b.Runtime))
	})
	return exposed
}

// connection chooses among the instances of a processor.
func connection(instances []orca.Instance, runtime string) string {
	if len(instances) == 0 {
		return ""
	}
	best := instances[0]
	for _, i := range instances[1:] {
		if fitter(i, best, runtime) {
			best = i
		}
	}
	return best.Connection
}

// fitter prefers the runtime that is asked for, then the newer registration.
func fitter(a, b orca.Instance, runtime string) bool {
	if (a.Runtime == runtime) != (b.Runtime == runtime) {
		return a.Runtime == runtime
	}
	return a.RegisteredAt > b.RegisteredAt
}
