package plan

import (
	"fmt"

	"github.com/orca-telemetry/orca/internal/orca"
)

// Progress is the frontier of one run: which nodes are settled, and which may run. It is plain state without a lock;
// whoever works on the run owns it.
type Progress struct {
	plan *Plan
	// kinds are the outcomes by node, zero while it is open.
	kinds []orca.OutcomeKind
	// missing counts, by node, the needs that have not succeeded.
	missing []int
	open    int
}

// NewProgress returns the progress of a run of which nothing is settled. Blocked nodes are settled by the caller, like
// all others.
func NewProgress(p *Plan) *Progress {
	g := &Progress{
		plan:    p,
		kinds:   make([]orca.OutcomeKind, len(p.Nodes)),
		missing: make([]int, len(p.Nodes)),
		open:    len(p.Nodes),
	}
	for i := range p.Nodes {
		g.missing[i] = len(p.Nodes[i].Needs)
	}
	return g
}

// Settle records a durable outcome and returns the nodes that became ready through it, in plan order. The first outcome
// of a node counts; settling it again changes nothing.
func (g *Progress) Settle(node int, kind orca.OutcomeKind) (ready []int) {
	if kind < orca.Succeeded || kind > orca.Cancelled {
		panic(fmt.Sprintf("plan: %s settled with %v", g.plan.Nodes[node].Algorithm.ID.Full(), kind))
	}
	if g.kinds[node] != 0 {
		return nil
	}
	g.kinds[node] = kind
	g.open--
	if kind != orca.Succeeded {
		return nil
	}
	for _, i := range g.plan.Nodes[node].Dependents {
		g.missing[i]--
		if g.ready(i) {
			ready = append(ready, i)
		}
	}
	return ready
}

// Ready returns all nodes that may run now, in plan order: open, not blocked, and everything that they need in the run
// has succeeded. Lookbacks are not its concern.
func (g *Progress) Ready() []int {
	var ready []int
	for i := range g.plan.Nodes {
		if g.ready(i) {
			ready = append(ready, i)
		}
	}
	return ready
}

func (g *Progress) ready(node int) bool {
	return g.missing[node] == 0 && g.kinds[node] == 0 && g.plan.Nodes[node].Blocked == ""
}

// Kind returns how a node settled, zero while it is open.
func (g *Progress) Kind(node int) orca.OutcomeKind { return g.kinds[node] }

// Open returns how many nodes have no outcome.
func (g *Progress) Open() int { return g.open }

// End returns the state of the run: RunOpen while a node is open, else the final one.
func (g *Progress) End() orca.RunState {
	if g.open > 0 {
		return orca.RunOpen
	}
	return orca.EndOf(g.kinds)
}
