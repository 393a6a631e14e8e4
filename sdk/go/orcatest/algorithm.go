package orcatest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "github.com/orca-telemetry/orca/contract/go"
	orca "github.com/orca-telemetry/orca/sdk/go"
	"github.com/orca-telemetry/orca/sdk/go/internal/offline"
)

// windowType identifies one.
type windowType struct{ name, version string }

func (t windowType) String() string { return t.name + " " + t.version }

// algorithm is one of a core, with its past results.
type algorithm struct {
	id           orca.AlgorithmID
	on           windowType
	definition   *pb.Algorithm
	processor    offline.Processor
	index        int // in the processor
	dependencies []dependency
	self         dependency // over the own results
	results      history
}

// dependency is what an algorithm looks back over.
type dependency struct {
	of   *algorithm
	back lookback
	own  bool     // of the same window type
	same []string // the metadata fields whose values must be equal
}

func newAlgorithm(p offline.Processor, index int) *algorithm {
	definition := p.Algorithms[index]
	return &algorithm{
		id:         orca.AlgorithmID{Processor: p.Name, Name: definition.GetName(), Version: definition.GetVersion()},
		on:         windowType{definition.GetWindowType().GetName(), definition.GetWindowType().GetVersion()},
		definition: definition, processor: p, index: index,
	}
}

// connect finds for each dependency its algorithm.
func connect(announced []*algorithm) error {
	known := map[orca.AlgorithmID]*algorithm{}
	for _, a := range announced {
		known[a.id] = a
	}
	for _, a := range announced {
		a.self = a.dependOn(a, selfLookbackOf(a.definition))
		for _, d := range a.definition.GetDependencies() {
			id := orca.AlgorithmID{Processor: d.GetProcessorName(), Name: d.GetName(), Version: d.GetVersion()}
			if known[id] == nil {
				return fmt.Errorf("%w processors: %v needs %v, which none of them has; give a processor %s with a stand-in",
					orca.ErrInvalid, a.id, id, id.Processor)
			}
			a.dependencies = append(a.dependencies, a.dependOn(known[id], lookbackOf(d)))
		}
	}
	return nil
}

// sorted puts connected algorithms into an order in which each comes after those that it needs.
func sorted(algorithms []*algorithm) ([]*algorithm, error) {
	var done, path []*algorithm
	var visit func(*algorithm) error
	visit = func(a *algorithm) error {
		if slices.Contains(done, a) {
			return nil
		}
		if begin := slices.Index(path, a); begin >= 0 {
			return cycle(append(path[begin:], a))
		}
		path = append(path, a)
		for _, d := range a.dependencies {
			if err := visit(d.of); err != nil {
				return err
			}
		}
		path, done = path[:len(path)-1], append(done, a)
		return nil
	}
	for _, a := range algorithms {
		if err := visit(a); err != nil {
			return nil, err
		}
	}
	return done, nil
}

func cycle(path []*algorithm) error {
	var names []string
	for _, a := range path {
		names = append(names, a.id.Name+" "+a.id.Version)
	}
	return fmt.Errorf("%w dependencies: %s is a cycle", orca.ErrInvalid, strings.Join(names, " → "))
}

// dependOn works out what a lookback compares: a window matches when it has the same values in every field that both
// window types mark as a filter.
func (a *algorithm) dependOn(of *algorithm, back lookback) dependency {
	d := dependency{of: of, back: back, own: a.on == of.on}
	for _, field := range a.definition.GetWindowType().GetMetadataFields() {
		both := slices.ContainsFunc(of.definition.GetWindowType().GetMetadataFields(), func(other *pb.MetadataField) bool {
			return other.GetName() == field.GetName() && other.GetFilter()
		})
		if field.GetFilter() && both {
			d.same = append(d.same, field.GetName())
		}
	}
	return d
}

// execute runs the algorithm as a node of r.
func (a *algorithm) execute(ctx context.Context, r *run, nodes map[*algorithm]*pb.NodeInfo, emit offline.Emit) *pb.Result {
	asked := &pb.ExecuteAlgorithm{Algorithm: a.definition, SelfResults: messages(a.self.past(r))}
	for _, d := range a.dependencies {
		given := &pb.AlgorithmDependencyResult{Algorithm: d.of.definition}
		if node := nodes[d.of]; node != nil {
			given.Result = append(given.Result, &pb.AlgorithmDependencyResultRow{Result: node.GetResult(), Window: r.stored})
		}
		given.Result = append(given.Result, messages(d.past(r))...)
		asked.Dependencies = append(asked.Dependencies, given)
	}
	return a.processor.Execute(ctx, a.index, r.input, asked, emit)
}

func messages(rows []*past) []*pb.AlgorithmDependencyResultRow {
	out := make([]*pb.AlgorithmDependencyResultRow, len(rows))
	for i, row := range rows {
		out[i] = row.AlgorithmDependencyResultRow
	}
	return out
}

// sameFields says whether two declarations of a window type agree. Order and descriptions do not count.
func sameFields(a, b *pb.WindowType) bool {
	flags := func(t *pb.WindowType) map[string][2]bool {
		fields := map[string][2]bool{}
		for _, field := range t.GetMetadataFields() {
			fields[field.GetName()] = [2]bool{field.GetNoStore(), field.GetFilter()}
		}
		return fields
	}
	return maps.Equal(flags(a), flags(b))
}
