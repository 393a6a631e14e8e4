package engine

import (
	"context"
	"errors"

	"github.com/orca-telemetry/orca/internal/orca"
	"github.com/orca-telemetry/orca/internal/plan"
)

// emit is a window on its way through Ledger.Accept. The emitter owns it until then, the loop from the commit on.
type emit struct {
	engine   *Engine
	emission orca.Emission
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
	for i := range x.plan.Nodes {
		if n := &x.plan.Nodes[i]; n.Blocked != "" {
			em.Outcomes = append(em.Outcomes, orca.Outcome{
				Algorithm: n.Algorithm.ID, Kind: orca.Skipped, Reason: n.Blocked, SettledAt: now,
			})
		}
	}
	switch len(x.plan.Nodes) {
	case 0:
		em.Status, em.End = orca.NoTriggeredAlgorithms, orca.RunSucceeded
	case len(em.Outcomes):
		em.Status, em.End = orca.TriggeringFailed, orca.RunIncomplete
	default:
		em.Status, em.End = orca.ProcessingTriggered, orca.RunOpen
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
	case x.err != nil: // nothing was written
	case x.accepted.Replayed:
		a.hear(x.accepted.Position)
	default:
		e.stats.accepted.Add(1)
		for i := range x.emission.Outcomes {
			e.stats.outcome(x.emission.Outcomes[i].Kind)
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
		Input: input, Stored: em.Window, Outcomes: em.Outcomes,
	}
}
