package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orca-telemetry/orca/internal/orca"
)

// playedCore is one core of a play from its start to its end. It is the fleet and the processors of its engine.
type playedCore struct {
	*core
	stage    *stage
	ctx      context.Context //nolint:containedctx // it is the life of the core's requests
	cancel   context.CancelFunc
	requests sync.WaitGroup

	// Guarded by stage.mu.
	asked map[nodeOf]bool // submitted and not reported
	// queue has the calls for processors that are away.
	queue []*orca.Call
	ended bool
}

// Submit carries out a call in one request or several. It runs in the engine's loop.
func (c *playedCore) Submit(call *orca.Call) {
	st := c.stage
	st.mu.Lock()
	defer st.mu.Unlock()
	if c.ended { // the call stays in the queue for ever
		return
	}
	st.broken = append(st.broken, c.checkCall(call)...)
	if st.away[call.Processor] {
		c.queue = append(c.queue, call)
		return
	}
	c.carryOut(call)
}

// carryOut makes requests of a call. The lock is held.
func (c *playedCore) carryOut(call *orca.Call) {
	st := c.stage
	rest := call.Algorithms
	for len(rest) > 0 {
		n := len(rest)
		if st.dice.below(4) == 0 {
			n = 1 + st.dice.below(n)
		}
		part := rest[:n]
		rest = rest[n:]
		c.requests.Go(func() { (&playedRequest{core: c, call: call, missing: slices.Clone(part), alone: n == 1}).run() })
	}
}

// Withdraw finds only calls for processors that are away: every other one is under way.
func (c *playedCore) Withdraw(processor string, p orca.Position, gone func(orca.AlgorithmID) bool) (taken []orca.AlgorithmID) {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	for _, call := range c.queue {
		if call.Processor != processor || call.Position != p {
			continue
		}
		call.Algorithms = slices.DeleteFunc(call.Algorithms, func(a orca.CalledAlgorithm) bool {
			if gone(a.ID) {
				taken = append(taken, a.ID)
				delete(c.asked, nodeOf{p, a.ID})
			}
			return gone(a.ID)
		})
	}
	c.queue = slices.DeleteFunc(c.queue, func(call *orca.Call) bool { return len(call.Algorithms) == 0 })
	return taken
}

// Serving is called by the loop, and at times from within its calls.
func (c *playedCore) Serving(id orca.AlgorithmID) orca.InstanceState {
	c.stage.mu.Lock()
	defer c.stage.mu.Unlock()
	if c.stage.away[id.Processor] {
		return orca.Unreachable
	}
	return orca.Serving
}

func (c *playedCore) Expect(map[string]bool) {}

// checkCall returns the rules that a call breaks.
func (c *playedCore) checkCall(call *orca.Call) (broken []string) {
	rule := func(format string, args ...any) {
		broken = append(broken, fmt.Sprintf("run %d: ", call.Position)+fmt.Sprintf(format, args...))
	}
	r := c.session.run(call.Position)
	p := c.stage.planOf(r)
	if r.State != orca.RunOpen {
		rule("called after its end")
	}
	if n := len(c.active); n > c.cfg.MaxActiveRuns {
		rule("%d runs are active, and at most %d may be", n, c.cfg.MaxActiveRuns)
	}
	if n := c.stage.openBelow(call.Position); len(c.stage.Absences) == 0 && n >= c.cfg.MaxActiveRuns {
		rule("active before %d unfinished runs of lower positions", n)
	}
	for _, a := range call.Algorithms {
		i, ok := p.Index(a.ID)
		if !ok || a.ID.Processor != call.Processor {
			rule("%v is called at %s", a.ID, call.Processor)
			continue
		}
		if node := (nodeOf{call.Position, a.ID}); c.asked[node] {
			rule("%v is called while it is under way", a.ID)
		} else {
			c.asked[node] = true
		}
		if kindIn(r, a.ID) != 0 {
			rule("%v is called although it is settled", a.ID)
		}
		for _, d := range p.Nodes[i].Needs {
			if need := p.Nodes[d].Algorithm.ID; kindIn(r, need) != orca.Succeeded {
				rule("%v is called before %v has succeeded durably", a.ID, need)
			}
		}
	}
	return broken
}

// openBelow counts the unfinished runs of lower positions.
func (st *stage) openBelow(p orca.Position) (n int) {
	st.ledger.mu.Lock()
	defer st.ledger.mu.Unlock()
	for _, r := range st.ledger.runs[:p-1] {
		if r.State == orca.RunOpen {
			n++
		}
	}
	return n
}

func kindIn(r record, id orca.AlgorithmID) orca.OutcomeKind {
	for _, o := range r.outcomes {
		if o.Algorithm == id {
			return o.Kind
		}
	}
	return 0
}

// playedRequest is one request at a processor.
type playedRequest struct {
	core    *playedCore
	call    *orca.Call
	missing []orca.CalledAlgorithm
	alone   bool
	// unserved: the instance had not served since it broke down the last time.
	unserved bool
}

func (r *playedRequest) run() {
	st := r.core.stage
	if !r.wait(st.Request) {
		return
	}
	x, err := r.call.Build(r.core.ctx, r.missing)
	switch {
	case r.core.ctx.Err() != nil:
		r.end(orca.EndStopped)
		return
	case err != nil:
		r.end(orca.EndUnbuilt)
		return
	}
	r.checkInputs(x)
	if kind := r.refusal(); kind != 0 {
		r.end(kind)
		return
	}
	r.shuffle()
	for got := false; len(r.missing) > 0; got = true {
		if !r.wait(st.BetweenAnswer) {
			return
		}
		if kind := r.breakdown(got); kind != 0 {
			r.end(kind)
			return
		}
		r.answer()
	}
}

// shuffle puts the algorithms into the order of their answers; the silent ones are last.
func (r *playedRequest) shuffle() {
	random := &r.core.stage.dice
	random.mu.Lock()
	random.random.Shuffle(len(r.missing), func(i, j int) { r.missing[i], r.missing[j] = r.missing[j], r.missing[i] })
	random.mu.Unlock()
	slices.SortStableFunc(r.missing, func(a, b orca.CalledAlgorithm) int {
		switch x, y := r.fate(a).Final == isSilent, r.fate(b).Final == isSilent; {
		case x && !y:
			return 1
		case y && !x:
			return -1
		}
		return 0
	})
}

// wait lets some time pass, unless the core ends.
func (r *playedRequest) wait(most time.Duration) bool {
	select {
	case <-r.core.ctx.Done():
		r.end(orca.EndStopped)
		return false
	case <-time.After(r.core.stage.dice.duration(most)):
		return true
	}
}

// refusal is how the request ends before any result, without an attempt of anybody but a node that is refused alone;
// zero when it goes on.
func (r *playedRequest) refusal() orca.CallEndKind {
	st := r.core.stage
	refused := slices.ContainsFunc(r.missing, func(a orca.CalledAlgorithm) bool { return r.fate(a).Final == refuses })
	switch {
	case r.alone && refused && st.breakageLeft(r.call.Position, r.missing[0].ID) <= 0, !r.alone && refused:
		return orca.EndRefused
	case !r.alone && st.dice.below(8) == 0:
		return []orca.CallEndKind{orca.EndRefused, orca.EndFailed, orca.EndTooLarge}[st.dice.below(3)]
	}
	if st.dice.below(10) == 0 {
		r.unserved = true
		return orca.EndLost
	}
	return 0
}

func (r *playedRequest) fate(a orca.CalledAlgorithm) fate {
	st := r.core.stage
	return st.fate(r.call.Position, st.planOf(st.ledger.run(r.call.Position)), a.ID)
}

// breakdown is how the request ends between results, where every node that has none may still break.
func (r *playedRequest) breakdown(got bool) orca.CallEndKind {
	st := r.core.stage
	if r.fate(r.missing[0]).Final == isSilent {
		return r.breaks(orca.EndComplete)
	}
	for _, a := range r.missing {
		if st.breakageLeft(r.call.Position, a.ID) <= 0 {
			return 0
		}
	}
	kinds := []orca.CallEndKind{0, orca.EndTimeout, orca.EndComplete}
	if got {
		kinds = append(kinds, orca.EndBroken)
	} else {
		kinds = append(kinds, orca.EndLost)
	}
	if r.alone {
		kinds = append(kinds, orca.EndFailed)
	}
	if kind := kinds[st.dice.below(len(kinds))]; kind != 0 {
		return r.breaks(kind)
	}
	return 0
}

// breaks counts a breakdown of the request.
func (r *playedRequest) breaks(kind orca.CallEndKind) orca.CallEndKind {
	for _, a := range r.missing {
		r.core.stage.breaks(r.call.Position, a.ID)
	}
	return kind
}

// answer gives the result of the next algorithm.
func (r *playedRequest) answer() {
	st, a := r.core.stage, r.missing[0]
	result := orca.Result{Status: orca.StatusUnhandledFailed, Encoded: []byte("failure"), Error: "failure", Failure: "failure"}
	if st.breakageLeft(r.call.Position, a.ID) > 0 {
		st.breaks(r.call.Position, a.ID)
	} else {
		switch r.fate(a).Final {
		case succeeds:
			result = success(r.call.Position, a.ID)
		case failsInHand:
			result.Status = orca.StatusHandledFailed
		case wrongType:
			result = success(r.call.Position, a.ID)
			result.Type = orca.ResultArray
		case failsBadly:
		case refuses, isSilent:
			st.rule("run %d: %v was asked for an answer", r.call.Position, a.ID)
		}
	}
	r.missing = r.missing[1:]
	r.reported(a)
	r.call.Result(r.core.ctx, a.ID, result)
}

// end reports all that is missing.
func (r *playedRequest) end(kind orca.CallEndKind) {
	now := orca.TimeOf(time.Now())
	end := orca.CallEnd{Kind: kind, Reason: kind.String(), Sent: now, Served: now - 1, Alone: r.alone}
	if r.unserved {
		end.Served = 0
	}
	for _, a := range r.missing {
		end.Missing = append(end.Missing, a.ID)
	}
	r.reported(r.missing...)
	r.call.End(end)
}

func (r *playedRequest) reported(algorithms ...orca.CalledAlgorithm) {
	r.core.stage.mu.Lock()
	defer r.core.stage.mu.Unlock()
	for _, a := range algorithms {
		delete(r.core.asked, nodeOf{r.call.Position, a.ID})
	}
}

// checkInputs holds what a request carries against the ledger.
func (r *playedRequest) checkInputs(x *orca.Execution) {
	st := r.core.stage
	durable := st.ledger.run(r.call.Position)
	p := st.planOf(durable)
	want := &orca.Execution{Input: durable.Input, Stored: durable.Stored}
	for _, a := range r.missing {
		i, _ := p.Index(a.ID)
		algorithm := orca.AlgorithmExecution{Algorithm: &p.Nodes[i].Algorithm}
		for _, in := range p.Nodes[i].Inputs {
			rows := orca.DependencyRows{Algorithm: in.Algorithm}
			for _, o := range durable.outcomes {
				if o.Algorithm == in.Algorithm.ID {
					rows.Current = o.Result.Encoded
				}
			}
			algorithm.Dependencies = append(algorithm.Dependencies, rows)
		}
		want.Algorithms = append(want.Algorithms, algorithm)
	}
	if diff := cmp.Diff(want, x, cmpopts.EquateEmpty()); diff != "" {
		st.rule("run %d: inputs (-want +got):\n%s", r.call.Position, diff)
	}
}
