// Package plan works out what a window of one type sets in motion: the DAG of the algorithms that it triggers, in which
// order they may run, what a failure takes with it and where a run stands. It is pure: no context, no clock, no
// storage, and equal registries give equal plans, to the byte.
//
// Everything here is iterative and linear in the size of the plan, sorting aside: a plan of 10,000 algorithms in 1,000
// layers is an ordinary one.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

// Plan is the DAG that each window of one type runs through. It never changes after Build or Parse, its slices
// included, and is safe to share.
type Plan struct {
	WindowType orca.WindowTypeID
	// Nodes are in topological order: by layer, where a node's layer is one more than the highest that it needs, and
	// by AlgorithmID.Compare within a layer.
	Nodes []Node

	index       map[orca.AlgorithmID]int
	definitions []orca.DefinitionHash  // by node
	runtimes    []string               // by node
	back        [][]lookback.Direction // by node
	content     func() *orca.PlanContent
	begin       func() *orca.Lot
}

// Node is one algorithm of the plan. All indices are places in Plan.Nodes.
type Node struct {
	Algorithm orca.Algorithm
	// Inputs has one entry per dependency of the definition, in its order.
	Inputs []Input
	// Needs are the distinct nodes that it depends on, ascending.
	Needs []int
	// Dependents are the distinct nodes that depend on it, ascending.
	Dependents []int
	// Blocked says why it can never run: it depends on a retired algorithm or on a node that is blocked itself. Empty
	// for a node that can run.
	Blocked string
}

// definitions of the dependencies, in the order of the definition.
func (n *Node) definitions() []*orca.Algorithm {
	list := make([]*orca.Algorithm, len(n.Inputs))
	for i := range n.Inputs {
		list[i] = n.Inputs[i].Algorithm
	}
	return list
}

// Input is where one dependency's results come from.
type Input struct {
	// Node is the dependency's place in this plan, or -1 when another window type triggers it or it is retired.
	Node int
	// Algorithm is the definition of the dependency as the plan has it.
	Algorithm *orca.Algorithm
}

// Lookup finds the definition of any algorithm that was ever announced.
type Lookup = func(orca.AlgorithmID) (a orca.Algorithm, retired, ok bool)

// Build plans the windows of type t. Triggered are the active algorithms whose window type is t, in any order; lookup
// finds those that they depend on. The plan keeps the slices of the definitions, which must not be changed any more.
// An error means that the registry contradicts itself.
func Build(t orca.WindowTypeID, triggered []orca.Algorithm, lookup Lookup) (*Plan, error) {
	sorted := slices.SortedFunc(slices.Values(triggered), func(a, b orca.Algorithm) int { return a.ID.Compare(b.ID) })
	place, err := placesOf(t, sorted)
	if err != nil {
		return nil, fmt.Errorf("plan windows of type %v: %w", t, err)
	}
	foreign, retired, err := resolve(t, sorted, place, lookup)
	if err != nil {
		return nil, fmt.Errorf("plan windows of type %v: %w", t, err)
	}
	ordered, err := byLayer(sorted, place)
	if err != nil {
		return nil, fmt.Errorf("plan windows of type %v: %w", t, err)
	}
	p, err := assemble(t, ordered, foreign)
	if err != nil {
		return nil, fmt.Errorf("plan windows of type %v: %w", t, err)
	}
	p.block(retired)
	p.content = sync.OnceValue(func() *orca.PlanContent { return contentOf(encode(p), p.Nodes) })
	return p, nil
}

// Index returns the place of an algorithm in Nodes.
func (p *Plan) Index(id orca.AlgorithmID) (int, bool) {
	i, ok := p.index[id]
	return i, ok
}

// Definition returns the hash of a node's definition, for finding instances that announced exactly this.
func (p *Plan) Definition(node int) orca.DefinitionHash { return p.definitions[node] }

// LooksBack reports whether a node is handed past results.
func (p *Plan) LooksBack(node int) bool { return len(p.back[node]) > 0 }

// Directions returns where a node looks back at, whatever the window.
func (p *Plan) Directions(node int) []lookback.Direction { return p.back[node] }

// Looks returns where a node of window w looks back at.
func (p *Plan) Looks(node int, w orca.Window) []lookback.Look { return lookback.Looks(p.back[node], w) }

// Begin returns the lot of a run that has just begun: it waits for the algorithms that need nothing in the run. It is nil
// when no node can run.
func (p *Plan) Begin() *orca.Lot { return p.begin() }

func (p *Plan) lot() *orca.Lot {
	var first []orca.AlgorithmID
	for i := range p.Nodes {
		if n := &p.Nodes[i]; len(n.Needs) == 0 && n.Blocked == "" {
			first = append(first, n.Algorithm.ID)
		}
	}
	if len(first) == 0 {
		return nil
	}
	return orca.NewLot(first)
}

// Runtime returns the runtime that is preferred for a node: what the first of its dependents that says one wrote in its
// dependency. Empty when none does.
func (p *Plan) Runtime(node int) string { return p.runtimes[node] }

// placesOf maps each algorithm to its place in the slice, and refuses what cannot be the nodes of a plan for t.
func placesOf(t orca.WindowTypeID, algorithms []orca.Algorithm) (map[orca.AlgorithmID]int, error) {
	place := make(map[orca.AlgorithmID]int, len(algorithms))
	for i, a := range algorithms {
		if a.WindowType.ID != t {
			return nil, fmt.Errorf("%s is triggered by %v", a.ID.Full(), a.WindowType.ID)
		}
		if _, twice := place[a.ID]; twice {
			return nil, fmt.Errorf("%s is there twice", a.ID.Full())
		}
		place[a.ID] = i
	}
	return place, nil
}

// resolve finds the definitions of the dependencies that are not nodes, and which of them are retired.
func resolve(t orca.WindowTypeID, nodes []orca.Algorithm, place map[orca.AlgorithmID]int, lookup Lookup) (
	foreign map[orca.AlgorithmID]*orca.Algorithm, retired map[orca.AlgorithmID]bool, err error,
) {
	foreign = map[orca.AlgorithmID]*orca.Algorithm{}
	retired = map[orca.AlgorithmID]bool{}
	for i := range nodes {
		for _, d := range nodes[i].Dependencies {
			if _, inRun := place[d.On]; inRun || foreign[d.On] != nil {
				continue
			}
			a, gone, ok := lookup(d.On)
			switch {
			case !ok:
				return nil, nil, fmt.Errorf("%s needs %s, which is not known", nodes[i].ID.Full(), d.On.Full())
			case !gone && a.WindowType.ID == t:
				return nil, nil, fmt.Errorf("%s needs %s, which is of the same window type and not among its active algorithms",
					nodes[i].ID.Full(), d.On.Full())
			}
			foreign[d.On] = &a
			if gone {
				retired[d.On] = true
			}
		}
	}
	return foreign, retired, nil
}

// byLayer returns the algorithms, which come sorted by identity, sorted by (layer, identity).
func byLayer(sorted []orca.Algorithm, place map[orca.AlgorithmID]int) ([]orca.Algorithm, error) {
	needs := make([]int, len(sorted)) // entries of dependencies in the run that have no layer yet
	dependents := make([][]int, len(sorted))
	layer := make([]int, len(sorted))
	var placed []int
	for i := range sorted {
		for _, d := range sorted[i].Dependencies {
			if j, inRun := place[d.On]; inRun {
				needs[i]++
				dependents[j] = append(dependents[j], i)
			}
		}
		if needs[i] == 0 {
			placed = append(placed, i)
		}
	}
	for next := 0; next < len(placed); next++ {
		i := placed[next]
		for _, j := range dependents[i] {
			layer[j] = max(layer[j], layer[i]+1)
			if needs[j]--; needs[j] == 0 {
				placed = append(placed, j)
			}
		}
	}
	if len(placed) < len(sorted) {
		return nil, fmt.Errorf("dependencies form a cycle: %s", CycleText(cycleAmong(sorted)))
	}
	layers := make([][]orca.Algorithm, 0)
	for i, l := range layer {
		for l >= len(layers) {
			layers = append(layers, nil)
		}
		layers[l] = append(layers[l], sorted[i])
	}
	return slices.Concat(layers...), nil
}

func cycleAmong(algorithms []orca.Algorithm) []orca.AlgorithmID {
	ids := make([]orca.AlgorithmID, len(algorithms))
	dependencies := make(map[orca.AlgorithmID][]orca.AlgorithmID, len(algorithms))
	for i, a := range algorithms {
		ids[i] = a.ID
		for _, d := range a.Dependencies {
			dependencies[a.ID] = append(dependencies[a.ID], d.On)
		}
	}
	return Cycle(ids, func(id orca.AlgorithmID) []orca.AlgorithmID { return dependencies[id] })
}

// assemble links the algorithms, which come in topological order, with each other and with the foreign definitions.
func assemble(t orca.WindowTypeID, ordered []orca.Algorithm, foreign map[orca.AlgorithmID]*orca.Algorithm) (*Plan, error) {
	index, err := placesOf(t, ordered)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		WindowType: t, Nodes: make([]Node, len(ordered)), index: index,
		definitions: make([]orca.DefinitionHash, len(ordered)), runtimes: make([]string, len(ordered)),
	}
	for i, a := range ordered {
		n := &p.Nodes[i]
		n.Algorithm = a
		p.definitions[i] = Definition(a)
		for _, d := range a.Dependencies {
			if j, inRun := index[d.On]; inRun {
				if j >= i {
					return nil, fmt.Errorf("%s comes before %s, which it needs", a.ID.Full(), d.On.Full())
				}
				n.Inputs = append(n.Inputs, Input{Node: j, Algorithm: &p.Nodes[j].Algorithm})
				n.Needs = append(n.Needs, j)
				p.runtimes[j] = cmp.Or(p.runtimes[j], d.Runtime)
				continue
			}
			definition := foreign[d.On]
			if definition == nil {
				return nil, fmt.Errorf("%s needs %s, whose definition is missing", a.ID.Full(), d.On.Full())
			}
			n.Inputs = append(n.Inputs, Input{Node: -1, Algorithm: definition})
		}
		slices.Sort(n.Needs)
		n.Needs = slices.Compact(n.Needs)
		for _, j := range n.Needs {
			p.Nodes[j].Dependents = append(p.Nodes[j].Dependents, i)
		}
	}
	p.begin = sync.OnceValue(p.lot)
	p.back = make([][]lookback.Direction, len(p.Nodes))
	for i := range p.Nodes {
		n := &p.Nodes[i]
		p.back[i] = lookback.Directions(&n.Algorithm, n.definitions())
	}
	return p, nil
}

// block marks the nodes that can never run. A node's reason is its first dependency, in the order of its definition,
// that is retired or blocked.
func (p *Plan) block(retired map[orca.AlgorithmID]bool) {
	for i := range p.Nodes {
		n := &p.Nodes[i]
		for _, in := range n.Inputs {
			if in.Node < 0 && retired[in.Algorithm.ID] {
				n.Blocked = needs(n.Algorithm.ID, in.Algorithm.ID, "is retired")
				break
			}
			if in.Node >= 0 && p.Nodes[in.Node].Blocked != "" {
				n.Blocked = needs(n.Algorithm.ID, in.Algorithm.ID, "was skipped")
				break
			}
		}
	}
}
