package engine

import (
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// run is one active run. Only the loop touches what can change in it.
type run struct {
	position orca.Position
	window   orca.WindowID
	filters  []orca.FilterValue
	input    orca.Window // what the algorithms of this run get
	stored   orca.Window // what rows carry
	plan     *plan.Plan

	progress *plan.Progress // durable outcomes only
	nodes    []node
	// kinds are the decided outcomes by node, durable or on their way to the ledger; zero while a node has none.
	kinds []orca.OutcomeKind
	// undecided counts the nodes without one.
	undecided int
	// ready nodes are submitted in the end of this turn of the loop.
	ready   []int
	touched bool // it is in Engine.touched

	// parking: the ledger has been asked to make it a row again. suspected: it is in parking.suspects.
	parking, suspected bool
	expected           []outcomeKey  // that it waits for in the ledger then
	passedBy           []*withdrawal // that wait for the end of that
	lot                orca.LotHash  // that its row is in, if any

	// row: it is not active, and in memory only until what is taken out of it is durable.
	row         bool
	withdrawals []withdrawn
	unwanted    unwanted

	settlements
}

// phase is where a node is on its way through the engine:
//
//	waiting ──▶ submitted ──▶ settling ──▶ settled
//	 │ ▲  ▲         │            ▲
//	 ▼ │  └ delayed ◀            └── what a node needs has failed
//	looks
type phase uint8

const (
	// waiting for its dependencies, or for the end of the turn in which it is submitted.
	waiting phase = iota
	// looks back, or waits for an outcome that it would see then, see looking.
	looks
	// submitted to the fleet.
	submitted
	// delayed until its next attempt.
	delayed
	// settling: its outcome is on the way to the ledger.
	settling
	// settled: its outcome is durable.
	settled
)

type node struct {
	phase phase
	// alone: it goes out in a request of its own, since it may be what broke the last one.
	alone bool
	// lost: an instance broke down while it had this node.
	lost bool
	// begun: an instance had taken it when it was to be taken back.
	begun bool
	// attempts that were counted.
	attempts int
	// looked: its rows are settled, and found says which, unless they were many.
	looked bool
	found  [][]orca.Position
	// reading: the ledger is read for it. expects is the outcome that it waits for, if any.
	reading bool
	expects outcomeKey
	// unbuilt counts the requests in a row whose inputs could not be put together.
	unbuilt int
	// pause before the next request: that after so many attempts.
	pause int
	// sent is when the newest counted attempt without a result went out.
	sent orca.Time
	// readers are the dependents that are not settled.
	readers int
	// result is held for them; nil when there are none left, or no room.
	result []byte
}

func newRun(o orca.OpenRun, p *plan.Plan) *run {
	r := &run{
		position: o.Position, window: o.Window, filters: o.Filters, lot: o.Lot, input: o.Input, stored: o.Stored, plan: p, progress: plan.NewProgress(p),
		nodes: make([]node, len(p.Nodes)), kinds: make([]orca.OutcomeKind, len(p.Nodes)), undecided: len(p.Nodes),
	}
	for i := range p.Nodes {
		r.nodes[i].readers = len(p.Nodes[i].Dependents)
	}
	for _, out := range o.Outcomes {
		if i, ok := p.Index(out.Algorithm); ok && r.nodes[i].phase != settled {
			r.nodes[i].phase, r.kinds[i] = settled, out.Kind
			r.undecided--
			r.progress.Settle(i, out.Kind)
		}
	}
	for _, t := range o.Tries {
		if i, ok := p.Index(t.Algorithm); ok {
			n := &r.nodes[i]
			n.attempts, n.sent, n.alone, n.lost = t.Attempts, t.Sent, t.Alone, t.Lost
		}
	}
	return r
}

// start takes a run into memory and makes its ready nodes known.
func (e *Engine) start(r *run) {
	e.active[r.position] = r
	e.stats.active.Add(1)
	for i := range r.nodes {
		if r.nodes[i].phase == settled {
			e.release(r, i)
		}
	}
	e.skipDoomed(r)
	for _, w := range e.withdrawals {
		e.take(w, r)
	}
	e.takeRetired(r)
	e.markReady(r, r.progress.Ready())
	e.touch(r) // a run of which nothing is open only needs its end
}

// skipDoomed skips what can no longer run because of outcomes that are durable. A failure and what it takes with it
// are one settlement, so this finds something only in a run that was given outcomes from another one.
func (e *Engine) skipDoomed(r *run) {
	for i := range r.nodes {
		if r.nodes[i].phase == settled && r.kinds[i] != orca.Succeeded {
			e.skipDependents(r, i)
		}
	}
}

// markReady has nodes submitted in the end of this turn.
func (e *Engine) markReady(r *run, nodes []int) {
	if len(nodes) > 0 {
		r.ready = append(r.ready, nodes...)
		e.touch(r)
	}
}

// delay makes nodes ready again after d, in the end of this turn when d is zero.
func (e *Engine) delay(r *run, nodes []int, d time.Duration) {
	for _, i := range nodes {
		r.nodes[i].phase = delayed
	}
	again := func() {
		for _, i := range nodes {
			if r.nodes[i].phase == delayed { // else it was withdrawn
				r.nodes[i].phase = waiting
			}
		}
		e.markReady(r, nodes)
	}
	if d == 0 {
		again()
		return
	}
	time.AfterFunc(d, func() { e.inbox.post(again) })
}

// submitReady hands the nodes that became ready in this turn to the fleet: those of one run and processor in one
// call, those that must go alone in one each.
func (e *Engine) submitReady(r *run) {
	for _, i := range r.ready {
		if r.nodes[i].phase == waiting && r.looksBack(i) {
			e.look(r, i)
		}
	}
	for k, i := range r.ready {
		if r.nodes[i].phase == waiting { // else it looks back, or went with an earlier one
			e.group = r.together(r.ready[k:], e.group[:0])
			e.cfg.Fleet.Submit(e.call(r, e.group))
		}
	}
	r.ready = r.ready[:0]
}

// together takes from nodes those that travel in one request with the first, and appends them to group.
func (r *run) together(nodes, group []int) []int {
	first := nodes[0]
	group = append(group, first)
	if !r.nodes[first].alone {
		processor := r.plan.Nodes[first].Algorithm.ID.Processor
		for _, i := range nodes[1:] {
			n := &r.nodes[i]
			if n.phase == waiting && !n.alone && r.plan.Nodes[i].Algorithm.ID.Processor == processor {
				group = append(group, i)
			}
		}
	}
	for _, i := range group {
		r.nodes[i].phase, r.nodes[i].begun = submitted, false
	}
	return group
}
