package engine

import (
	"fmt"
	"time"

	"github.com/orca-telemetry/orca/internal/orca"
)

// settlements carry the outcomes of one run to the ledger, one settlement after the other:
//
//	outbox ──▶ sending ──▶ durable
//	   ▲          │ the ledger failed
//	   └ holdOff ◀┘
//
// What is decided while one is under way goes with the next. So the one with the end of the run finds every earlier
// outcome durable, whatever failed on the way, and each is asked of the ledger again until it is: losing an outcome
// would run its algorithm again.
type settlements struct {
	outbox []orca.Outcome
	// sending: the ledger has a settlement and has not answered.
	sending bool
	// holdOff: the ledger failed, and is asked again after a while.
	holdOff  bool
	failures int // in a row
}

// settle gives a node its outcome, and skips what can no longer run because of it.
func (e *Engine) settle(r *run, i int, kind orca.OutcomeKind, reason string, result *orca.Result) {
	n := &r.nodes[i]
	e.decide(r, i, orca.Outcome{Kind: kind, Reason: reason, Result: result, Attempts: n.attempts})
	if kind != orca.Succeeded {
		e.skipDependents(r, i)
		return
	}
	if size := int64(len(result.Encoded)); n.readers > 0 && e.stats.held.Load()+size <= e.cfg.MaxHeldBytes {
		n.result = result.Encoded
		e.stats.held.Add(size)
	}
}

// skipDependents settles all that depends on a node which did not succeed.
func (e *Engine) skipDependents(r *run, i int) {
	decided := func(i int) bool { return r.kinds[i] != 0 }
	for _, s := range r.plan.Skips(decided, i, r.kinds[i]) {
		e.decide(r, s.Node, orca.Outcome{Kind: orca.Skipped, Reason: s.Reason})
	}
}

// decide puts a node's outcome on its way to the ledger.
func (e *Engine) decide(r *run, i int, o orca.Outcome) {
	e.stopWaiting(nodeRef{r, i})
	r.nodes[i].phase, r.kinds[i] = settling, o.Kind
	r.undecided--
	o.Algorithm, o.SettledAt = r.plan.Nodes[i].Algorithm.ID, e.cfg.Now()
	r.outbox = append(r.outbox, o)
	e.touch(r)
}

// send gives the ledger what is decided, and the end of the run when that was all.
func (e *Engine) send(r *run) {
	if r.sending || r.holdOff || (len(r.outbox) == 0 && r.undecided > 0) {
		return
	}
	s := orca.Settlement{Position: r.position, Outcomes: r.outbox, At: e.cfg.Now()}
	if r.undecided == 0 {
		s.End = orca.EndOf(r.kinds)
		s.Patient = !e.urgent(r)
	}
	r.outbox, r.sending = nil, true
	e.cfg.Ledger.Settle(s, func(err error) { e.inbox.post(func() { e.sent(r, s, err) }) })
}

// urgent reports whether somebody watches a run, or looks back at what is on the way to the ledger.
func (e *Engine) urgent(r *run) bool {
	for i := range r.outbox {
		if len(e.looking.waits[outcomeKey{Position: r.position, Algorithm: r.outbox[i].Algorithm}]) > 0 {
			return true
		}
	}
	return len(r.withdrawals) > 0 || e.watchers.any(r.position)
}

// sendLast gives the ledger what is left when the engine ends. Beside a settlement that may still fail it leaves the
// end of the run to the next start.
func (e *Engine) sendLast(r *run) {
	if !r.sending {
		r.holdOff = false
		e.send(r)
	} else if len(r.outbox) > 0 {
		s := orca.Settlement{Position: r.position, Outcomes: r.outbox, At: e.cfg.Now()}
		e.cfg.Ledger.Settle(s, func(error) {}) // what fails runs again
	}
}

// sent takes the ledger's answer.
func (e *Engine) sent(r *run, s orca.Settlement, err error) {
	if err != nil {
		e.sendAgain(r, s, err)
		return
	}
	r.failures = 0
	for k := range s.Outcomes {
		e.durable(r, &s.Outcomes[k])
	}
	e.settleWithdrawals(r)
	if s.End != orca.RunOpen {
		e.finish(r)
	} else {
		r.sending = false
		e.touch(r)
	}
	e.watchers.changed(r.position)
}

// sendAgain takes back what the ledger could not write, to ask again with growing delay and without end.
func (e *Engine) sendAgain(r *run, s orca.Settlement, err error) {
	if r.failures == 0 { // the ledger tells of its own state; once per run is enough here
		e.cfg.Log.Warn("outcomes could not be written; trying again", "run", r.position, "error", err)
	}
	delay := min(100*time.Millisecond<<min(r.failures, 6), 5*time.Second)
	r.failures++
	r.outbox = append(s.Outcomes, r.outbox...)
	r.sending, r.holdOff = false, true
	time.AfterFunc(delay, func() {
		e.inbox.post(func() {
			r.holdOff = false
			e.touch(r)
		})
	})
}

// durable advances a run by an outcome that the ledger has.
func (e *Engine) durable(r *run, o *orca.Outcome) {
	i, ok := r.plan.Index(o.Algorithm)
	if !ok {
		panic(fmt.Sprintf("run %d settled %s, which is not in its plan", r.position, o.Algorithm.Full()))
	}
	if o.Result != nil {
		e.unsettled.Release(e.weight(o.Result))
	}
	r.nodes[i].phase = settled
	e.stats.outcome(o.Kind)
	e.release(r, i)
	e.recent.settle(r.position, o)
	e.wake(outcomeKey{Position: r.position, Algorithm: o.Algorithm})
	e.markReady(r, r.progress.Settle(i, o.Kind))
}

// release drops the results that were held for node i alone.
func (e *Engine) release(r *run, i int) {
	for _, d := range r.plan.Nodes[i].Needs {
		n := &r.nodes[d]
		if n.readers--; n.readers == 0 {
			e.stats.held.Add(-int64(len(n.result)))
			n.result = nil
		}
	}
}

func (e *Engine) finish(r *run) {
	if e.admission.shared || !r.row || r.position > e.admission.newest || !e.admission.isNews(r.position) { // else it was never counted
		e.stats.open.Add(-1)
	}
	switch {
	case r.row:
		e.leaves(r.lot)
	case e.admission.shared:
		e.leave(r)
	case e.admission.loading:
		e.parking.late = append(e.parking.late, func() { e.leave(r) })
	default:
		e.leave(r)
	}
}

// leave gives up a run's place in memory.
func (e *Engine) leave(r *run) {
	delete(e.active, r.position)
	e.stats.active.Add(-1)
}

// weight of a result in the budget of unsettled bytes; one larger than the whole budget takes all of it.
func (e *Engine) weight(r *orca.Result) int64 {
	return min(int64(len(r.Encoded)+len(r.JSON)+len(r.Error)+len(r.Failure)), e.cfg.MaxUnsettledBytes)
}
