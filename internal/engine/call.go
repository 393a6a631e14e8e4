package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// call makes the call that runs the given nodes of r, all of one processor.
func (e *Engine) call(r *run, nodes []int) *orca.Call {
	c := &orca.Call{
		Position:   r.position,
		Processor:  r.plan.Nodes[nodes[0]].Algorithm.ID.Processor,
		Algorithms: make([]orca.CalledAlgorithm, len(nodes)),
	}
	for k, i := range nodes {
		n := &r.plan.Nodes[i]
		c.Algorithms[k] = orca.CalledAlgorithm{ID: n.Algorithm.ID, Definition: r.plan.Definition(i)}
		c.Solo = c.Solo || lastChance(r.nodes[i], e.cfg.MaxAttempts)
	}
	in := inputs{ledger: e.cfg.Ledger, position: r.position, input: r.input, stored: r.stored, plan: r.plan, held: r.held(nodes)}
	c.Build = in.build
	c.Result = func(ctx context.Context, id orca.AlgorithmID, res orca.Result) { e.received(ctx, r, id, res) }
	c.End = func(end orca.CallEnd) { e.inbox.post(func() { e.ended(r, end) }) }
	return c
}

// held returns the results in memory that nodes need, by node.
func (r *run) held(nodes []int) map[int][]byte {
	var held map[int][]byte
	for _, i := range nodes {
		for _, d := range r.plan.Nodes[i].Needs {
			if b := r.nodes[d].result; b != nil {
				if held == nil {
					held = map[int][]byte{}
				}
				held[d] = b
			}
		}
	}
	return held
}

// inputs is what a call's Build needs, fixed when the call was made. It is used outside of the loop.
type inputs struct {
	ledger        Ledger
	position      orca.Position
	input, stored orca.Window
	plan          *plan.Plan
	held          map[int][]byte
}

func (in inputs) build(ctx context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
	nodes := make([]int, len(algorithms))
	for k, a := range algorithms {
		nodes[k], _ = in.plan.Index(a.ID)
	}
	results, err := in.results(ctx, nodes)
	if err != nil {
		return nil, err
	}
	x := &orca.Execution{Input: in.input, Stored: in.stored, Algorithms: make([]orca.AlgorithmExecution, len(nodes))}
	for k, i := range nodes {
		n := &in.plan.Nodes[i]
		x.Algorithms[k].Algorithm = &n.Algorithm
		rows := make([]orca.DependencyRows, len(n.Inputs))
		for d, from := range n.Inputs {
			rows[d].Algorithm = from.Algorithm
			if from.Node >= 0 {
				rows[d].Current = results[from.Node]
			}
		}
		x.Algorithms[k].Dependencies = rows
	}
	return x, nil
}

// results returns the encoded results of all in-run dependencies of nodes; those not in memory come from the ledger.
func (in inputs) results(ctx context.Context, nodes []int) (map[int][]byte, error) {
	var missing []int
	var ids []orca.AlgorithmID
	seen := map[int]bool{}
	for _, i := range nodes {
		for _, d := range in.plan.Nodes[i].Needs {
			if in.held[d] == nil && !seen[d] {
				seen[d] = true
				missing = append(missing, d)
				ids = append(ids, in.plan.Nodes[d].Algorithm.ID)
			}
		}
	}
	if len(missing) == 0 {
		return in.held, nil
	}
	rows, err := in.ledger.Results(ctx, in.position, ids)
	if err != nil {
		return nil, fmt.Errorf("read results of run %d: %w", in.position, err)
	}
	all := make(map[int][]byte, len(in.held)+len(missing))
	for d, b := range in.held {
		all[d] = b
	}
	for k, d := range missing {
		all[d] = rows[k].Encoded
	}
	return all, nil
}

// weight of a result in the budget of unsettled bytes; one larger than the whole budget takes all of it.
func (e *Engine) weight(r *orca.Result) int64 {
	return min(int64(len(r.Encoded)), e.cfg.MaxUnsettledBytes)
}

// received takes a result from a stream. It waits when too many bytes are on their way to the ledger already.
func (e *Engine) received(ctx context.Context, r *run, id orca.AlgorithmID, res orca.Result) {
	if err := e.unsettled.Acquire(ctx, e.weight(&res)); err != nil {
		// The request was cancelled while it waited; the result is as good as never sent.
		e.inbox.post(func() {
			e.ended(r, orca.CallEnd{Kind: orca.EndStopped, Missing: []orca.AlgorithmID{id}, Reason: "the call was cancelled"})
		})
		return
	}
	e.inbox.post(func() { e.result(r, id, res) })
}

// result decides what becomes of a node that a processor sent a result for.
func (e *Engine) result(r *run, id orca.AlgorithmID, res orca.Result) {
	i, ok := r.plan.Index(id)
	if !ok || r.nodes[i].phase != submitted {
		e.unsettled.Release(e.weight(&res))
		e.cfg.Log.Warn("a result was dropped: nothing waits for it", "run", r.position, "algorithm", id)
		return
	}
	n := &r.nodes[i]
	n.attempts++
	declared := r.plan.Nodes[i].Algorithm.ResultType
	verdict := judge(declared, &res, n.attempts, e.cfg.MaxAttempts, e.cfg.RetryHandled)
	if verdict.retry {
		e.unsettled.Release(e.weight(&res))
		n.last = &res
		e.delay(r, i, backoff(n.attempts))
		return
	}
	e.settle(r, i, verdict.kind, verdict.reason, &res)
}

// ended decides what becomes of nodes that got no result from a request.
func (e *Engine) ended(r *run, end orca.CallEnd) {
	for _, id := range end.Missing {
		i, ok := r.plan.Index(id)
		if !ok || r.nodes[i].phase != submitted {
			continue
		}
		n := &r.nodes[i]
		counted := countsAsAttempt(end, n.sent)
		if counted {
			n.attempts++
			n.sent = end.Sent
		}
		n.lost = n.lost || end.Kind == orca.EndLost
		switch next := afterEnd(end, counted && n.attempts >= e.cfg.MaxAttempts, n.attempts); next.action {
		case tryAgain:
			n.alone = n.alone || next.alone
			e.delay(r, i, next.delay)
		case giveUp:
			e.settleEnded(r, i, next.reason)
		case leaveToNextStart:
			n.phase = delayed // until the ledger gives it to a core again
		}
	}
}

// settleEnded settles a node whose last request brought nothing. An earlier attempt's failed result, if any, is kept.
func (e *Engine) settleEnded(r *run, i int, reason string) {
	last := r.nodes[i].last
	if last != nil && !e.unsettled.TryAcquire(e.weight(last)) {
		last = nil // no room to keep it; the reason says enough
	}
	e.settle(r, i, orca.UnhandledFailed, reason, last)
}

// delay makes a node ready again after d, at the end of this turn when d is zero.
func (e *Engine) delay(r *run, i int, d time.Duration) {
	n := &r.nodes[i]
	if d == 0 {
		n.phase = waiting
		e.markReady(r, []int{i})
		return
	}
	n.phase = delayed
	time.AfterFunc(jitter(d), func() {
		e.inbox.post(func() {
			if n.phase == delayed {
				n.phase = waiting
				e.markReady(r, []int{i})
			}
		})
	})
}
