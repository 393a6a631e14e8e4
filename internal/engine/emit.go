package engine

import (
	"context"
	"errors"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// emit is a window on its way through Ledger.Accept, or a revision of one on its way through Ledger.Revise. The caller
// owns it until then, the loop from the commit on.
type emit struct {
	engine   *Engine
	emission orca.Emission
	// revision is set in place of the emission, with the window as it is stored.
	revision *orca.Revision
	window   orca.Window
	plan     *plan.Plan
	accepted orca.Accepted
	err      error
	answered chan struct{} // closed when accepted and err are there to be read
}

// Emit makes the window durable with its run and returns when it is. Before Run has begun it waits for that. Errors:
// Exhausted when a limit is reached, Unavailable while stopping, NotFound when the window type is not registered,
// Conflict when the idempotency key belongs to another window, OutcomeUnknown when the commit's end was not seen, and
// ctx's error, after which the window may be there or not.
func (e *Engine) Emit(ctx context.Context, em orca.Emission) (orca.Accepted, error) {
	if err := e.enter(ctx); err != nil {
		return orca.Accepted{}, err
	}
	p, err := e.cfg.Planner.Plan(ctx, em.Window.Type)
	if err != nil {
		e.unanswered.Add(-1)
		return orca.Accepted{}, err
	}
	x := &emit{engine: e, emission: em, plan: p, answered: make(chan struct{})}
	x.fill(e.cfg.Now())
	e.cfg.Ledger.Accept(x.emission, x.committed)
	return x.wait(ctx)
}

// wait for the answer.
func (x *emit) wait(ctx context.Context) (orca.Accepted, error) {
	select {
	case <-x.answered:
		return x.accepted, x.err
	case <-ctx.Done():
		return orca.Accepted{}, ctx.Err()
	}
}

// enter counts an emit as unanswered, unless it is refused.
func (e *Engine) enter(ctx context.Context) error {
	if e.unanswered.Add(1) > int64(e.cfg.MaxAccept) {
		e.unanswered.Add(-1)
		return orca.Errorf(orca.Exhausted, "%d emits are unanswered, which is the limit (--max-accept); send the window again later", e.cfg.MaxAccept)
	}
	err := e.mayAccept(ctx)
	if err != nil {
		e.unanswered.Add(-1)
	}
	return err
}

func (e *Engine) mayAccept(ctx context.Context) error {
	select {
	case <-e.begun:
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.stopping.Load() {
		return orca.Errorf(orca.Unavailable, "the core is stopping; send the window again, to another core or when this one is back")
	}
	if e.cfg.MayAccept != nil {
		if err := e.cfg.MayAccept(); err != nil {
			return err
		}
	}
	if limit := e.cfg.MaxBacklog; limit > 0 && e.stats.open.Load() >= limit {
		return orca.Errorf(orca.Exhausted, "%d runs are unfinished, which is the limit (--max-backlog); send the window again later", limit)
	}
	return nil
}

// fill in what the plan makes of an emission: the answer, and the outcomes of nodes that can never run.
func (x *emit) fill(now orca.Time) {
	em := &x.emission
	em.AcceptedAt = now
	em.Plan = x.plan.Content()
	em.Outcomes = blocked(x.plan, now)
	em.Status, em.End = begins(x.plan, len(em.Outcomes))
	if em.End == orca.RunOpen {
		em.Lot = x.engine.lotFor(x.plan)
		em.Unclaimed = x.engine.full.Load()
	}
}

// blocked returns the outcomes of nodes that can never run.
func blocked(p *plan.Plan, now orca.Time) []orca.Outcome {
	var outcomes []orca.Outcome
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.Blocked != "" {
			outcomes = append(outcomes, orca.Outcome{
				Algorithm: n.Algorithm.ID, Kind: orca.Skipped, Reason: n.Blocked, SettledAt: now,
			})
		}
	}
	return outcomes
}

// begins returns the answer to an emit or a reprocess, and the state that its run begins in, with so many nodes blocked.
func begins(p *plan.Plan, blocked int) (orca.EmitStatus, orca.RunState) {
	switch len(p.Nodes) {
	case 0:
		return orca.NoTriggeredAlgorithms, orca.RunSucceeded
	case blocked:
		return orca.TriggeringFailed, orca.RunIncomplete
	default:
		return orca.ProcessingTriggered, orca.RunOpen
	}
}

// committed is told by the ledger's writer, in the order of positions. The loop answers the emitter, so that what
// waits in its inbox is bounded by the unanswered emits.
func (x *emit) committed(a orca.Accepted, err error) {
	x.accepted, x.err = a, err
	if !x.engine.inbox.post(x.taken) {
		x.answer()
	}
}

func (x *emit) taken() {
	x.engine.accepted(x)
	x.answer()
}

func (x *emit) answer() {
	x.engine.unanswered.Add(-1)
	close(x.answered)
}

// accepted takes note of what became of an emit.
func (e *Engine) accepted(x *emit) {
	switch a := &e.admission; {
	case errors.Is(x.err, orca.OutcomeUnknown):
		a.doubt = true
		if a.shared {
			e.loseTrack("accept a window", x.err)
		}
		e.recent.accept(x, true)
		if l := x.lot(); l != nil && !a.shared { // else the next look at the ledger tells
			e.mayHold(l)
		}
	case x.err != nil: // nothing was written
	case x.accepted.Replayed:
		if p := x.accepted.Position; !a.shared && a.hear(p) { // whoever was told of it first was not told how it ended
			a.skip(p, p)
		}
	default:
		if x.revision == nil {
			e.stats.accepted.Add(1)
		}
		e.recent.accept(x, false)
		outcomes, _ := x.begun()
		for i := range outcomes {
			if outcomes[i].ProducedAt == 0 { // else it is kept, and was counted
				e.stats.outcome(outcomes[i].Kind)
			}
		}
		e.admitNext(x)
	}
}

func openRunOf(em orca.Emission, a orca.Accepted) orca.OpenRun {
	input := em.Window
	if em.FullMetadata != nil {
		input.Metadata = em.FullMetadata
	}
	return orca.OpenRun{
		Run: orca.Run{
			Position: a.Position, Window: a.Window, Revision: 1, Kind: orca.RunEmit,
			Plan: em.Plan.Hash, AcceptedAt: em.AcceptedAt,
		},
		Input: input, Stored: em.Window, Filters: em.Filters, Outcomes: em.Outcomes,
	}
}
