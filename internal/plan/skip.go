package plan

import (
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Skip is a node that cannot run any more.
type Skip struct {
	Node int
	// Reason says in words what it needs and lacks.
	Reason string
}

// Skips returns what the outcome of one node takes with it: all nodes that depend on it, directly or not, and are not
// settled, in plan order. Kind is how that node settled; a success takes nothing.
func (p *Plan) Skips(settled func(node int) bool, failed int, kind orca.OutcomeKind) []Skip {
	if kind == orca.Succeeded {
		return nil
	}
	below := p.below(failed)
	if len(below) == 0 {
		return nil
	}
	lost := make(map[int]bool, len(below))
	for _, i := range below {
		lost[i] = true
	}
	var skips []Skip
	for _, i := range below {
		if !settled(i) {
			skips = append(skips, Skip{Node: i, Reason: p.reason(i, failed, kind, lost)})
		}
	}
	return skips
}

// below returns all nodes that depend on the given one, directly or not, ascending.
func (p *Plan) below(node int) []int {
	found := slices.Clone(p.Nodes[node].Dependents)
	seen := make(map[int]bool, len(found))
	for _, i := range found {
		seen[i] = true
	}
	for next := 0; next < len(found); next++ {
		for _, i := range p.Nodes[found[next]].Dependents {
			if !seen[i] {
				seen[i] = true
				found = append(found, i)
			}
		}
	}
	slices.Sort(found)
	return found
}

// reason names the failed node where node depends on it directly, else its first dependency that was skipped.
func (p *Plan) reason(node, failed int, kind orca.OutcomeKind, lost map[int]bool) string {
	n := &p.Nodes[node]
	if _, direct := slices.BinarySearch(n.Needs, failed); direct {
		return needs(n.Algorithm.ID, p.Nodes[failed].Algorithm.ID, how(kind))
	}
	for _, in := range n.Inputs {
		if lost[in.Node] {
			return needs(n.Algorithm.ID, in.Algorithm.ID, how(orca.Skipped))
		}
	}
	panic(fmt.Sprintf("plan: %s does not depend on %s", n.Algorithm.ID.Full(), p.Nodes[failed].Algorithm.ID.Full()))
}

// how says how a node settled that did not succeed.
func how(kind orca.OutcomeKind) string {
	switch kind {
	case orca.HandledFailed:
		return "failed (handled)"
	case orca.UnhandledFailed:
		return "failed (unhandled)"
	case orca.Skipped:
		return "was skipped"
	case orca.Cancelled:
		return "was cancelled"
	case orca.Succeeded:
	}
	panic(fmt.Sprintf("plan: a node that %v takes nothing with it", kind))
}

// needs writes a reason. The processor is named only where it is another one than the dependent's.
func needs(dependent, dependency orca.AlgorithmID, how string) string {
	name := dependency.String()
	if dependency.Processor != dependent.Processor {
		name = dependency.Full()
	}
	return fmt.Sprintf("needs %s, which %s", name, how)
}
