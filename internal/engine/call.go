package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/orca-telemetry/orca/internal/lookback"
	"github.com/orca-telemetry/orca/internal/orca"
)

// call makes the call that runs the given nodes of r, all of one processor.
func (e *Engine) call(r *run, nodes []int) *orca.Call {
	j := &job{engine: e, run: r, held: r.held(nodes)}
	for _, i := range nodes {
		if r.plan.LooksBack(i) {
			if j.found == nil {
				j.found = map[int][][]orca.Position{}
			}
			j.found[i] = r.nodes[i].found
		}
	}
	c := &j.call
	c.Position, c.Processor = r.position, r.plan.Nodes[nodes[0]].Algorithm.ID.Processor
	c.Algorithms = slices.Grow(j.single[:0], len(nodes))
	for _, i := range nodes {
		c.Algorithms = append(c.Algorithms, orca.CalledAlgorithm{
			ID: r.plan.Nodes[i].Algorithm.ID, Definition: r.plan.Definition(i), Runtime: r.plan.Runtime(i),
		})
		c.Solo = c.Solo || lastChance(r.nodes[i], e.cfg.MaxAttempts)
	}
	c.Build, c.Result, c.End = j.build, j.result, j.end
	return c
}

// job is a call with what it carries of the engine. Its methods run in goroutines of the fleet, and read of the run
// only what never changes.
type job struct {
	call   orca.Call
	engine *Engine
	run    *run
	held   []nodeResult              // ascending
	found  map[int][][]orca.Position // by node that looks back
	single [1]orca.CalledAlgorithm
}

// nodeResult is the encoded result of a node.
type nodeResult struct {
	node    int
	encoded []byte
}

// held returns the results in memory that nodes need, ascending by node.
func (r *run) held(nodes []int) []nodeResult {
	var held []nodeResult
	for _, i := range nodes {
		held = slices.Grow(held, len(r.plan.Nodes[i].Needs))
		for _, d := range r.plan.Nodes[i].Needs {
			if b := r.nodes[d].result; b != nil {
				held = append(held, nodeResult{d, b})
			}
		}
	}
	if len(nodes) > 1 {
		held = sorted(held)
	}
	return held
}

func sorted(results []nodeResult) []nodeResult {
	slices.SortFunc(results, func(a, b nodeResult) int { return a.node - b.node })
	return slices.CompactFunc(results, func(a, b nodeResult) bool { return a.node == b.node })
}

func find(results []nodeResult, node int) []byte {
	i, ok := slices.BinarySearchFunc(results, node, func(r nodeResult, node int) int { return r.node - node })
	if !ok {
		return nil
	}
	return results[i].encoded
}

// build puts the inputs of algorithms together.
func (j *job) build(ctx context.Context, algorithms []orca.CalledAlgorithm) (*orca.Execution, error) {
	p := j.run.plan
	var few [8]int // spares an allocation
	nodes := slices.Grow(few[:0], len(algorithms))
	for k := range algorithms {
		i, ok := p.Index(algorithms[k].ID)
		if !ok {
			return nil, fmt.Errorf("build a request of run %d: %s is not in its plan", j.run.position, algorithms[k].ID.Full())
		}
		if j.run.unwanted.has(i) {
			return nil, fmt.Errorf("%s of run %d was settled meanwhile", algorithms[k].ID, j.run.position)
		}
		nodes = append(nodes, i)
	}
	results, err := j.results(ctx, nodes)
	if err != nil {
		return nil, err
	}
	x := &orca.Execution{Input: j.run.input, Stored: j.run.stored, Algorithms: make([]orca.AlgorithmExecution, len(nodes))}
	for k, i := range nodes {
		n := &p.Nodes[i]
		rows := make([]orca.DependencyRows, len(n.Inputs))
		for d, in := range n.Inputs {
			rows[d].Algorithm = in.Algorithm
			if in.Node >= 0 {
				rows[d].Current = find(results, in.Node)
			}
		}
		past, err := j.past(ctx, i)
		if err != nil {
			return nil, err
		}
		for d := range rows {
			rows[d].Past = past[d]
		}
		x.Algorithms[k] = orca.AlgorithmExecution{Algorithm: &n.Algorithm, Dependencies: rows, Self: past[lookback.Self]}
	}
	return x, nil
}

// results returns the results of all that nodes need in the run; those not in memory come from the ledger.
func (j *job) results(ctx context.Context, nodes []int) ([]nodeResult, error) {
	p := j.run.plan
	var read []nodeResult
	for _, i := range nodes {
		for _, d := range p.Nodes[i].Needs {
			if find(j.held, d) == nil {
				read = append(read, nodeResult{node: d})
			}
		}
	}
	if len(read) == 0 {
		return j.held, nil
	}
	read = sorted(read)
	ids := make([]orca.AlgorithmID, len(read))
	for k, r := range read {
		ids[k] = p.Nodes[r.node].Algorithm.ID
	}
	rows, err := j.engine.cfg.Ledger.Results(ctx, j.run.position, ids)
	if err != nil {
		return nil, fmt.Errorf("read results of run %d: %w", j.run.position, err)
	}
	for k := range read {
		read[k].encoded = rows[k].Encoded
	}
	return sorted(append(read, j.held...)), nil
}

// result takes a result from a stream. It waits when too many bytes are on their way to the ledger already.
func (j *job) result(ctx context.Context, id orca.AlgorithmID, res orca.Result) {
	e, r := j.engine, j.run
	w := e.weight(&res)
	// Where there is room, a request that was cancelled after its result came makes no difference.
	if !e.unsettled.TryAcquire(w) && e.unsettled.Acquire(ctx, w) != nil {
		e.inbox.post(func() { e.dropped(r, id) })
		return
	}
	e.inbox.post(func() { e.result(r, id, &res) })
}

// end takes the news that algorithms got no result.
func (j *job) end(end orca.CallEnd) {
	e, r := j.engine, j.run
	e.inbox.post(func() { e.ended(r, end) })
}

// asked returns the node that a report of the fleet is about, if one waits for it.
func (r *run) asked(id orca.AlgorithmID) (node int, ok bool) {
	i, ok := r.plan.Index(id)
	return i, ok && r.nodes[i].phase == submitted
}

// result decides what becomes of a node that a processor sent a result for.
func (e *Engine) result(r *run, id orca.AlgorithmID, res *orca.Result) {
	i, ok := r.asked(id)
	if !ok {
		e.unsettled.Release(e.weight(res))
		e.cfg.Log.Warn("a result was dropped: nothing waits for it", "run", r.position, "algorithm", id)
		return
	}
	n := &r.nodes[i]
	n.attempts++
	n.unbuilt = 0
	v := judge(r.plan.Nodes[i].Algorithm.ResultType, res, n.attempts, e.cfg.MaxAttempts, e.cfg.RetryHandled)
	if v.retry {
		e.unsettled.Release(e.weight(res))
		e.delay(r, []int{i}, backoff(n.attempts, e.random()))
		return
	}
	e.settle(r, i, v.kind, v.reason, res)
}

// dropped tries a node again whose result found no room before its request was cancelled.
func (e *Engine) dropped(r *run, id orca.AlgorithmID) {
	if i, ok := r.asked(id); ok {
		e.delay(r, []int{i}, backoff(1, e.random()))
	}
}

// ended decides what becomes of nodes that got no result from a request.
func (e *Engine) ended(r *run, end orca.CallEnd) {
	var again []int
	for _, id := range end.Missing {
		i, ok := r.asked(id)
		if !ok {
			continue
		}
		n := &r.nodes[i]
		next := afterEnd(end, *n, e.cfg.MaxAttempts)
		if next.counts {
			n.attempts++
			n.sent = end.Sent
		}
		n.alone = n.alone || next.alone
		n.lost = n.lost || end.Kind == orca.EndLost
		n.unbuilt, n.pause = next.unbuilt, next.pause
		switch next.action {
		case tryAgain:
			again = append(again, i)
		case giveUp:
			e.settle(r, i, orca.UnhandledFailed, next.reason, nil)
		case leaveToNextStart:
			n.phase = delayed // until the ledger gives it to a core again
		}
	}
	if end.Kind == orca.EndUnbuilt {
		e.cfg.Log.Warn("a request could not be put together; trying again", "run", r.position, "algorithms", end.Missing, "error", end.Reason)
	}
	e.tryAgain(r, again)
}

// tryAgain delays nodes, those with the same pause together, so that they can travel together again.
func (e *Engine) tryAgain(r *run, nodes []int) {
	for len(nodes) > 0 {
		pause := r.nodes[nodes[0]].pause
		other := slices.IndexFunc(nodes, func(i int) bool { return r.nodes[i].pause != pause })
		if other < 0 {
			other = len(nodes)
		}
		e.delay(r, nodes[:other], backoff(pause, e.random()))
		nodes = nodes[other:]
	}
}
