package registry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
)

// notes is what the announcer should know of a registration that was taken: sentences, none when all is plain.
func (st *step) notes(r orca.Registration) []string {
	var notes []string
	add := func(what string, items []string) {
		if len(items) > 0 {
			notes = append(notes, what+": "+list(items))
		}
	}
	if st.takenFrom != "" {
		notes = append(notes, fmt.Sprintf("address %s was taken from processor %q", orca.AddressOf(r.Connection), st.takenFrom))
	}
	add("waiting", st.next.waitingNotes(r))
	add("retired, since nobody announces them any more", fullNames(st.retired))
	add("never running", st.next.blockedNotes(r, st.retired))
	add("rows of all values will mix", st.next.mixedNotes(r))
	return notes
}

func fullNames(ids []orca.AlgorithmID) []string {
	var names []string
	for _, id := range ids {
		names = append(names, id.Full())
	}
	return names
}

// nameFor names an algorithm to the announcer of a processor.
func nameFor(processor string, id orca.AlgorithmID) string {
	if id.Processor == processor {
		return id.String()
	}
	return id.Full()
}

// waitingNotes says of each announced algorithm that waits what it waits for.
func (s *Snapshot) waitingNotes(r orca.Registration) []string {
	var notes []string
	for _, announced := range r.Algorithms {
		a := s.algorithms[announced.ID]
		if a.State != Waiting {
			continue
		}
		var awaited []string
		for _, id := range a.Awaited {
			name := nameFor(r.Processor, id)
			if s.algorithms[id] == nil {
				awaited = append(awaited, name+", which nobody has announced yet")
			} else {
				awaited = append(awaited, name+", which waits itself")
			}
		}
		notes = append(notes, fmt.Sprintf("%v needs %s", announced.ID, strings.Join(cut(awaited), " and ")))
	}
	return notes
}

// blockedNotes says which algorithms depend on a retired one: of those announced, and of all that were not stopped by
// one before.
func (s *Snapshot) blockedNotes(r orca.Registration, retired []orca.AlgorithmID) []string {
	if !s.anyRetired() {
		return nil
	}
	concerned := map[orca.AlgorithmID]bool{}
	for _, a := range r.Algorithms {
		concerned[a.ID] = true
	}
	var notes []string
	for _, a := range s.concerning(func(dependent orca.AlgorithmID, d orca.Dependency) bool {
		on := s.algorithms[d.On]
		if on == nil || !on.Retired {
			return false
		}
		_, now := slices.BinarySearchFunc(retired, d.On, orca.AlgorithmID.Compare)
		return now || concerned[dependent]
	}) {
		notes = append(notes, fmt.Sprintf("%s needs %s, which is retired", nameFor(r.Processor, a.dependent), nameFor(r.Processor, a.on)))
	}
	return notes
}

func (s *Snapshot) anyRetired() bool {
	for _, a := range s.algorithms {
		if a.Retired {
			return true
		}
	}
	return false
}

// mixedNotes warns of dependencies from or on an announced algorithm whose two window types share a field that only one
// marks filter: a lookback over them takes windows of every value.
func (s *Snapshot) mixedNotes(r orca.Registration) []string {
	if !s.anyMixed() {
		return nil
	}
	announced := map[orca.AlgorithmID]bool{}
	for _, a := range r.Algorithms {
		announced[a.ID] = true
	}
	type pair struct{ dependent, on orca.WindowTypeID }
	fields := map[pair][]string{}
	mixed := func(dependent orca.AlgorithmID, d orca.Dependency) bool {
		on := s.algorithms[d.On]
		if on == nil || !announced[dependent] && !announced[d.On] {
			return false
		}
		p := pair{s.algorithms[dependent].Algorithm.WindowType.ID, on.Algorithm.WindowType.ID}
		if _, known := fields[p]; !known {
			fields[p] = mixedFields(s.windowTypes[p.dependent], s.windowTypes[p.on])
		}
		return len(fields[p]) > 0
	}
	var notes []string
	for _, e := range s.concerning(mixed) {
		dependent, on := s.algorithms[e.dependent].Algorithm.WindowType.ID, s.algorithms[e.on].Algorithm.WindowType.ID
		notes = append(notes, fmt.Sprintf("%s (%v) depends on %s (%v), and only one of the two window types marks %s filter",
			nameFor(r.Processor, e.dependent), dependent, nameFor(r.Processor, e.on), on,
			strings.Join(cut(fields[pair{dependent, on}]), ", ")))
	}
	return notes
}

// anyMixed reports whether any field is marked filter in one window type and not in another.
func (s *Snapshot) anyMixed() bool {
	filter := map[string]bool{}
	for _, t := range s.windowTypes {
		for _, f := range t.Fields {
			if marked, seen := filter[f.Name]; seen && marked != f.Filter {
				return true
			}
			filter[f.Name] = f.Filter
		}
	}
	return false
}

// mixedFields returns the names, quoted, of fields that both types have and only one marks filter.
func mixedFields(a, b orca.WindowType) []string {
	var names []string
	for _, f := range a.Fields {
		if slices.ContainsFunc(b.Fields, func(g orca.MetadataField) bool { return f.Name == g.Name && f.Filter != g.Filter }) {
			names = append(names, fmt.Sprintf("%q", f.Name))
		}
	}
	slices.Sort(names)
	return names
}

// edge is one dependency.
type edge struct{ dependent, on orca.AlgorithmID }

// concerning returns the distinct dependencies of algorithms that are not retired for which is holds, in the order of
// identities.
func (s *Snapshot) concerning(is func(dependent orca.AlgorithmID, d orca.Dependency) bool) []edge {
	var edges []edge
	for id, a := range s.algorithms {
		if a.Retired {
			continue
		}
		for _, d := range a.Algorithm.Dependencies {
			if is(id, d) {
				edges = append(edges, edge{id, d.On})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(a.dependent.Compare(b.dependent), a.on.Compare(b.on)) })
	return slices.Compact(edges)
}

// sentences joins notes into one message.
func sentences(notes []string) string { return strings.Join(notes, ". ") }
