package engine

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"slices"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orca-telemetry/orca/internal/lookbackmodel"
	"github.com/orca-telemetry/orca/internal/orca"
)

// historyCore is one core of a history from its start to its end. It is the fleet and the processors of its engine.
type historyCore struct {
	*core
	history  *history
	ctx      context.Context //nolint:containedctx // it is the life of the core's requests
	cancel   context.CancelFunc
	requests sync.WaitGroup

	// Guarded by history.mu.
	queue []*orca.Call // for processors that are away
	ended bool
}

// Submit carries out a call in one request or several. It runs in the engine's loop.
func (c *historyCore) Submit(call *orca.Call) {
	h := c.history
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c.ended: // the call stays in the queue for ever
	case h.away[call.Processor]:
		c.queue = append(c.queue, call)
	default:
		c.carryOut(call)
	}
}

// carryOut makes requests of a call. The lock is held.
func (c *historyCore) carryOut(call *orca.Call) {
	rest := call.Algorithms
	for len(rest) > 0 {
		n := 1 + c.history.dice.below(len(rest))
		part := slices.Clone(rest[:n])
		rest = rest[n:]
		c.requests.Go(func() { (&historyRequest{historyCore: c, call: call, missing: part, alone: n == 1}).run() })
	}
}

// Withdraw finds only calls for processors that are away: every other one is under way.
func (c *historyCore) Withdraw(processor string, p orca.Position, gone func(orca.AlgorithmID) bool) (taken []orca.AlgorithmID) {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	for _, call := range c.queue {
		if call.Processor == processor && call.Position == p {
			call.Algorithms = slices.DeleteFunc(call.Algorithms, func(a orca.CalledAlgorithm) bool {
				if gone(a.ID) {
					taken = append(taken, a.ID)
				}
				return gone(a.ID)
			})
		}
	}
	c.queue = slices.DeleteFunc(c.queue, func(call *orca.Call) bool { return len(call.Algorithms) == 0 })
	return taken
}

func (c *historyCore) Serving(id orca.AlgorithmID) orca.InstanceState {
	c.history.mu.Lock()
	defer c.history.mu.Unlock()
	if c.history.away[id.Processor] {
		return orca.Unreachable
	}
	return orca.Serving
}

func (c *historyCore) Expect(map[string]bool) {}

// historyRequest is one request at a processor.
type historyRequest struct {
	*historyCore
	call    *orca.Call
	missing []orca.CalledAlgorithm
	alone   bool
}

func (r *historyRequest) run() {
	h := r.history
	if !r.wait(h.request) {
		r.end(orca.EndStopped)
		return
	}
	x, err := r.call.Build(r.ctx, r.missing)
	switch {
	case r.ctx.Err() != nil:
		r.end(orca.EndStopped)
		return
	case err != nil:
		r.end(orca.EndUnbuilt)
		return
	}
	h.hand(r.call.Position, x)
	for i := range x.Algorithms {
		if !r.wait(h.answer) {
			r.end(orca.EndStopped)
			return
		}
		if h.breaks > 0 && h.dice.below(h.breaks) == 0 {
			kinds := []orca.CallEndKind{orca.EndTimeout, orca.EndComplete, orca.EndLost, orca.EndFailed}
			if i > 0 {
				kinds[2] = orca.EndBroken
			}
			r.end(kinds[h.dice.below(len(kinds))])
			return
		}
		id := r.missing[0].ID
		r.missing = r.missing[1:]
		r.call.Result(r.ctx, id, resultOf(digest(x.Stored.Origin, &x.Algorithms[i]), x.Algorithms[i].Algorithm.ResultType))
	}
}

// end reports all that is missing.
func (r *historyRequest) end(kind orca.CallEndKind) {
	now := orca.TimeOf(time.Now())
	e := orca.CallEnd{Kind: kind, Reason: kind.String(), Sent: now, Served: now - 1, Alone: r.alone}
	for _, a := range r.missing {
		e.Missing = append(e.Missing, a.ID)
	}
	if kind != orca.EndStopped && kind != orca.EndUnbuilt {
		r.history.breaksWith(r.call.Position, e.Missing)
	}
	r.call.End(e)
}

// wait lets some time pass, unless the core ends.
func (c *historyCore) wait(most time.Duration) bool {
	select {
	case <-c.ctx.Done():
		return false
	case <-time.After(c.history.dice.duration(most)):
		return true
	}
}

func (h *history) breaksWith(p orca.Position, ids []orca.AlgorithmID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.broke[nodeOf{p, id}] = true
	}
}

func (h *history) hand(p orca.Position, x *orca.Execution) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range x.Algorithms {
		h.handed = append(h.handed, handedOver{nodeOf{p, a.Algorithm.ID}, a})
	}
}

// digest is a number that depends on everything that an algorithm is handed.
func digest(origin string, x *orca.AlgorithmExecution) uint64 {
	d := digester{fnv.New64a()}
	d.text(origin)
	d.text(x.Algorithm.ID.Name)
	for _, dep := range x.Dependencies {
		d.text(dep.Algorithm.ID.Name)
		d.text(string(dep.Current))
		d.rows(dep.Past)
	}
	d.rows(x.Self)
	return d.Sum64()
}

type digester struct{ hash.Hash64 }

func (d digester) number(n int64) {
	_ = binary.Write(d, binary.LittleEndian, n) // a hash takes all
}

func (d digester) text(s string) {
	d.number(int64(len(s)))
	_, _ = d.Write([]byte(s))
}

func (d digester) rows(rows []orca.Row) {
	d.number(int64(len(rows)))
	for _, r := range rows {
		d.text(r.Window.Origin)
		d.number(int64(r.Window.To))
		d.text(string(r.Result))
	}
}

// outcomeOf is what an algorithm makes of all that it is handed: at times a failure.
func outcomeOf(digest uint64) lookbackmodel.Outcome {
	switch digest % 11 {
	case 0:
		return lookbackmodel.Outcome{Kind: orca.HandledFailed}
	case 1:
		return lookbackmodel.Outcome{Kind: orca.UnhandledFailed}
	}
	return lookbackmodel.Outcome{Kind: orca.Succeeded, Result: fmt.Appendf(nil, "%016x", digest)}
}

func resultOf(digest uint64, t orca.ResultType) orca.Result {
	o := outcomeOf(digest)
	r := orca.Result{Type: t, Encoded: o.Result, Failure: "no"}
	switch o.Kind {
	case orca.Succeeded:
		r.Status, r.Failure = orca.StatusSucceeded, ""
	case orca.HandledFailed:
		r.Status = orca.StatusHandledFailed
	case orca.UnhandledFailed, orca.Skipped, orca.Cancelled:
		r.Status = orca.StatusUnhandledFailed
	}
	return r
}

// compare holds every outcome, and all that was ever handed over, against the model.
func (h *history) compare() {
	m := &lookbackmodel.Model{Execute: func(w *lookbackmodel.Window, x *orca.AlgorithmExecution) lookbackmodel.Outcome {
		return outcomeOf(digest(w.Origin, x))
	}}
	newest := map[orca.WindowID]*lookbackmodel.Run{}
	runs := make([]*lookbackmodel.Run, len(h.ledger.runs))
	for i, rec := range h.ledger.runs {
		r := &lookbackmodel.Run{Registry: h.registryOf(rec), Imposed: h.imposed(rec)}
		r.Window = h.windows[slices.IndexFunc(h.windows, func(w *lookbackmodel.Window) bool { return w.Origin == rec.Stored.Origin })]
		if rec.Kind == orca.RunRetry {
			r.Base = newest[rec.Window]
		}
		m.Accept(r)
		newest[rec.Window], runs[i] = r, r
		if diff := cmp.Diff(r.Outcomes, settledIn(rec)); diff != "" {
			h.rule("run %d (-want +got):\n%s", rec.Position, diff)
		}
	}
	for _, x := range h.handed {
		r := runs[x.node.run-1]
		if want := r.Given[x.node.id]; want == nil || digest(r.Window.Origin, want) != digest(r.Window.Origin, &x.x) {
			h.rule("run %d: %v was handed (-want +got):\n%s", x.node.run, x.node.id, cmp.Diff(want, &x.x))
		}
	}
}

// settledIn returns the outcomes of a run.
func settledIn(r *record) map[orca.AlgorithmID]lookbackmodel.Outcome {
	outcomes := map[orca.AlgorithmID]lookbackmodel.Outcome{}
	for _, o := range r.outcomes {
		settled := lookbackmodel.Outcome{Kind: o.Kind}
		if o.Kind == orca.Succeeded {
			settled.Result = o.Result.Encoded
		}
		outcomes[o.Algorithm] = settled
	}
	return outcomes
}

// imposed returns the outcomes of a run that were not an algorithm's own.
func (h *history) imposed(r *record) map[orca.AlgorithmID]orca.OutcomeKind {
	imposed := map[orca.AlgorithmID]orca.OutcomeKind{}
	for _, o := range r.outcomes {
		switch node := (nodeOf{r.Position, o.Algorithm}); {
		case o.Kind == orca.Cancelled && h.cancelled[r.Window], o.Kind == orca.UnhandledFailed && o.Result == nil && h.broke[node]:
			imposed[o.Algorithm] = o.Kind
		}
	}
	return imposed
}
