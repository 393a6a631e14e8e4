package engine

import (
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// run is one active run. Only the loop touches it.
type run struct {
	position orca.Position
	input    orca.Window // what the algorithms of this run get
	stored   orca.Window // what rows carry
	plan     *plan.Plan
	progress *plan.Progress // durable outcomes only
	nodes    []node
	// undecided nodes have no outcome, neither a durable one nor one on its way to the ledger.
	undecided int
	// ready nodes are to be submitted at the end of this turn of the loop.
	ready []int
}

// phase is where a node is in its way through the engine. See docs/decisions and ARCHITECTURE.md for the picture:
//
//	waiting → submitted → settling → settled
//	             ↑  ↓
//	           delayed
type phase uint8

const (
	// waiting for its dependencies.
	waiting phase = iota
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
	phase    phase
	kind     orca.OutcomeKind // once it is settling
	attempts int
	// alone: it goes out in a request of its own, since it may be what broke the last one.
	alone bool
	// result is held for dependents; nil when there are none left, or no room.
	result []byte
	// readers are the dependents that are not settled.
	readers int
	// lost: an instance broke down while it had this node.
	lost bool
	// sent is when the newest attempt went out.
	sent orca.Time
	// last is what the node's newest failed attempt brought, for the outcome when no attempt is left.
	last *orca.Result
}

func newRun(o orca.OpenRun, p *plan.Plan) *run {
	r := &run{
		position: o.Position, input: o.Input, stored: o.Stored,
		plan: p, progress: plan.NewProgress(p), nodes: make([]node, len(p.Nodes)), undecided: len(p.Nodes),
	}
	for i := range p.Nodes {
		r.nodes[i].readers = len(p.Nodes[i].Dependents)
	}
	for _, out := range o.Outcomes {
		if i, ok := p.Index(out.Algorithm); ok && r.nodes[i].phase != settled {
			r.nodes[i].phase, r.nodes[i].kind = settled, out.Kind
			r.undecided--
			r.progress.Settle(i, out.Kind)
		}
	}
	return r
}

// start takes a run into memory and makes its ready nodes known.
func (e *Engine) start(r *run) {
	if e.active[r.position] != nil {
		return
	}
	e.active[r.position] = r
	e.stats.active.Add(1)
	for i := range r.nodes {
		if r.nodes[i].phase == settled {
			e.settledReader(r, i)
		}
	}
	e.markReady(r, r.progress.Ready())
	e.settleDoomed(r)
}

// settleDoomed settles what can no longer run although it is open: dependents of nodes whose failure is durable. A
// failure and its skips are one settlement, so this finds something only where a plan's blocked nodes have dependents
// or a run was given its outcomes from another one.
func (e *Engine) settleDoomed(r *run) {
	var outcomes []orca.Outcome
	for i := range r.nodes {
		if n := &r.nodes[i]; n.phase == settled && n.kind != orca.Succeeded {
			outcomes = append(outcomes, e.skips(r, i, n.kind)...)
		}
	}
	if len(outcomes) > 0 || r.undecided == 0 {
		e.commit(r, outcomes)
	}
}

func (e *Engine) markReady(r *run, nodes []int) {
	for _, i := range nodes {
		if r.nodes[i].phase != waiting {
			continue
		}
		if len(r.ready) == 0 {
			e.dirty = append(e.dirty, r)
		}
		r.ready = append(r.ready, i)
	}
}

// submitReady hands the nodes that became ready in this turn to the fleet: those of one run and processor in one
// call, those that must go alone in one each.
func (e *Engine) submitReady() {
	for i, r := range e.dirty {
		e.dirty[i] = nil
		e.submitRun(r)
	}
	e.dirty = e.dirty[:0]
}

func (e *Engine) submitRun(r *run) {
	ready := r.ready
	r.ready = nil
	for len(ready) > 0 {
		first := ready[0]
		group, rest := []int{first}, ready[1:]
		if !r.nodes[first].alone {
			group, rest = splitByProcessor(r, ready)
		}
		for _, i := range group {
			r.nodes[i].phase = submitted
		}
		e.cfg.Fleet.Submit(e.call(r, group))
		ready = rest
	}
}

// splitByProcessor takes from nodes those that go together with the first.
func splitByProcessor(r *run, nodes []int) (group, rest []int) {
	processor := r.plan.Nodes[nodes[0]].Algorithm.ID.Processor
	for _, i := range nodes {
		if r.plan.Nodes[i].Algorithm.ID.Processor == processor && !r.nodes[i].alone {
			group = append(group, i)
		} else {
			rest = append(rest, i)
		}
	}
	return group, rest
}

// settle gives a node its outcome and skips what can no longer run because of it.
func (e *Engine) settle(r *run, i int, kind orca.OutcomeKind, reason string, result *orca.Result) {
	n := &r.nodes[i]
	n.phase, n.kind, n.last = settling, kind, nil
	r.undecided--
	if kind == orca.Succeeded && n.readers > 0 && e.stats.held.Load()+int64(len(result.Encoded)) <= e.cfg.MaxHeldBytes {
		n.result = result.Encoded
		e.stats.held.Add(int64(len(n.result)))
	}
	outcomes := []orca.Outcome{{
		Algorithm: r.plan.Nodes[i].Algorithm.ID, Kind: kind, Reason: reason, Result: result,
		Attempts: n.attempts, SettledAt: e.cfg.Now(),
	}}
	if kind != orca.Succeeded {
		outcomes = append(outcomes, e.skips(r, i, kind)...)
	}
	e.commit(r, outcomes)
}

func (e *Engine) skips(r *run, i int, kind orca.OutcomeKind) []orca.Outcome {
	decided := func(i int) bool { return r.nodes[i].phase >= settling }
	var outcomes []orca.Outcome
	for _, s := range r.plan.Skips(decided, i, kind) {
		n := &r.nodes[s.Node]
		n.phase, n.kind = settling, orca.Skipped
		r.undecided--
		outcomes = append(outcomes, orca.Outcome{
			Algorithm: r.plan.Nodes[s.Node].Algorithm.ID, Kind: orca.Skipped, Reason: s.Reason, SettledAt: e.cfg.Now(),
		})
	}
	return outcomes
}

// commit sends outcomes to the ledger, with the end of the run when they are the last ones: the ledger commits in
// order, so every earlier outcome is durable by then.
func (e *Engine) commit(r *run, outcomes []orca.Outcome) {
	s := orca.Settlement{Position: r.position, Outcomes: outcomes, At: e.cfg.Now()}
	if r.undecided == 0 {
		kinds := make([]orca.OutcomeKind, len(r.nodes))
		for i := range r.nodes {
			kinds[i] = r.nodes[i].kind
		}
		s.End = orca.EndOf(kinds)
	}
	e.sendSettlement(r, s, 0)
}

// sendSettlement repeats a settlement that the ledger could not write, with growing delay and without end: the
// outcome is known, and losing it would run the algorithm again.
func (e *Engine) sendSettlement(r *run, s orca.Settlement, failures int) {
	e.cfg.Ledger.Settle(s, func(err error) {
		if err == nil {
			e.inbox.post(func() { e.durable(r, s) })
			return
		}
		delay := min(100*time.Millisecond<<min(failures, 6), 5*time.Second)
		e.cfg.Log.Warn("outcomes could not be written; trying again", "run", s.Position, "error", err, "delay", delay)
		time.AfterFunc(delay, func() { e.inbox.post(func() { e.sendSettlement(r, s, failures+1) }) })
	})
}

// durable advances a run by outcomes that the ledger has.
func (e *Engine) durable(r *run, s orca.Settlement) {
	for _, o := range s.Outcomes {
		i, ok := r.plan.Index(o.Algorithm)
		if !ok {
			panic(fmt.Sprintf("run %d settled %s, which is not in its plan", r.position, o.Algorithm.Full()))
		}
		if o.Result != nil {
			e.unsettled.Release(e.weight(o.Result))
		}
		r.nodes[i].phase = settled
		e.stats.outcome(o.Kind)
		e.settledReader(r, i)
		e.markReady(r, r.progress.Settle(i, o.Kind))
	}
	if s.End != orca.RunOpen {
		e.finish(r)
	}
	e.watchers.changed(r.position)
}

// settledReader drops the results that were held for node i alone.
func (e *Engine) settledReader(r *run, i int) {
	for _, d := range r.plan.Nodes[i].Needs {
		n := &r.nodes[d]
		if n.readers--; n.readers == 0 {
			e.stats.held.Add(-int64(len(n.result)))
			n.result = nil
		}
	}
}

func (e *Engine) finish(r *run) {
	delete(e.active, r.position)
	e.stats.active.Add(-1)
	e.stats.open.Add(-1)
}
