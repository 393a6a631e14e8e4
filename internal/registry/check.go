package registry

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// checkRegistration refuses what contradicts itself, whatever the registry holds.
func checkRegistration(r orca.Registration) error {
	if orca.AddressOf(r.Connection) == "" {
		return orca.Errorf(orca.Invalid, "the connection string %q has no address: give host:port", r.Connection)
	}
	algorithms := make(map[orca.AlgorithmID]bool, len(r.Algorithms))
	types := map[orca.WindowTypeID]orca.WindowType{}
	for _, a := range r.Algorithms {
		if a.ID.Processor != r.Processor {
			return orca.Errorf(orca.Invalid, "%s is announced by processor %q", a.ID.Full(), r.Processor)
		}
		if algorithms[a.ID] {
			return orca.Errorf(orca.Invalid, "algorithm %v is announced twice: leave one out, or give it another name or version", a.ID)
		}
		algorithms[a.ID] = true
		if err := checkDependencies(a); err != nil {
			return err
		}
		first, seen := types[a.WindowType.ID]
		if !seen {
			types[a.WindowType.ID] = a.WindowType
			if err := checkFields(a.WindowType); err != nil {
				return err
			}
			continue
		}
		if d := fieldDifferences(first.Fields, a.WindowType.Fields, "elsewhere in this registration", "with "+a.ID.String()); d != nil {
			return orca.Errorf(orca.Invalid, "window type %v is defined in two ways: %s: define it once, or give one of them another version",
				a.WindowType.ID, list(d))
		}
	}
	return nil
}

func checkDependencies(a orca.Algorithm) error {
	type need struct {
		on       orca.AlgorithmID
		lookback orca.Lookback
	}
	needs := make(map[need]bool, len(a.Dependencies))
	for _, d := range a.Dependencies {
		n := need{d.On, d.Lookback}
		if needs[n] {
			return orca.Errorf(orca.Invalid, "algorithm %v depends twice on %s with the same lookback: leave one out, or give it another lookback",
				a.ID, d.On.Full())
		}
		needs[n] = true
	}
	return nil
}

func checkFields(t orca.WindowType) error {
	names := make(map[string]bool, len(t.Fields))
	for _, f := range t.Fields {
		if names[f.Name] {
			return orca.Errorf(orca.Invalid, "window type %v has metadata field %q twice: leave one out", t.ID, f.Name)
		}
		names[f.Name] = true
	}
	return nil
}

// checkProject: a processor's name belongs to one project, the first that was said.
func (s *Snapshot) checkProject(r orca.Registration) error {
	known := s.processors[r.Processor].Project
	if known == "" || r.Project == "" || known == r.Project {
		return nil
	}
	return orca.Errorf(orca.Conflict, "processor %q belongs to project %q, and this registration says project %q: "+
		"give the processor another name, or register it under its own project", r.Processor, known, r.Project)
}

// checkImmutables: what never changes within one version, also while an algorithm is retired.
func (s *Snapshot) checkImmutables(r orca.Registration) error {
	var problems []string
	types := map[orca.WindowTypeID]bool{}
	for _, a := range r.Algorithms {
		problems = append(problems, s.algorithmDifferences(a)...)
		known, ok := s.windowTypes[a.WindowType.ID]
		if !ok || types[known.ID] {
			continue
		}
		types[known.ID] = true
		if d := fieldDifferences(known.Fields, a.WindowType.Fields, "in the registry", "in this registration"); d != nil {
			problems = append(problems, fmt.Sprintf("window type %v has other metadata fields: %s", known.ID, list(d)))
		}
	}
	if problems == nil {
		return nil
	}
	return orca.Errorf(orca.Precondition, "%s; this never changes within one version: give what has changed a new version", list(problems))
}

func (s *Snapshot) algorithmDifferences(a orca.Algorithm) []string {
	known := s.algorithms[a.ID]
	if known == nil {
		return nil
	}
	var problems []string
	if was := known.Algorithm.WindowType.ID; was != a.WindowType.ID {
		problems = append(problems, fmt.Sprintf("algorithm %v is registered with window type %v, and this registration says %v", a.ID, was, a.WindowType.ID))
	}
	if was := known.Algorithm.ResultType; was != a.ResultType {
		problems = append(problems, fmt.Sprintf("algorithm %v is registered with result type %v, and this registration says %v", a.ID, was, a.ResultType))
	}
	return problems
}

// fieldDifferences compares names and flags of metadata fields, by name; there and here say where the two come from.
func fieldDifferences(was, is []orca.MetadataField, there, here string) []string {
	if slices.Equal(was, is) {
		return nil
	}
	byName := func(fields []orca.MetadataField) map[string]orca.MetadataField {
		m := make(map[string]orca.MetadataField, len(fields))
		for _, f := range fields {
			m[f.Name] = f
		}
		return m
	}
	before, now := byName(was), byName(is)
	var differences []string
	for name, f := range before {
		g, kept := now[name]
		if !kept {
			differences = append(differences, fmt.Sprintf("field %q is there only %s", name, there))
			continue
		}
		differences = append(differences, flagDifference(name, "filter", f.Filter, g.Filter, there, here)...)
		differences = append(differences, flagDifference(name, "noStore", f.NoStore, g.NoStore, there, here)...)
	}
	for name := range now {
		if _, known := before[name]; !known {
			differences = append(differences, fmt.Sprintf("field %q is there only %s", name, here))
		}
	}
	slices.Sort(differences)
	return differences
}

func flagDifference(field, flag string, before, now bool, there, here string) []string {
	switch {
	case before && !now:
		return []string{fmt.Sprintf("field %q is marked %s only %s", field, flag, there)}
	case now && !before:
		return []string{fmt.Sprintf("field %q is marked %s only %s", field, flag, here)}
	}
	return nil
}

// checkCycles runs on the registry as it would be. Only what was announced can have closed a cycle.
func (s *Snapshot) checkCycles(r orca.Registration) error {
	ids := make([]orca.AlgorithmID, len(r.Algorithms))
	for i, a := range r.Algorithms {
		ids[i] = a.ID
	}
	cycle := plan.Cycle(ids, s.dependencies)
	if cycle == nil {
		return nil
	}
	if len(cycle) == 2 {
		return orca.Errorf(orca.Precondition, "an algorithm depends on itself: %s; its own past results are asked for by its self lookback",
			plan.CycleText(cycle))
	}
	return orca.Errorf(orca.Precondition, "the dependencies form a cycle: %s%s; take one of them out", plan.CycleText(cycle), through(cycle))
}

// through names the processors of a cycle when there are several.
func through(cycle []orca.AlgorithmID) string {
	var names []string
	for _, id := range cycle {
		names = append(names, fmt.Sprintf("%q", id.Processor))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return ""
	}
	return fmt.Sprintf(" (processors %s)", strings.Join(cut(names), ", "))
}

// maxListed bounds the lists in messages.
const maxListed = 10

func list(items []string) string { return strings.Join(cut(items), "; ") }

// cut shortens a list for people.
func cut(items []string) []string {
	if len(items) <= maxListed {
		return items
	}
	return append(slices.Clone(items[:maxListed]), fmt.Sprintf("and %d more", len(items)-maxListed))
}
